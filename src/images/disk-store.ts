import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Readable } from 'node:stream';
import { newId } from '../core/ids.js';

/** A part of a file: both ends inclusive, as in a Range header. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * Pictures on disk under the SHA-256 of their bytes: the same bytes are stored once. A file appears whole or not at all:
 * it is written under a temporary name, synced, and renamed.
 */
export class DiskStore {
  constructor(private readonly directory: string) {}

  /** Resolves when the bytes would survive a power failure. Storing the same bytes again is harmless. */
  async put(sha256: Uint8Array, bytes: Buffer): Promise<void> {
    const path = this.path(sha256);
    if (await this.has(sha256)) return;
    const folder = dirname(path);
    const temporary = join(folder, `.${newId()}`);
    await mkdir(folder, { recursive: true });
    try {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const entry = await open(folder, 'r');
    await entry.sync().finally(() => entry.close());
  }

  async has(sha256: Uint8Array): Promise<boolean> {
    return stat(this.path(sha256)).then(
      () => true,
      () => false,
    );
  }

  /** Streams the bytes, or a part of them. The stream fails when they are not there. */
  open(sha256: Uint8Array, range?: ByteRange): Readable {
    return createReadStream(this.path(sha256), range);
  }

  private path(sha256: Uint8Array): string {
    const name = Buffer.from(sha256).toString('hex');
    return join(this.directory, name.slice(0, 2), name);
  }
}
