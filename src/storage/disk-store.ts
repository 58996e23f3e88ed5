import { constants } from 'node:fs';
import { copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Readable } from 'node:stream';
import {
  closeOnDisk,
  DISK_TIMEOUT_MS,
  errorCode,
  IncomingFiles,
  listEntries,
  nullIfNotFound,
  openOnDisk,
  translateDiskError,
  translateDiskErrors,
  withDiskTimeout,
} from './incoming-files.js';
import {
  type ByteRange,
  type ImageStore,
  isStoreKey,
  NotStored,
  SizeDiffers,
  type StoredFile,
  type StoreKey,
  toStoreKey,
} from './image-store.js';
import { syncDirectory, syncFile } from './sync-to-disk.js';
import { FileStream } from './write-stream.js';

/** Files are spread over 256 folders by the first two digits of their keys, because listing a very large folder is slow. */
const SHARD_FOLDER = /^[0-9a-f]{2}$/;

interface DiskStoreOptions {
  /** Replaced only by tests, because few machines have two writable file systems. */
  renameFile?: (from: string, to: string) => Promise<void>;
  /** How long one operation of the disk may take. Default: 30 s. */
  timeoutMs?: number;
}

/**
 * Stores images in a folder as `<directory>/ab/abcd…`, with temporary files in `<directory>/incoming`. A file appears completely
 * or not at all: it is synced under a temporary name and renamed, then its folder is synced. Keys are validated before they
 * become paths, so nothing outside the folder can be reached.
 */
export class DiskStore implements ImageStore {
  readonly incoming: IncomingFiles;

  private readonly renameFile: (from: string, to: string) => Promise<void>;
  private readonly timeoutMs: number;

  constructor(
    private readonly directory: string,
    { renameFile = rename, timeoutMs = DISK_TIMEOUT_MS }: DiskStoreOptions = {},
  ) {
    this.incoming = new IncomingFiles(join(directory, 'incoming'));
    this.renameFile = renameFile;
    this.timeoutMs = timeoutMs;
  }

  async put(key: StoreKey, path: string): Promise<void> {
    const target = this.pathFor(key);
    const { size } = await withDiskTimeout(() => stat(path), this.timeoutMs);
    // A repair of the file system or a restore that was interrupted can leave a part of a file.
    if ((await this.size(key)) !== size) await this.replace(key, path);
    // The file is complete, but a concurrent call may have renamed it without having synced the folder yet.
    else await this.syncName(target);
  }

  async replace(key: StoreKey, path: string): Promise<void> {
    const target = this.pathFor(key);
    await withDiskTimeout(() => syncFile(path), this.timeoutMs);
    await this.limited(async () => {
      await mkdir(dirname(target), { recursive: true });
      await this.move(path, target);
    });
    await this.syncName(target);
  }

  async open(key: StoreKey, range?: ByteRange): Promise<Readable> {
    const path = this.pathFor(key);
    const opening = openOnDisk(() => open(path, 'r').catch(nullIfNotFound), this.timeoutMs);
    const file = await translateDiskError(opening);
    if (!file) throw new NotStored(key);
    try {
      const stats = await this.limited(() => file.stat());
      if (!stats.isFile()) throw new NotStored(key);
      const expectedBytes = range?.totalBytes ?? stats.size;
      if (expectedBytes !== stats.size) throw new SizeDiffers(key, expectedBytes);
      if (range && (range.start > range.end || range.start >= stats.size))
        throw new RangeError('The range starts past the last byte.');
      return new FileStream(file, range);
    } catch (error) {
      void closeOnDisk(file).catch(() => undefined);
      throw error;
    }
  }

  async size(key: StoreKey): Promise<number | null> {
    const path = this.pathFor(key);
    const stats = await this.limited(() => stat(path).catch(nullIfNotFound));
    return stats?.isFile() ? stats.size : null;
  }

  async remove(keys: readonly StoreKey[]): Promise<void> {
    const paths = keys.map((key) => this.pathFor(key));
    for (const path of paths) await this.limited(() => rm(path, { force: true }));
  }

  async *list(): AsyncGenerator<StoredFile, void, undefined> {
    for await (const { name: folder } of listEntries(this.directory, translateDiskErrors)) {
      if (!SHARD_FOLDER.test(folder)) continue;
      for await (const { name: key } of listEntries(join(this.directory, folder), translateDiskErrors)) {
        if (!isStoreKey(key) || !key.startsWith(folder)) continue;
        const stats = await this.limited(() => stat(this.pathFor(key)).catch(nullIfNotFound));
        if (stats?.isFile()) yield { key, byteSize: stats.size, modifiedAt: stats.mtime };
      }
    }
  }

  assertWritable(): Promise<void> {
    return this.incoming.check();
  }

  /** Resolves when the name of a stored file would survive a power failure. */
  private async syncName(target: string): Promise<void> {
    await this.limited(async () => {
      await syncDirectory(dirname(target));
      await syncDirectory(this.directory);
    });
  }

  private limited<Result>(work: () => Promise<Result>): Promise<Result> {
    return translateDiskErrors(work, this.timeoutMs);
  }

  /** Renames the file. Copies it first when it is on another file system. */
  private async move(path: string, target: string): Promise<void> {
    try {
      await this.renameFile(path, target);
    } catch (error) {
      if (errorCode(error) !== 'EXDEV') throw error;
      // Copy into the folder of temporary files, where a crash leaves a file that will be cleaned up.
      const copy = await this.incoming.createPathWithin();
      try {
        await copyFile(path, copy, constants.COPYFILE_EXCL);
        await syncFile(copy);
        await this.renameFile(copy, target);
      } finally {
        await rm(copy, { force: true });
      }
    }
  }

  private pathFor(key: StoreKey): string {
    return join(this.directory, key.slice(0, 2), toStoreKey(key));
  }
}
