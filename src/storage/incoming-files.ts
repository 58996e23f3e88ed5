import { mkdir, opendir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreUnavailable } from '../core/errors.js';
import { newId } from '../core/primitives/ids.js';

/** Below this a picture or two would fill the disk, and a database on the same disk would stop with it. */
const MIN_FREE_BYTES = 100 * 1024 * 1024;
/** Far longer than any download or upload takes: what nobody has written to since belongs to a process that is gone. */
const LEFT_BEHIND_MS = 3_600_000;

/** Files on their way into a store: written here, looked at here, and taken away or removed. Instances may share it. */
export class IncomingFiles {
  constructor(private readonly directory: string) {}

  /** The path of a file that is not there yet, in a folder that is. Rejects with StoreUnavailable without one. */
  async newPath(): Promise<string> {
    try {
      await mkdir(this.directory, { recursive: true });
    } catch (error) {
      throw diskFailed(error);
    }
    return join(this.directory, newId());
  }

  /** Rejects with StoreUnavailable when no file can be written here, or when the disk has less than 100 MB left. */
  async check(): Promise<void> {
    const path = await this.newPath();
    try {
      // A disk that has become read-only shows it only when something is written.
      await writeFile(path, 'Can this be written?').finally(() => rm(path, { force: true }));
      const { bavail, bsize } = await statfs(this.directory);
      if (bavail * bsize >= MIN_FREE_BYTES) return;
    } catch (error) {
      throw diskFailed(error);
    }
    throw new StoreUnavailable(`the disk has less than ${MIN_FREE_BYTES / 1024 / 1024} MB left`);
  }

  /** Removes files that nobody has written to for an hour, and resolves with their number. */
  async cleanUp(): Promise<number> {
    let removed = 0;
    try {
      await mkdir(this.directory, { recursive: true });
      for await (const entry of await opendir(this.directory)) {
        const path = join(this.directory, entry.name);
        const { mtimeMs } = (await stat(path).catch(nullWhenAbsent)) ?? { mtimeMs: Infinity };
        if (!entry.isFile() || Date.now() - mtimeMs < LEFT_BEHIND_MS) continue;
        await rm(path, { force: true });
        removed += 1;
      }
    } catch (error) {
      throw diskFailed(error);
    }
    return removed;
  }
}

/** What the file system said, as a failure of the store. Paths stay out of it: /readyz shows the reason. */
export function diskFailed(error: unknown): StoreUnavailable {
  return new StoreUnavailable(`the disk gave ${codeOf(error) ?? 'an unknown error'}`, { cause: error });
}

/** For `catch`: null when there is no such file, and the error again when it is another one. */
export function nullWhenAbsent(error: unknown): null {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return null;
  throw error;
}

/** The `code` of an error of Node.js, such as ENOENT; null when it has none. */
export function codeOf(error: unknown): string | null {
  const hasCode = typeof error === 'object' && error !== null && 'code' in error;
  return hasCode && typeof error.code === 'string' ? error.code : null;
}
