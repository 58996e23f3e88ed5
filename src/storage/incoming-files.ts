import { mkdir, opendir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreUnavailable } from '../core/errors.js';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { newId } from '../core/primitives/ids.js';

/** Far longer than a disk takes for one operation. A network disk that is gone never answers, and nothing can interrupt that. */
export const DISK_TIMEOUT_MS = 30_000;
/** `assertWritable` takes at most this long. */
const CHECK_TIMEOUT_MS = 5_000;
/** The folder can have thousands of files. */
const CLEAN_UP_TIMEOUT_MS = 300_000;
/** With less, one or two images would fill the disk and stop a database on the same disk. */
const MIN_FREE_BYTES = 100 * 1024 * 1024;
/** Far longer than writing any file takes, so older ones were left by a process that has died. */
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
    const { bavail, bsize } = await translateDiskErrors(async () => {
      const path = await this.createPath();
      // Only a write reveals that a disk has become read-only.
      await writeFile(path, 'write test').finally(() => rm(path, { force: true }));
      return statfs(this.directory);
    }, CHECK_TIMEOUT_MS);
    if (bavail * bsize < MIN_FREE_BYTES)
      throw new StoreUnavailable(`the disk has less than ${MIN_FREE_BYTES / 1024 / 1024} MB of free space`);
  }

  /** Removes files that have not been written to for an hour, and returns their number. */
  async cleanUp(): Promise<number> {
    return translateDiskErrors(async () => {
      // Throws if the folder cannot be used.
      await this.createPath();
      return removeStaleFiles(this.directory, () => true);
    }, CLEAN_UP_TIMEOUT_MS);
  }
}

/**
 * Removes the temporary files of a folder that have not been written to for an hour, and returns their number. Others may be
 * in use by another process. Does nothing if the folder does not exist.
 */
export async function removeStaleFiles(
  directory: string,
  isTemporary: (name: string) => boolean,
): Promise<number> {
  const folder = await opendir(directory).catch(nullIfNotFound);
  if (!folder) return 0;
  const temporary: { path: string; mtimeMs: number }[] = [];
  for await (const entry of folder) {
    const path = join(directory, entry.name);
    const stats = entry.isFile() && isTemporary(entry.name) ? await stat(path).catch(nullIfNotFound) : null;
    if (stats) temporary.push({ path, mtimeMs: stats.mtimeMs });
  }
  if (temporary.length === 0) return 0;
  const staleBefore = (await fileSystemTimeMs(directory)) - STALE_AFTER_MS;
  const stale = temporary.filter(({ mtimeMs }) => mtimeMs <= staleBefore);
  for (const { path } of stale) await rm(path, { force: true });
  return stale.length;
}

/** The time that a file written now gets. A shared folder has the clock of its server, or of each instance that writes to it. */
async function fileSystemTimeMs(directory: string): Promise<number> {
  const path = join(directory, `${newId()}.tmp`);
  try {
    await writeFile(path, '');
    return (await stat(path)).mtimeMs;
  } finally {
    await rm(path, { force: true });
  }
}

/** Waits for the file system for at most `timeoutMs`, then throws StoreUnavailable. The operation itself cannot be interrupted. */
export async function withDiskTimeout<Result>(
  work: Promise<Result>,
  timeoutMs = DISK_TIMEOUT_MS,
): Promise<Result> {
  const result = await withTimeout(work, timeoutMs);
  if (result === TIMED_OUT) throw new StoreUnavailable('the disk did not respond in time');
  return result;
}

/**
 * Wraps an error of the file system, and waits for it for at most `timeoutMs`. The message contains no path, because /readyz
 * shows it.
 */
export async function translateDiskErrors<Result>(
  work: () => Promise<Result>,
  timeoutMs = DISK_TIMEOUT_MS,
): Promise<Result> {
  try {
    return await withDiskTimeout(work(), timeoutMs);
  } catch (cause) {
    if (cause instanceof StoreUnavailable) throw cause;
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
