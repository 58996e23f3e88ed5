import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { type Dispatcher } from 'undici';
import { type NetworkTimeout } from './network-timeout.js';
import { BodyTooLarge } from './request-failed.js';

/** How many times as long as the network the disk may take for one file. It usually takes a second or two. */
const MAX_DISK_SHARE = 4;
/**
 * Some servers end a connection whose client does not read for a while. After this share of the time it is the fault of the
 * disk.
 */
const SLOW_DISK_SHARE = 1 / 6;

type BodySource = Pick<Dispatcher.ResponseData, 'headers' | 'body'>;

/** Size and hash of a downloaded file. */
export interface DownloadedFile {
  byteSize: number;
  /** 32 bytes. */
  sha256: Buffer;
}

/** Where a download is written. Both may fail with an error of any kind. */
export interface NewFiles {
  /** Rejects when the file exists. */
  create(path: string): Promise<NewFile>;
  remove(path: string): Promise<void>;
}
interface NewFile {
  append(chunk: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** A download failed because of the local disk, not the peer. `cause` is the error of the file system. */
export class FileWriteFailed extends Error {
  constructor(cause: unknown) {
    super('A downloaded file could not be written to disk.', { cause });
    this.name = 'FileWriteFailed';
  }
}

/** Reads the whole body into memory. Throws BodyTooLarge above `maxBytes`. */
export async function readBody({ body }: BodySource, maxBytes: number): Promise<Buffer> {
  return buffer(readChunks(body, maxBytes));
}

/** The first `maxBytes` of the body, or what arrived before the connection broke. A longer body is cut off with its connection. */
export async function readPrefix({ body }: BodySource, maxBytes: number): Promise<Buffer> {
  body.on('error', () => undefined);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of readChunks(body, maxBytes)) chunks.push(chunk);
  } catch {
    // Only the status matters, and it has arrived.
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

/**
 * Writes the whole body to a new file, without syncing it to disk. Throws BodyTooLarge (before reading, when the length was
 * announced) and FileWriteFailed, also when the file already exists or the disk takes too long. Time that the disk takes does not
 * count against `timeout`. Leaves no new file when it throws.
 */
export async function writeBodyToFile(
  { headers, body }: BodySource,
  path: string,
  { maxBytes, files, timeout }: { maxBytes: number; files: NewFiles; timeout: NetworkTimeout },
): Promise<DownloadedFile> {
  // Destroying an unread body emits an error event, which would end the process without a listener.
  body.on('error', () => undefined);
  try {
    if (Number(headers['content-length']) > maxBytes) throw new BodyTooLarge(maxBytes);
    const disk = new DiskWork(timeout);
    const handle = await disk.run(() => files.create(path));
    try {
      return await copyToFile(readChunks(body, maxBytes), handle, disk);
    } catch (error) {
      await files.remove(path);
      throw error;
    }
  } finally {
    body.destroy();
  }
}

async function copyToFile(
  chunks: AsyncIterable<Buffer>,
  handle: NewFile,
  disk: DiskWork,
): Promise<DownloadedFile> {
  const hash = createHash('sha256');
  let byteSize = 0;
  try {
    for await (const chunk of chunks) {
      byteSize += chunk.length;
      hash.update(chunk);
      await disk.run(() => handle.append(chunk));
    }
  } catch (error) {
    throw disk.isToBlameFor(error) ? new FileWriteFailed(error) : error;
  } finally {
    await disk.run(() => handle.close());
  }
  return { byteSize, sha256: hash.digest() };
}

/** Throws BodyTooLarge after the chunk that exceeds `maxBytes`. */
async function* readChunks(body: BodySource['body'], maxBytes: number): AsyncGenerator<Buffer, void, void> {
  let byteSize = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    yield chunk;
    byteSize += chunk.length;
    if (byteSize > maxBytes) throw new BodyTooLarge(maxBytes);
  }
}

/** The disk's part of a download. */
class DiskWork {
  private tookMs = 0;

  constructor(private readonly timeout: NetworkTimeout) {}

  /** Throws FileWriteFailed. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    const result = await this.timeout.exclude(work).catch((cause: unknown) => {
      throw new FileWriteFailed(cause);
    });
    this.tookMs += performance.now() - startedAt;
    if (this.tookMs > this.timeout.timeoutMs * MAX_DISK_SHARE)
      throw new FileWriteFailed(new Error('The disk is too slow.'));
    return result;
  }

  /** Whether the peer gave up because it had to wait. Our own timeout has not counted that. */
  isToBlameFor(error: unknown): boolean {
    const isOurs = error instanceof BodyTooLarge || error instanceof FileWriteFailed;
    const isSlow = this.tookMs > this.timeout.timeoutMs * SLOW_DISK_SHARE;
    return isSlow && !isOurs && !this.timeout.signal.aborted;
  }
}
