import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PayloadTooLarge } from '../core/errors.js';

/**
 * Writes a stream to a file. Throws PayloadTooLarge as soon as it has more bytes. The file is the caller's to remove, and
 * nobody touches it any more when this settles: a pipeline rejects while its file may yet be opened, which makes it again.
 */
export async function writeStream(source: Readable, path: string, maxBytes = Infinity): Promise<void> {
  let length = 0;
  const count = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      length += chunk.length;
      if (length > maxBytes) throw new PayloadTooLarge(`${Math.floor(maxBytes / 1024 / 1024)} MB`);
      yield chunk;
    }
  };
  const file = createWriteStream(path);
  const closed = new Promise<void>((resolve) => file.once('close', resolve));
  await pipeline(source, count, file).finally(() => closed);
}

/** Size and SHA-256 of a file. */
export async function measureFile(path: string): Promise<{ sha256: Buffer; byteSize: number }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { sha256: hash.digest(), byteSize: (await stat(path)).size };
}
