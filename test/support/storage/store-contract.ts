import { createHash, randomBytes } from 'node:crypto';
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type ImageStore,
  NotStored,
  originalKey,
  SizeDiffers,
  type StoredFile,
  type StoreKey,
  variantKey,
} from '../../../src/storage/image-store.js';

/** A store without images of its own. It may hold a few foreign files. */
export interface StoreUnderTest {
  store: ImageStore;
  close(): Promise<void>;
}

export const originalKeyOf = (bytes: Buffer) => originalKey(createHash('sha256').update(bytes).digest());

/** Writes the bytes to a temporary file of the store, and returns its path. */
export async function writeTemporaryFile(store: ImageStore, bytes: Buffer): Promise<string> {
  const path = await store.incoming.createPath();
  await writeFile(path, bytes);
  return path;
}

export async function putBytes(store: ImageStore, bytes: Buffer): Promise<StoreKey> {
  const key = originalKeyOf(bytes);
  await store.put(key, await writeTemporaryFile(store, bytes));
  return key;
}

export async function listFiles(store: ImageStore): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for await (const file of store.list()) files.push(file);
  return files;
}

/** Tests the contract of `ImageStore`. */
export function describeStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as an image store`, () => {
    let underTest: StoreUnderTest;
    let store: ImageStore;
    beforeAll(async () => {
      underTest = await open();
      store = underTest.store;
    });
    afterAll(() => underTest.close());

    test('is empty and writable at first', async () => {
      await expect(store.assertWritable()).resolves.toBeUndefined();
      await expect(listFiles(store)).resolves.toEqual([]);
    });

    test.each([
      ['1 byte', 1],
      ['100 kB', 100_000],
      ['8 MB', 8 * 1024 * 1024],
      ['20 MB', 20 * 1024 * 1024],
    ])('returns %s as they were stored', async (_size, length) => {
      const bytes = randomBytes(length);
      await expect(store.size(originalKeyOf(bytes))).resolves.toBeNull();
      const key = await putBytes(store, bytes);
      await expect(store.size(key)).resolves.toBe(length);
      const read = await buffer(await store.open(key));
      // Not `toEqual`, because it takes minutes to print a difference in 20 MB.
      expect(read.equals(bytes)).toBe(true);
    });

    test('returns a range of a file, at most up to its last byte', async () => {
      const key = await putBytes(store, Buffer.from('0123456789'));
      const part = async (start: number, end: number) =>
        String(await buffer(await store.open(key, { start, end })));
      await expect(part(0, 1)).resolves.toBe('01');
      await expect(part(2, 4)).resolves.toBe('234');
      await expect(part(9, 9)).resolves.toBe('9');
      await expect(part(7, 99)).resolves.toBe('789');
      await expect(part(10, 12)).rejects.toThrow(RangeError);
      await expect(part(4, 2)).rejects.toThrow(RangeError);
    });

    test('opens a file only if it has the size that its reader expects', async () => {
      const key = await putBytes(store, Buffer.from('0123456789'));
      const part = async (start: number, end: number, totalBytes: number) =>
        String(await buffer(await store.open(key, { start, end, totalBytes })));
      await expect(part(0, 9, 10)).resolves.toBe('0123456789');
      await expect(part(2, 4, 10)).resolves.toBe('234');
      await expect(part(10, 12, 10)).rejects.toThrow(RangeError);
      for (const [start, end, totalBytes] of [
        [0, 8, 9],
        [0, 10, 11],
        [2, 4, 9],
        [2, 4, 11],
        [15, 19, 20],
      ] as const)
        await expect(part(start, end, totalBytes)).rejects.toThrow(SizeDiffers);
    });

    test('allows a reader to stop in the middle', async () => {
      const key = await putBytes(store, randomBytes(3_000_000));
      for (let reader = 0; reader < 60; reader += 1) {
        const stream = await store.open(key);
        stream.on('error', () => undefined).destroy();
      }
      await expect(store.size(key)).resolves.toBe(3_000_000);
    });

    test('reports that nothing is stored under a key', async () => {
      const key = originalKeyOf(Buffer.from('never put'));
      await expect(store.size(key)).resolves.toBeNull();
      await expect(store.open(key)).rejects.toThrow(NotStored);
      await expect(store.open(key, { start: 0, end: 1 })).rejects.toThrow(NotStored);
      await expect(store.remove([key])).resolves.toBeUndefined();
    });

    test('stores variants beside their original, each under its own key', async () => {
      const original = randomBytes(10);
      const sha256 = createHash('sha256').update(original).digest();
      const contents = new Map([[await putBytes(store, original), original]]);
      const variants = [variantKey(sha256, 640, null), variantKey(sha256, 64, 'webp')];
      for (const key of variants) {
        const bytes = randomBytes(10);
        await store.put(key, await writeTemporaryFile(store, bytes));
        contents.set(key, bytes);
      }
      for (const [key, bytes] of contents)
        await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
      const keys = (await listFiles(store)).map((file) => file.key);
      expect(keys).toEqual(expect.arrayContaining([...contents.keys()]));
    });

    test('accepts the same content from many callers at once, and again later', async () => {
      const bytes = randomBytes(1_000_000);
      const key = originalKeyOf(bytes);
      const paths = await Promise.all(Array.from({ length: 10 }, () => writeTemporaryFile(store, bytes)));
      await Promise.all(paths.map((path) => store.put(key, path)));
      await putBytes(store, bytes);
      expect((await buffer(await store.open(key))).equals(bytes)).toBe(true);
      expect((await listFiles(store)).filter((file) => file.key === key)).toHaveLength(1);
    });

    test.each([0, 700, 1_300])('replaces a damaged file of %i bytes by the one of 1,000', async (length) => {
      const bytes = randomBytes(1_000);
      const key = originalKeyOf(bytes);
      await store.put(key, await writeTemporaryFile(store, randomBytes(length)));
      await putBytes(store, bytes);
      await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
    });

    test('replaces a damaged file of the same size by a good one', async () => {
      const bytes = randomBytes(1_000);
      const damaged = randomBytes(1_000);
      const key = originalKeyOf(bytes);
      await store.replace(key, await writeTemporaryFile(store, damaged));
      await putBytes(store, bytes);
      await expect(buffer(await store.open(key))).resolves.toEqual(damaged);
      await store.replace(key, await writeTemporaryFile(store, bytes));
      await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
    });

    test('keeps the stored file when the one that replaces it cannot be read', async () => {
      const bytes = randomBytes(9);
      const key = await putBytes(store, bytes);
      await expect(store.replace(key, await store.incoming.createPath())).rejects.toMatchObject({
        code: 'ENOENT',
      });
      await expect(buffer(await store.open(key))).resolves.toEqual(bytes);
    });

    test('removes the given keys and no others', async () => {
      const [first, second, third] = [
        await putBytes(store, randomBytes(9)),
        await putBytes(store, randomBytes(9)),
        await putBytes(store, randomBytes(9)),
      ];
      await store.remove([first, third, originalKeyOf(Buffer.from('absent'))]);
      await store.remove([]);
      const sizes = Promise.all([first, second, third].map((key) => store.size(key)));
      await expect(sizes).resolves.toEqual([null, 9, null]);
    });

    test('lists and removes more files than one page holds', async () => {
      const contents = Array.from({ length: 1_100 }, (_, index) => Buffer.from(`file ${index}`));
      const before = Date.now();
      // Not more at a time: a busy machine would let the last of them wait for longer than a disk may take.
      for (let from = 0; from < contents.length; from += 4)
        await Promise.all(contents.slice(from, from + 4).map((bytes) => putBytes(store, bytes)));
      const expected = new Map(contents.map((bytes) => [originalKeyOf(bytes), bytes.length]));
      const found = (await listFiles(store)).filter((file) => expected.has(file.key));
      expect(new Map(found.map((file) => [file.key, file.byteSize]))).toEqual(expected);
      // Some stores return dates in whole seconds.
      for (const { modifiedAt } of found)
        expect(Math.abs(modifiedAt.getTime() - before)).toBeLessThan(60_000);
      await store.remove([...expected.keys()]);
      expect((await listFiles(store)).filter((file) => expected.has(file.key))).toEqual([]);
    });

    const hash = 'ab'.repeat(32);
    test.each([
      ['a path out of the folder', '../../../../tmp/hostile'],
      ['a hash and a path out of the folder', `${hash}/../../../hostile`],
      ['a hash with a NUL', `${hash}\0`],
      ['a hash with a line break', `${hash}\n`],
      ['a hash in upper case', hash.toUpperCase()],
      ['a width of 0', `${hash}.w0.webp`],
      ['an unsupported format', `${hash}.w64.svg`],
      ['a temporary file', 'incoming/x'],
    ])('refuses %s as a key', async (_what, text) => {
      const key = text as StoreKey;
      const path = await writeTemporaryFile(store, Buffer.from('hostile'));
      await expect(store.put(key, path)).rejects.toThrow(RangeError);
      await expect(store.replace(key, path)).rejects.toThrow(RangeError);
      await expect(store.size(key)).rejects.toThrow(RangeError);
      await expect(store.open(key)).rejects.toThrow(RangeError);
      await expect(store.remove([key])).rejects.toThrow(RangeError);
    });

    test('stores nothing of a file that cannot be read', async () => {
      const key = originalKeyOf(Buffer.from('unreadable'));
      await expect(store.put(key, await store.incoming.createPath())).rejects.toMatchObject({
        code: 'ENOENT',
      });
      const folder = await store.incoming.createPath();
      await mkdir(folder);
      await expect(store.put(key, folder)).rejects.toMatchObject({ code: 'EISDIR' });
      await expect(store.size(key)).resolves.toBeNull();
      expect((await listFiles(store)).map((file) => file.key)).not.toContain(key);
    });

    test('removes stale temporary files of a crash, and keeps recent ones', async () => {
      const [stale, fresh] = [
        await writeTemporaryFile(store, randomBytes(9)),
        await writeTemporaryFile(store, randomBytes(9)),
      ];
      const twoHoursAgo = new Date(Date.now() - 2 * 3_600_000);
      await utimes(stale, twoHoursAgo, twoHoursAgo);
      const before = (await listFiles(store)).length;
      await expect(store.incoming.cleanUp()).resolves.toBe(1);
      await expect(stat(stale)).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(stat(fresh)).resolves.toMatchObject({ size: 9 });
      expect(await listFiles(store)).toHaveLength(before);
    });
  });
}
