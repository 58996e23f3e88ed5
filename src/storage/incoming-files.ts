import { type Dirent } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreUnavailable } from '../core/errors.js';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { newId } from '../core/primitives/ids.js';
import { DiskOperations, DiskStalled } from './disk-operations.js';

/** Far longer than a disk takes for one operation. A network disk that is gone never answers, and nothing can interrupt that. */
export const DISK_TIMEOUT_MS = 30_000;
const NO_RESPONSE = 'the disk did not respond in time';
/** `assertWritable` takes at most this long. */
const CHECK_TIMEOUT_MS = 5_000;
/** Removing a file takes milliseconds. */
export const REMOVAL_WAIT_MS = 5_000;
/** With less, one or two images would fill the disk and stop a database on the same disk. */
const MIN_FREE_BYTES = 100 * 1024 * 1024;
/** Far longer than writing any file takes, so older ones were left by a process that has died. */
const STALE_AFTER_MS = 3_600_000;

/**
 * The disk of image files: those of a store, and those on their way into it. One for the process, because the threads that a
 * disk can keep are those of the process.
 */
const imageDisk = new DiskOperations();

/** A folder of temporary files on their way into a store. Instances may share it. */
export class IncomingFiles {
  constructor(private readonly directory: string) {}

  /** The path of a new file. Creates the folder, and rejects with StoreUnavailable when it cannot. */
  createPath(): Promise<string> {
    return translateDiskErrors(() => this.createPathWithin());
  }

  /** The same as a part of an operation of the disk, which must not wait for another one. Rejects with the disk's error. */
  async createPathWithin(): Promise<string> {
    await mkdir(this.directory, { recursive: true });
    return join(this.directory, newId());
  }

  /** Creates a file, to be written as one operation of the disk at a time. Rejects when it exists. */
  async create(path: string) {
    const file = await openOnDisk(() => open(path, 'wx'));
    return {
      append: (chunk: Buffer) => withDiskTimeout(() => file.appendFile(chunk)),
      close: () => closeOnDisk(file),
    };
  }

  /** Removes a file if it exists. Never rejects: what the disk does not remove now is removed later, or cleaned up. */
  async remove(path: string): Promise<void> {
    await withTimeout(this.removeEventually(path), REMOVAL_WAIT_MS);
  }

  /** The same, but resolves when the file is removed or the disk has failed, however long that takes. */
  async removeEventually(path: string): Promise<void> {
    await imageDisk.startEventually(() => rm(path, { force: true })).catch(() => undefined);
  }

  /** Rejects with StoreUnavailable when no file can be written, or when the disk has less than 100 MB of free space. */
  async check(): Promise<void> {
    await translateDiskErrors(async () => {
      const path = await this.createPathWithin();
      // Only a write reveals that a disk has become read-only.
      await writeFile(path, 'write test').finally(() => rm(path, { force: true }));
    }, CHECK_TIMEOUT_MS);
    await this.requireFreeSpace();
  }

  /** Rejects with StoreUnavailable when the disk has less than 100 MB of free space. */
  async requireFreeSpace(): Promise<void> {
    await requireFreeSpaceIn(this.directory);
  }

  /** Removes files that have not been written to for an hour, and returns their number. */
  async cleanUp(): Promise<number> {
    // Throws if the folder cannot be used.
    await this.createPath();
    return removeStaleFiles(this.directory, () => true, translateDiskErrors);
  }
}

/**
 * Rejects with StoreUnavailable when the disk of a folder has less than 100 MB of free space, or would have less after a file of
 * `fileBytes`.
 */
export async function requireFreeSpaceIn(directory: string, fileBytes = 0): Promise<void> {
  const { bavail, bsize } = await translateDiskErrors(() => statfs(directory), CHECK_TIMEOUT_MS);
  const requiredBytes = MIN_FREE_BYTES + fileBytes;
  if (bavail * bsize < requiredBytes)
    throw new StoreUnavailable(
      `the disk has less than ${Math.ceil(requiredBytes / 1024 / 1024)} MB of free space`,
    );
}

/** Carries out one operation of a disk, which takes moments. Rejects when it takes too long. */
export type CarryOut = <Result>(work: () => Promise<Result>) => Promise<Result>;

/**
 * Removes the temporary files of a folder that have not been written to for an hour, and returns their number. Others may be
 * in use by another process. Does nothing if the folder does not exist. Each file is an operation of its own, because a folder can
 * have thousands.
 */
export async function removeStaleFiles(
  directory: string,
  isTemporary: (name: string) => boolean,
  carryOut: CarryOut = (work) => work(),
): Promise<number> {
  const temporary: { path: string; mtimeMs: number }[] = [];
  for await (const entry of listEntries(directory, carryOut)) {
    if (!entry.isFile() || !isTemporary(entry.name)) continue;
    const path = join(directory, entry.name);
    const stats = await carryOut(() => stat(path).catch(nullIfNotFound));
    if (stats) temporary.push({ path, mtimeMs: stats.mtimeMs });
  }
  if (temporary.length === 0) return 0;
  const staleBefore = (await carryOut(() => fileSystemTimeMs(directory))) - STALE_AFTER_MS;
  const stale = temporary.filter(({ mtimeMs }) => mtimeMs <= staleBefore);
  for (const { path } of stale) await carryOut(() => rm(path, { force: true }));
  return stale.length;
}

/** Streams the entries of a folder. Yields nothing when the folder does not exist. */
export async function* listEntries(
  folder: string,
  carryOut: CarryOut,
): AsyncGenerator<Dirent, void, undefined> {
  const directory = await carryOut(() => opendir(folder).catch(nullIfNotFound));
  if (!directory) return;
  try {
    for (;;) {
      const entry = await carryOut(() => directory.read());
      if (!entry) return;
      yield entry;
    }
  } finally {
    void carryOut(() => directory.close()).catch(() => undefined);
  }
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

/**
 * Carries out an operation of the image files' disk and waits for it for at most `timeoutMs`, then throws StoreUnavailable. The
 * operation itself cannot be interrupted. Throws StoreUnavailable at once while too many others hang.
 */
export async function withDiskTimeout<Result>(
  work: () => Promise<Result>,
  timeoutMs = DISK_TIMEOUT_MS,
): Promise<Result> {
  return waitForDisk(imageDisk.start(work), timeoutMs);
}

/** Opens a file like `withDiskTimeout`. One that is opened too late is closed. */
export async function openOnDisk<File extends FileHandle | null>(
  open: () => Promise<File>,
  timeoutMs = DISK_TIMEOUT_MS,
): Promise<File> {
  let isGivenUp = false;
  const opening = async () => {
    const file = await open();
    if (isGivenUp) await file?.close();
    return file;
  };
  try {
    return await withDiskTimeout(opening, timeoutMs);
  } catch (error) {
    isGivenUp = true;
    throw error;
  }
}

/** Closes a file, however long it takes. Waits for it, and throws, like `withDiskTimeout`. */
export async function closeOnDisk(file: FileHandle): Promise<void> {
  const closing = imageDisk.startEventually(() => file.close());
  await waitForDisk(closing, DISK_TIMEOUT_MS);
}

async function waitForDisk<Result>(operation: Promise<Result>, timeoutMs: number): Promise<Result> {
  const result = await withTimeout(operation, timeoutMs).catch((error: unknown) => {
    throw error instanceof DiskStalled ? new StoreUnavailable(NO_RESPONSE, { cause: error }) : error;
  });
  if (result === TIMED_OUT) throw new StoreUnavailable(NO_RESPONSE);
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
  return translateDiskError(withDiskTimeout(work, timeoutMs));
}

/** The same for an operation that has begun. */
export async function translateDiskError<Result>(operation: Promise<Result>): Promise<Result> {
  try {
    return await operation;
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
