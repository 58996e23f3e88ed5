import { mkdir, opendir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreUnavailable } from '../core/errors.js';
import { newId } from '../core/primitives/ids.js';

/** With less, one or two images would fill the disk and stop a database on the same disk. */
const MIN_FREE_BYTES = 100 * 1024 * 1024;
/** Far longer than any download or upload takes, so older files were left by a process that has died. */
const STALE_AFTER_MS = 3_600_000;

/** A folder of temporary files on their way into a store. Instances may share it. */
export class IncomingFiles {
  constructor(private readonly directory: string) {}

  /** The path of a new file. Creates the folder, and rejects with StoreUnavailable when it cannot. */
  async createPath(): Promise<string> {
    await translateDiskErrors(() => mkdir(this.directory, { recursive: true }));
    return join(this.directory, newId());
  }

  /** Rejects with StoreUnavailable when no file can be written, or when the disk has less than 100 MB of free space. */
  async check(): Promise<void> {
    const path = await this.createPath();
    const { bavail, bsize } = await translateDiskErrors(async () => {
      // Only a write reveals that a disk has become read-only.
      await writeFile(path, 'write test').finally(() => rm(path, { force: true }));
      return statfs(this.directory);
    });
    if (bavail * bsize < MIN_FREE_BYTES)
      throw new StoreUnavailable(`the disk has less than ${MIN_FREE_BYTES / 1024 / 1024} MB of free space`);
  }

  /** Removes files that have not been written to for an hour, and returns their number. */
  async cleanUp(): Promise<number> {
    return translateDiskErrors(async () => {
      let removed = 0;
      await mkdir(this.directory, { recursive: true });
      for await (const entry of await opendir(this.directory)) {
        const path = join(this.directory, entry.name);
        const { mtimeMs } = (await stat(path).catch(nullIfNotFound)) ?? { mtimeMs: Infinity };
        if (!entry.isFile() || Date.now() - mtimeMs < STALE_AFTER_MS) continue;
        await rm(path, { force: true });
        removed += 1;
      }
      return removed;
    });
  }
}

/** Wraps an error of the file system. Its message contains no path, because /readyz shows it. */
export async function translateDiskErrors<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    throw new StoreUnavailable(`the disk reported ${errorCode(cause) ?? 'an unknown error'}`, { cause });
  }
}

/** For `catch`: returns null when the file does not exist, and rethrows any other error. */
export function nullIfNotFound(error: unknown): null {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return null;
  throw error;
}

/** The `code` of a Node.js error, such as ENOENT. Null when it has none. */
export function errorCode(error: unknown): string | null {
  const hasCode = typeof error === 'object' && error !== null && 'code' in error;
  return hasCode && typeof error.code === 'string' ? error.code : null;
}
