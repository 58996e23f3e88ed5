import { randomBytes } from 'node:crypto';
import {
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/core/errors.js';
import { DiskOperations } from '../../src/storage/disk-operations.js';
import { DiskStore } from '../../src/storage/disk-store.js';
import { measureFile } from '../../src/storage/write-stream.js';
import {
  describeStoreContract,
  writeTemporaryFile,
  originalKeyOf,
  listFiles,
  putBytes,
} from '../support/storage/store-contract.js';
import { HungFile } from '../support/storage/hung-file.js';

const newFolder = () => mkdtemp(join(tmpdir(), 'darkroom-store-'));

describeStoreContract('a folder', async () => {
  const folder = await newFolder();
  // Neither of these files belongs to the store.
  await mkdir(join(folder, 'ab'));
  await writeFile(
    join(folder, 'ab', '.01234567-89ab-7def-8123-456789abcdef'),
    'a temporary file of another program',
  );
  await writeFile(join(folder, 'ab', 'cd'.repeat(32)), 'in the wrong folder');
  return { store: new DiskStore(folder), close: () => rm(folder, { recursive: true, force: true }) };
});

describe('the disk store', () => {
  let folder: string;
  let store: DiskStore;
  beforeEach(async () => {
    folder = await newFolder();
    store = new DiskStore(folder);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true, force: true });
  });

  test('stores an image in the folder of its first two digits, with no other file beside it', async () => {
    const bytes = randomBytes(100);
    await Promise.all(Array.from({ length: 5 }, () => putBytes(store, bytes)));
    const key = originalKeyOf(bytes);
    await expect(readdir(join(folder, key.slice(0, 2)))).resolves.toEqual([key]);
    await expect(readFile(join(folder, key.slice(0, 2), key))).resolves.toEqual(bytes);
  });

  test('syncs the bytes before the file gets its name, and then syncs the name', async () => {
    const bytes = randomBytes(100);
    const path = await writeTemporaryFile(store, bytes);
    const synced: { inode: number; visible: boolean }[] = [];
    const handle = await open(path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const original = Object.getOwnPropertyDescriptor(prototype, 'sync');
    const sync = original?.value as (this: FileHandle) => Promise<void>;
    jest.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
      synced.push({
        inode: (await this.stat()).ino,
        visible: (await store.size(originalKeyOf(bytes))) !== null,
      });
      return sync.call(this);
    });
    await store.put(originalKeyOf(bytes), path);
    const inode = async (...names: string[]) => (await stat(join(folder, ...names))).ino;
    const shard = originalKeyOf(bytes).slice(0, 2);
    expect(synced).toEqual([
      { inode: await inode(shard, originalKeyOf(bytes)), visible: false },
      { inode: await inode(shard), visible: true },
      { inode: await inode(), visible: true },
    ]);
  });

  test.each([
    [
      'its folder cannot be created',
      (shard: string) => writeFile(shard, 'a file where the folder should be'),
    ],
    [
      'a folder already has its name',
      (shard: string, key: string) => mkdir(join(shard, key, 'x'), { recursive: true }),
    ],
  ])('stores nothing and keeps the source file when %s', async (_what, prepareObstacle) => {
    const bytes = randomBytes(100);
    const key = originalKeyOf(bytes);
    await prepareObstacle(join(folder, key.slice(0, 2)), key);
    const path = await writeTemporaryFile(store, bytes);
    await expect(store.put(key, path)).rejects.toThrow(StoreUnavailable);
    await expect(store.size(key)).resolves.toBeNull();
    await expect(listFiles(store)).resolves.toEqual([]);
    await expect(readFile(path)).resolves.toEqual(bytes);
  });

  test('gives up an operation that the disk does not answer', async () => {
    const bytes = randomBytes(9);
    const key = originalKeyOf(bytes);
    const path = join(folder, key.slice(0, 2), key);
    await mkdir(dirname(path), { recursive: true });
    const hung = HungFile.create(path);
    store = new DiskStore(folder, { timeoutMs: 200 });
    try {
      await expect(store.open(key)).rejects.toThrow(/did not respond in time/);
    } finally {
      hung.release();
    }

    store = new DiskStore(folder, { timeoutMs: 200, renameFile: () => new Promise(() => undefined) });
    await expect(putBytes(store, bytes)).rejects.toThrow(/did not respond in time/);
  });

  test('replaces a file by renaming the new one over it', async () => {
    const [bytes, damaged] = [randomBytes(100), randomBytes(100)];
    const key = originalKeyOf(bytes);
    await store.replace(key, await writeTemporaryFile(store, damaged));
    const filesBefore: Buffer[] = [];
    store = new DiskStore(folder, {
      renameFile: async (from, to) => {
        filesBefore.push(await readFile(to));
        await rename(from, to);
      },
    });
    await store.replace(key, await writeTemporaryFile(store, bytes));
    expect(filesBefore).toEqual([damaged]);
    await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
  });

  test('stores a file from another file system, and leaves no copy behind', async () => {
    const otherFileSystem = await newFolder();
    // Fails like the kernel does for a rename between two file systems.
    const renameWithinFileSystem = (from: string, to: string) =>
      from.startsWith(otherFileSystem) === to.startsWith(otherFileSystem)
        ? rename(from, to)
        : Promise.reject(Object.assign(new Error('cross-device link not permitted'), { code: 'EXDEV' }));
    const bytes = randomBytes(100_000);
    try {
      await writeFile(join(otherFileSystem, 'image'), bytes);
      store = new DiskStore(folder, { renameFile: renameWithinFileSystem });
      await store.put(originalKeyOf(bytes), join(otherFileSystem, 'image'));
      await expect(
        readFile(join(folder, originalKeyOf(bytes).slice(0, 2), originalKeyOf(bytes))),
      ).resolves.toEqual(bytes);
      await expect(readdir(join(folder, 'incoming'))).resolves.toEqual([]);
    } finally {
      await rm(otherFileSystem, { recursive: true });
    }
  });

  test('is not writable when its folder is not, and its error contains no path', async () => {
    await writeFile(join(folder, 'incoming'), 'a file where the folder should be');
    const error: unknown = await store.assertWritable().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(String(error)).not.toContain(folder);
    await expect(store.incoming.createPath()).rejects.toThrow(StoreUnavailable);
  });
});

describe('the operations of the disk', () => {
  let store: DiskStore;
  let folder: string;
  beforeEach(async () => {
    folder = await newFolder();
    store = new DiskStore(folder);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true, force: true });
  });

  const countOperations = () => jest.spyOn(DiskOperations.prototype, 'startEventually');

  test('that measure a file read a piece each, so that a large file does not count as a disk that hangs', async () => {
    const bytes = randomBytes(1024 * 1024 + 1);
    const path = await writeTemporaryFile(store, bytes);
    const operations = countOperations();
    const { sha256, byteSize } = await measureFile(path);
    expect({ key: sha256.toString('hex'), byteSize }).toEqual({
      key: originalKeyOf(bytes),
      byteSize: bytes.length,
    });
    expect(operations.mock.calls.length).toBeGreaterThanOrEqual(17);
    await expect(measureFile(join(folder, 'nothing'))).rejects.toThrow(StoreUnavailable);
  });

  test('that clean up take care of a file each, so that thousands of files do not count as a disk that hangs', async () => {
    const paths: string[] = [];
    for (let n = 0; n < 20; n += 1) paths.push(await writeTemporaryFile(store, randomBytes(9)));
    for (const path of paths.slice(0, 15)) await utimes(path, 0, 0);
    const operations = countOperations();
    expect(await store.incoming.cleanUp()).toBe(15);
    expect(operations.mock.calls.length).toBeGreaterThanOrEqual(20 + 15);
    expect(await readdir(join(folder, 'incoming'))).toHaveLength(5);
  });
});
