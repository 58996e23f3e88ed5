import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { PictureUnavailable } from '../../src/core/errors.js';
import { DiskStore } from '../../src/images/disk-store.js';
import { inspectPicture } from '../../src/images/inspect.js';

let folder: string;
let store: DiskStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-store-'));
  store = new DiskStore(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest();

describe('the disk store', () => {
  test('gives back what was put, whole and in parts', async () => {
    const bytes = Buffer.from('0123456789');
    await expect(store.has(hash(bytes))).resolves.toBe(false);
    await store.put(hash(bytes), bytes);
    await expect(store.has(hash(bytes))).resolves.toBe(true);
    await expect(buffer(store.open(hash(bytes)))).resolves.toEqual(bytes);
    await expect(buffer(store.open(hash(bytes), { start: 2, end: 4 }))).resolves.toEqual(Buffer.from('234'));
  });

  test('keeps equal bytes once, also when they come at the same moment, and leaves nothing half written', async () => {
    const bytes = Buffer.alloc(1024 * 1024, 7);
    await Promise.all(Array.from({ length: 10 }, () => store.put(hash(bytes), bytes)));
    const name = hash(bytes).toString('hex');
    await expect(readdir(join(folder, name.slice(0, 2)))).resolves.toEqual([name]);
    await expect(buffer(store.open(hash(bytes)))).resolves.toEqual(bytes);
  });

  test('fails to read what is not there', async () => {
    await expect(buffer(store.open(hash(Buffer.from('absent'))))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('looking at the bytes of a picture', () => {
  const blue = sharp({ create: { width: 30, height: 20, channels: 4, background: '#00f8' } });

  test.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/gif'],
    ['avif', 'image/avif'],
  ] as const)('tells a %s by decoding it', async (format, mimeType) => {
    const bytes = await blue.clone().toFormat(format).toBuffer();
    const facts = await inspectPicture(bytes);
    expect(facts).toMatchObject({ width: 30, height: 20, mimeType, byteSize: bytes.length });
    expect(facts.sha256).toEqual(hash(bytes));
    expect(facts.thumbhash.length).toBeGreaterThan(4);
  });

  test('gives the sides of a turned picture as it is meant to be seen', async () => {
    const turned = await blue.clone().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    await expect(inspectPicture(turned)).resolves.toMatchObject({ width: 20, height: 30 });
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['an HTML page', Buffer.from('<html><body>502 Bad Gateway</body></html>')],
    ['the beginning of a PNG', Buffer.from('89504e470d0a1a0a', 'hex')],
    [
      'an SVG, which can hold scripts',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    ],
  ])('refuses %s for good', async (_what, bytes) => {
    const error: unknown = await inspectPicture(bytes).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PictureUnavailable);
    expect((error as PictureUnavailable).retryable).toBe(false);
  });

  test('refuses one that was cut off', async () => {
    const noise = await sharp(
      Buffer.from(Array.from({ length: 300 * 300 * 3 }, (_, at) => (at * 7919) % 251)),
      {
        raw: { width: 300, height: 300, channels: 3 },
      },
    )
      .png()
      .toBuffer();
    await expect(inspectPicture(noise.subarray(0, noise.length / 2))).rejects.toThrow(PictureUnavailable);
  });
});
