import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PayloadTooLarge } from '../core/errors.js';

/**
 * Writes a stream to a file. Throws PayloadTooLarge above `maxBytes`. The caller must remove the file after a failure. The
 * file is closed when this settles: a pipeline alone may reject before it has opened its file, and then create it again.
 */
export async function writeStreamToFile(source: Readable, path: string, maxBytes = Infinity): Promise<void> {
  let byteSize = 0;
  const limitLength = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      byteSize += chunk.length;
      if (byteSize > maxBytes) throw new PayloadTooLarge(maxBytes);
      yield chunk;
    }
  };
  const file = createWriteStream(path);
  const closed = new Promise<void>((resolve) => file.once('close', resolve));
  await pipeline(source, limitLength, file).finally(() => closed);
}

/** Reads the size and SHA-256 of a file. */
export async function measureFile(path: string): Promise<{ sha256: Buffer; byteSize: number }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { sha256: hash.digest(), byteSize: (await stat(path)).size };
}
