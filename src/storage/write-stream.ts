import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { PayloadTooLarge } from '../core/errors.js';
import { type ByteRange } from './image-store.js';
import { closeOnDisk, openOnDisk, translateDiskError, translateDiskErrors } from './incoming-files.js';

/** As Node.js reads files. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Reads a file, or a range of it, and closes it. Each read is an operation of the disk, so a stream whose reader is slow keeps no
 * thread. The stream ends with StoreUnavailable when the disk fails or does not answer.
 */
export class FileStream extends Readable {
  private position: number;

  constructor(
    private readonly file: FileHandle,
    private readonly range: ByteRange = { start: 0, end: Infinity },
  ) {
    super({ highWaterMark: CHUNK_BYTES });
    this.position = range.start;
  }

  override _read(): void {
    this.readChunk().then(
      (chunk) => this.push(chunk),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    void closeOnDisk(this.file).catch(() => undefined);
    callback(error);
  }

  private async readChunk(): Promise<Buffer | null> {
    const length = Math.min(CHUNK_BYTES, this.range.end + 1 - this.position);
    if (length <= 0) return null;
    const { position } = this;
    const read = { buffer: Buffer.allocUnsafe(length), length, position };
    const { buffer, bytesRead } = await translateDiskErrors(() => this.file.read(read));
    this.position += bytesRead;
    return bytesRead === 0 ? null : buffer.subarray(0, bytesRead);
  }
}

/**
 * Writes a stream to a file. Throws PayloadTooLarge above `maxBytes`, StoreUnavailable when the disk fails, and the error of
 * the stream when that fails. The caller must remove the file after a failure. The file is closed when this settles.
 */
export async function writeStreamToFile(source: Readable, path: string, maxBytes = Infinity): Promise<void> {
  const file = await translateDiskError(openOnDisk(() => open(path, 'w'))).catch((error: unknown) => {
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
    await translateDiskError(closeOnDisk(file));
  }
}

/** Reads the size and SHA-256 of a file. Throws StoreUnavailable when it cannot be read. */
export async function measureFile(path: string): Promise<{ sha256: Buffer; byteSize: number }> {
  const file = await translateDiskError(openOnDisk(() => open(path, 'r')));
  const hash = createHash('sha256');
  let byteSize = 0;
  for await (const chunk of new FileStream(file) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    byteSize += chunk.length;
  }
  return { sha256: hash.digest(), byteSize };
}
