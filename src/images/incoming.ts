import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PayloadTooLarge } from '../core/errors.js';

/** Writes a stream to a file. Throws PayloadTooLarge as soon as it has more bytes; the file is the caller's to remove. */
export async function writeCapped(source: Readable, path: string, maxBytes: number): Promise<void> {
  let length = 0;
  const count = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      length += chunk.length;
      if (length > maxBytes) throw new PayloadTooLarge(`${Math.floor(maxBytes / 1024 / 1024)} MB`);
      yield chunk;
    }
  };
  await pipeline(source, count, createWriteStream(path));
}

/** Size and SHA-256 of a file. */
export async function measureFile(path: string): Promise<{ sha256: Buffer; byteSize: number }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { sha256: hash.digest(), byteSize: (await stat(path)).size };
}
