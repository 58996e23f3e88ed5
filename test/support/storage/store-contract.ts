import { createHash, randomBytes } from 'node:crypto';
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type ImageStore,
  NotStored,
  originalKey,
  type StoredFile,
  type StoreKey,
  variantKey,
} from '../../../src/storage/image-store.js';

/** A store that is empty but for a file or two that are not its own. */
export interface StoreUnderTest {
  store: ImageStore;
  close(): Promise<void>;
}

export const keyOf = (bytes: Buffer) => originalKey(createHash('sha256').update(bytes).digest());

/** Writes the bytes to a temporary file of the store, and tells its path. */
export async function fileWith(store: ImageStore, bytes: Buffer): Promise<string> {
  const path = await store.temporaryFile();
  await writeFile(path, bytes);
  return path;
}

export async function put(store: ImageStore, bytes: Buffer): Promise<StoreKey> {
  const key = keyOf(bytes);
  await store.put(key, await fileWith(store, bytes));
  return key;
}

export async function listed(store: ImageStore): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for await (const file of store.list()) files.push(file);
  return files;
}

/** What every store promises. */
export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a store of pictures`, () => {
    let opened: StoreUnderTest;
    let store: ImageStore;
    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened.close());

    test('has nothing in it at first, and is fit to store', async () => {
      await expect(store.check()).resolves.toBeUndefined();
      await expect(listed(store)).resolves.toEqual([]);
    });

    test.each([
      ['1 byte', 1],
      ['100 kB', 100_000],
      ['8 MB', 8 * 1024 * 1024],
      ['20 MB', 20 * 1024 * 1024],
    ])('gives %s back as it was put', async (_size, length) => {
      const bytes = randomBytes(length);
      await expect(store.has(keyOf(bytes))).resolves.toBe(false);
      const key = await put(store, bytes);
      await expect(store.has(key)).resolves.toBe(true);
      await expect(store.size(key)).resolves.toBe(length);
      const read = await buffer(await store.open(key));
      // Not `toEqual`: a difference in 20 MB takes minutes to print.
      expect(read.equals(bytes)).toBe(true);
    });

    test('gives a part of a file, up to its last byte', async () => {
      const key = await put(store, Buffer.from('0123456789'));
      const part = async (start: number, end: number) =>
        String(await buffer(await store.open(key, { start, end })));
      await expect(part(0, 1)).resolves.toBe('01');
      await expect(part(2, 4)).resolves.toBe('234');
      await expect(part(9, 9)).resolves.toBe('9');
      await expect(part(7, 99)).resolves.toBe('789');
      await expect(part(10, 12)).rejects.toThrow(RangeError);
      await expect(part(4, 2)).rejects.toThrow(RangeError);
    });

    test('lets a reader go away in the middle', async () => {
      const key = await put(store, randomBytes(3_000_000));
      for (let reader = 0; reader < 60; reader += 1) {
        const stream = await store.open(key);
        stream.on('error', () => undefined).destroy();
      }
      await expect(store.size(key)).resolves.toBe(3_000_000);
    });

    test('says so when nothing is stored under a key', async () => {
      const key = keyOf(Buffer.from('never put'));
      await expect(store.has(key)).resolves.toBe(false);
      await expect(store.size(key)).resolves.toBeNull();
      await expect(store.open(key)).rejects.toThrow(NotStored);
      await expect(store.open(key, { start: 0, end: 1 })).rejects.toThrow(NotStored);
      await expect(store.remove([key])).resolves.toBeUndefined();
    });

    test('keeps variants beside their original, each under its own key', async () => {
      const original = randomBytes(10);
      const sha256 = createHash('sha256').update(original).digest();
      const contents = new Map([[await put(store, original), original]]);
      const variants = [variantKey(sha256, 640, null), variantKey(sha256, 64, 'webp')];
      for (const key of variants) {
        const bytes = randomBytes(10);
        await store.put(key, await fileWith(store, bytes));
        contents.set(key, bytes);
      }
      for (const [key, bytes] of contents)
        await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
      const keys = (await listed(store)).map((file) => file.key);
      expect(keys).toEqual(expect.arrayContaining([...contents.keys()]));
    });

    test('takes the same content from many at once, and again later', async () => {
      const bytes = randomBytes(1_000_000);
      const key = keyOf(bytes);
      const paths = await Promise.all(Array.from({ length: 10 }, () => fileWith(store, bytes)));
      await Promise.all(paths.map((path) => store.put(key, path)));
      await put(store, bytes);
      expect((await buffer(await store.open(key))).equals(bytes)).toBe(true);
      expect((await listed(store)).filter((file) => file.key === key)).toHaveLength(1);
    });

    test('takes away what it is told to and nothing else', async () => {
      const [first, second, third] = [
        await put(store, randomBytes(9)),
        await put(store, randomBytes(9)),
        await put(store, randomBytes(9)),
      ];
      await store.remove([first, third, keyOf(Buffer.from('absent'))]);
      await store.remove([]);
      await expect(Promise.all([first, second, third].map((key) => store.has(key)))).resolves.toEqual([
        false,
        true,
        false,
      ]);
    });

    test('lists and removes more than a page of files', async () => {
      const contents = Array.from({ length: 1_100 }, (_, index) => Buffer.from(`file ${index}`));
      const before = Date.now();
      for (let from = 0; from < contents.length; from += 20)
        await Promise.all(contents.slice(from, from + 20).map((bytes) => put(store, bytes)));
      const wanted = new Map(contents.map((bytes) => [keyOf(bytes), bytes.length]));
      const found = (await listed(store)).filter((file) => wanted.has(file.key));
      expect(new Map(found.map((file) => [file.key, file.byteSize]))).toEqual(wanted);
      // Dates may come in whole seconds.
      for (const { modifiedAt } of found)
        expect(Math.abs(modifiedAt.getTime() - before)).toBeLessThan(60_000);
      await store.remove([...wanted.keys()]);
      expect((await listed(store)).filter((file) => wanted.has(file.key))).toEqual([]);
    });

    const hash = 'ab'.repeat(32);
    test.each([
      ['a way out of the folder', '../../../../tmp/hostile'],
      ['a hash and a way out', `${hash}/../../../hostile`],
      ['a hash with a NUL', `${hash}\0`],
      ['a hash with a new line', `${hash}\n`],
      ['a hash in capitals', hash.toUpperCase()],
      ['a width of nothing', `${hash}.w0.webp`],
      ['a form that is none of ours', `${hash}.w64.svg`],
      ['a temporary file', 'incoming/x'],
    ])('refuses %s as a key', async (_what, text) => {
      const key = text as StoreKey;
      const path = await fileWith(store, Buffer.from('hostile'));
      await expect(store.put(key, path)).rejects.toThrow(RangeError);
      await expect(store.has(key)).rejects.toThrow(RangeError);
      await expect(store.size(key)).rejects.toThrow(RangeError);
      await expect(store.open(key)).rejects.toThrow(RangeError);
      await expect(store.remove([key])).rejects.toThrow(RangeError);
    });

    test('keeps nothing of a file that cannot be read', async () => {
      const key = keyOf(Buffer.from('unreadable'));
      await expect(store.put(key, await store.temporaryFile())).rejects.toMatchObject({ code: 'ENOENT' });
      const folder = await store.temporaryFile();
      await mkdir(folder);
      await expect(store.put(key, folder)).rejects.toMatchObject({ code: 'EISDIR' });
      await expect(store.has(key)).resolves.toBe(false);
      expect((await listed(store)).map((file) => file.key)).not.toContain(key);
    });

    test('removes what a crash left of files on their way, and leaves those of others alone', async () => {
      const [left, fresh] = [await fileWith(store, randomBytes(9)), await fileWith(store, randomBytes(9))];
      const twoHoursAgo = new Date(Date.now() - 2 * 3_600_000);
      await utimes(left, twoHoursAgo, twoHoursAgo);
      const before = (await listed(store)).length;
      await expect(store.cleanUp()).resolves.toBe(1);
      await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(stat(fresh)).resolves.toMatchObject({ size: 9 });
      expect(await listed(store)).toHaveLength(before);
    });
  });
}
