import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PayloadTooLarge } from '../core/errors.js';
import { translateDiskErrors } from './incoming-files.js';

/** Far longer than reading the largest image takes. */
const READ_TIMEOUT_MS = 300_000;

/**
 * Writes a stream to a file. Throws PayloadTooLarge above `maxBytes`, StoreUnavailable when the disk fails, and the error of
 * the stream when that fails. The caller must remove the file after a failure. The file is closed when this settles.
 */
export async function writeStreamToFile(source: Readable, path: string, maxBytes = Infinity): Promise<void> {
  const file = await translateDiskErrors(() => open(path, 'w')).catch((error: unknown) => {
    source.destroy();
    throw error;
  });
  let byteSize = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      byteSize += chunk.length;
      if (byteSize > maxBytes) throw new PayloadTooLarge(maxBytes);
      await translateDiskErrors(() => file.appendFile(chunk));
    }
  } finally {
    await translateDiskErrors(() => file.close());
  }
}

/** Reads the size and SHA-256 of a file. Throws StoreUnavailable when it cannot be read. */
export async function measureFile(path: string): Promise<{ sha256: Buffer; byteSize: number }> {
  return translateDiskErrors(async () => {
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    return { sha256: hash.digest(), byteSize: (await stat(path)).size };
  }, READ_TIMEOUT_MS);
}
