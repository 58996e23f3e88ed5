import { constants } from 'node:fs';
import { copyFile, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Readable } from 'node:stream';
import { codeOf, diskFailed, IncomingFiles, nullWhenAbsent } from './incoming-files.js';
import {
  assertStoreKey,
  type ByteRange,
  type ImageStore,
  isStoreKey,
  NotStored,
  type StoredFile,
  type StoreKey,
} from './image-store.js';

/** Files lie in 256 folders by the first two digits of their keys: a folder with a million names is slow to walk. */
const FOLDER = /^[0-9a-f]{2}$/;

/**
 * Pictures in a folder: `<directory>/ab/abcd…`, temporary files in `<directory>/incoming`. A file appears whole or not at
 * all: it is synced under a temporary name, renamed, and its folder is synced. The key is checked before it becomes a
 * path, so nothing outside the folder can be reached.
 */
export class DiskStore implements ImageStore {
  private readonly incoming: IncomingFiles;

  constructor(
    private readonly directory: string,
    /** Replaced by tests alone: few machines have two file systems that can be written to. */
    private readonly renameFile: (from: string, to: string) => Promise<void> = rename,
  ) {
    this.incoming = new IncomingFiles(join(directory, 'incoming'));
  }

  async put(key: StoreKey, path: string): Promise<void> {
    const target = this.path(key);
    if ((await this.size(key)) === null) {
      await sync(path, 'r+');
      await withDisk(async () => {
        await mkdir(dirname(target), { recursive: true });
        await this.move(path, target);
      });
    }
    // Also when it was there: whoever has just renamed it may not have come to this line yet.
    await withDisk(async () => {
      await sync(dirname(target));
      await sync(this.directory);
    });
  }

  async has(key: StoreKey): Promise<boolean> {
    return (await this.size(key)) !== null;
  }

  async open(key: StoreKey, range?: ByteRange): Promise<Readable> {
    const path = this.path(key);
    const file = await withDisk(() => open(path, 'r').catch(nullWhenAbsent));
    if (!file) throw new NotStored(key);
    try {
      const facts = await withDisk(() => file.stat());
      if (!facts.isFile()) throw new NotStored(key);
      if (range && (range.start > range.end || range.start >= facts.size))
        throw new RangeError('The range begins behind the last byte.');
      return file.createReadStream(range);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async size(key: StoreKey): Promise<number | null> {
    const path = this.path(key);
    const facts = await withDisk(() => stat(path).catch(nullWhenAbsent));
    return facts?.isFile() ? facts.size : null;
  }

  async remove(keys: readonly StoreKey[]): Promise<void> {
    const paths = keys.map((key) => this.path(key));
    await withDisk(async () => {
      for (const path of paths) await rm(path, { force: true });
    });
  }

  async *list(): AsyncGenerator<StoredFile, void, undefined> {
    for await (const folder of entries(this.directory)) {
      if (!FOLDER.test(folder)) continue;
      for await (const key of entries(join(this.directory, folder))) {
        if (!isStoreKey(key) || !key.startsWith(folder)) continue;
        const facts = await withDisk(() => stat(this.path(key)).catch(nullWhenAbsent));
        if (facts?.isFile()) yield { key, byteSize: facts.size, modifiedAt: facts.mtime };
      }
    }
  }

  check(): Promise<void> {
    return this.incoming.check();
  }

  temporaryFile(): Promise<string> {
    return this.incoming.newPath();
  }

  cleanUp(): Promise<number> {
    return this.incoming.cleanUp();
  }

  /** Renames, or copies first when the file lies on another file system. */
  private async move(path: string, target: string): Promise<void> {
    try {
      await this.renameFile(path, target);
    } catch (error) {
      if (codeOf(error) !== 'EXDEV') throw error;
      // Into the folder of temporary files, not beside the target: there it is cleaned up if we die meanwhile.
      const copy = await this.temporaryFile();
      try {
        await copyFile(path, copy, constants.COPYFILE_EXCL);
        await sync(copy);
        await this.renameFile(copy, target);
      } finally {
        await rm(copy, { force: true });
      }
    }
  }

  private path(key: StoreKey): string {
    assertStoreKey(key);
    return join(this.directory, key.slice(0, 2), key);
  }
}

/**
 * Resolves when the file, or the names in the folder, would survive a power failure. With `r+` a folder is refused, and
 * with `r` a file is only synced where the system allows it to readers.
 */
async function sync(path: string, flags: 'r' | 'r+' = 'r'): Promise<void> {
  const file = await open(path, flags);
  await file.sync().finally(() => file.close());
}

/** The names in a folder, read bit by bit; none when the folder is not there. */
async function* entries(folder: string): AsyncGenerator<string, void, undefined> {
  const directory = await withDisk(() => opendir(folder).catch(nullWhenAbsent));
  if (!directory) return;
  for await (const entry of directory) yield entry.name;
}

async function withDisk<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw diskFailed(error);
  }
}
