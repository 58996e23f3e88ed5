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
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/core/errors.js';
import { DiskStore } from '../../src/storage/disk-store.js';
import { describeStore, fileWith, keyOf, listed, put } from '../support/storage/store-contract.js';

const newFolder = () => mkdtemp(join(tmpdir(), 'darkroom-store-'));

describeStore('a folder', async () => {
  const folder = await newFolder();
  // Neither of them is ours.
  await mkdir(join(folder, 'ab'));
  await writeFile(join(folder, 'ab', '.01234567-89ab-7def-8123-456789abcdef'), 'as an older version left it');
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

  test('keeps a picture where earlier versions looked for it, and nothing beside it', async () => {
    const bytes = randomBytes(100);
    await Promise.all(Array.from({ length: 5 }, () => put(store, bytes)));
    const key = keyOf(bytes);
    await expect(readdir(join(folder, key.slice(0, 2)))).resolves.toEqual([key]);
    await expect(readFile(join(folder, key.slice(0, 2), key))).resolves.toEqual(bytes);
  });

  test('waits for the disk to have the bytes before they get their name, and then to have the name', async () => {
    const bytes = randomBytes(100);
    const path = await fileWith(store, bytes);
    const synced: { inode: number; visible: boolean }[] = [];
    const handle = await open(path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const original = Object.getOwnPropertyDescriptor(prototype, 'sync');
    const sync = original?.value as (this: FileHandle) => Promise<void>;
    jest.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
      synced.push({ inode: (await this.stat()).ino, visible: await store.has(keyOf(bytes)) });
      return sync.call(this);
    });
    await store.put(keyOf(bytes), path);
    const inode = async (...names: string[]) => (await stat(join(folder, ...names))).ino;
    const shard = keyOf(bytes).slice(0, 2);
    expect(synced).toEqual([
      { inode: await inode(shard, keyOf(bytes)), visible: false },
      { inode: await inode(shard), visible: true },
      { inode: await inode(), visible: true },
    ]);
  });

  test.each([
    ['its folder cannot be made', (shard: string) => writeFile(shard, 'a file where the folder should be')],
    [
      'its name is taken by a folder',
      (shard: string, key: string) => mkdir(join(shard, key, 'x'), { recursive: true }),
    ],
  ])('shows nothing and keeps the file when %s', async (_what, spoil) => {
    const bytes = randomBytes(100);
    const key = keyOf(bytes);
    await spoil(join(folder, key.slice(0, 2)), key);
    const path = await fileWith(store, bytes);
    await expect(store.put(key, path)).rejects.toThrow(StoreUnavailable);
    await expect(store.has(key)).resolves.toBe(false);
    await expect(listed(store)).resolves.toEqual([]);
    await expect(readFile(path)).resolves.toEqual(bytes);
  });

  test('takes a file from another file system, and leaves no copy behind', async () => {
    const elsewhere = await newFolder();
    // As the kernel answers between two of them.
    const apart = (from: string, to: string) =>
      from.startsWith(elsewhere) === to.startsWith(elsewhere)
        ? rename(from, to)
        : Promise.reject(Object.assign(new Error('cross-device link not permitted'), { code: 'EXDEV' }));
    const bytes = randomBytes(100_000);
    try {
      await writeFile(join(elsewhere, 'picture'), bytes);
      store = new DiskStore(folder, apart);
      await store.put(keyOf(bytes), join(elsewhere, 'picture'));
      await expect(readFile(join(folder, keyOf(bytes).slice(0, 2), keyOf(bytes)))).resolves.toEqual(bytes);
      await expect(readdir(join(folder, 'incoming'))).resolves.toEqual([]);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  test('is unfit to store when it cannot write, and does not say where', async () => {
    await writeFile(join(folder, 'incoming'), 'a file where the folder should be');
    const error: unknown = await store.check().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(String(error)).not.toContain(folder);
    await expect(store.temporaryFile()).rejects.toThrow(StoreUnavailable);
  });
});
