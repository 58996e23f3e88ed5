import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { type Dispatcher } from 'undici';
import { BodyTooLarge } from './request-failed.js';

type Answer = Pick<Dispatcher.ResponseData, 'headers' | 'body'>;

/** What a download left in its file. */
export interface DownloadedFile {
  byteSize: number;
  /** 32 bytes, taken while they came in. */
  sha256: Buffer;
}

/** A download ended because of our own disk, not of the peer. `cause` is what the disk said. */
export class FileNotWritten extends Error {
  constructor(cause: unknown) {
    super('The file of a download could not be written.', { cause });
    this.name = 'FileNotWritten';
  }
}

/** The whole body in memory. Throws BodyTooLarge. */
export async function readBody({ body }: Answer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new BodyTooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Up to `bytes` from the beginning of the body, or what came before it broke off. What is longer is cut, with its connection. */
export async function readStart({ body }: Answer, bytes: number): Promise<Buffer> {
  body.on('error', () => undefined);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > bytes) break;
    }
  } catch {
    // The status has come, and it is what counts.
  }
  return Buffer.concat(chunks).subarray(0, bytes);
}

/**
 * The whole body in a new file, or no file: one that exists already is left alone. It is not synced. Throws BodyTooLarge,
 * before the first byte where the length was announced, and FileNotWritten.
 */
export async function writeBody(
  { headers, body }: Answer,
  path: string,
  maxBytes: number,
): Promise<DownloadedFile> {
  // A body that is destroyed before anybody read it says so with an event, and one without a listener ends the process.
  body.on('error', () => undefined);
  try {
    if (Number(headers['content-length']) > maxBytes) throw new BodyTooLarge(maxBytes);
    const handle = await onDisk(open(path, 'wx'));
    try {
      return await copy(body as AsyncIterable<Buffer>, handle, maxBytes);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  } finally {
    body.destroy();
  }
}

async function copy(
  body: AsyncIterable<Buffer>,
  handle: FileHandle,
  maxBytes: number,
): Promise<DownloadedFile> {
  const hash = createHash('sha256');
  let byteSize = 0;
  try {
    for await (const chunk of body) {
      byteSize += chunk.length;
      if (byteSize > maxBytes) throw new BodyTooLarge(maxBytes);
      hash.update(chunk);
      await onDisk(handle.appendFile(chunk));
    }
  } finally {
    await onDisk(handle.close());
  }
  return { byteSize, sha256: hash.digest() };
}

async function onDisk<Result>(work: Promise<Result>): Promise<Result> {
  return work.catch((cause: unknown) => {
    throw new FileNotWritten(cause);
  });
}
