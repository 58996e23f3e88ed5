import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import crc32 from 'crc-32';
import sharp, { type Sharp } from 'sharp';
import { thumbHashToAverageRGBA } from 'thumbhash';
import { ImageUnavailable } from '../../../src/core/errors.js';
import { inspectImage } from '../../../src/storage/processing/inspect-image.js';

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-inspect-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileWith(bytes: Buffer, name = 'image'): Promise<string> {
  const path = join(folder, `${(files += 1)}-${name}`);
  await writeFile(path, bytes);
  return path;
}

const blue = (width = 30, height = 20) =>
  sharp({ create: { width, height, channels: 4, background: '#00f8' } });

/** Pixels that do not compress, so that every byte of the file matters. */
function noise(side: number): Sharp {
  const pixels = Buffer.from(Array.from({ length: side * side * 3 }, (_, at) => (at * 7919) % 251));
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } });
}

/** The smallest possible PNG of this size: a single color with one bit per pixel. */
function singleColourPng(width: number, height: number, interlaced = false): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const lengthAndChecksum = Buffer.alloc(8);
    lengthAndChecksum.writeUInt32BE(data.length, 0);
    lengthAndChecksum.writeInt32BE(crc32.buf(body), 4);
    return Buffer.concat([lengthAndChecksum.subarray(0, 4), body, lengthAndChecksum.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, interlaced ? 1 : 0], 8);
  const pixelRows = deflateSync(Buffer.alloc((1 + Math.ceil(width / 8)) * height));
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', pixelRows),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

async function expectUnreadable(path: string): Promise<ImageUnavailable> {
  const error: unknown = await inspectImage(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ImageUnavailable);
  expect((error as ImageUnavailable).retryable).toBe(false);
  expect((error as ImageUnavailable).message).not.toContain(folder);
  return error as ImageUnavailable;
}

describe('inspectImage', () => {
  test.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/gif'],
    ['avif', 'image/avif'],
  ] as const)('identifies a %s by decoding it, whatever its file name', async (format, mimeType) => {
    const path = await fileWith(await blue().toFormat(format).toBuffer(), 'image.txt');
    const properties = await inspectImage(path);
    expect(properties).toMatchObject({ width: 30, height: 20, mimeType });
    expect(properties.thumbhash.length).toBeGreaterThan(4);
  });

  test('returns width and height after the EXIF rotation', async () => {
    const rotated = await blue().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    await expect(inspectImage(await fileWith(rotated))).resolves.toMatchObject({ width: 20, height: 30 });
  });

  test.each(['gif', 'webp'] as const)('uses the first frame of an animated %s', async (format) => {
    const frames = await Promise.all(['#f00', '#0f0', '#00f'].map(frame));
    const animated = await sharp(frames, { join: { animated: true } })
      .toFormat(format)
      .toBuffer();
    await expect(sharp(animated).metadata()).resolves.toMatchObject({ pages: 3 });
    const properties = await inspectImage(await fileWith(animated));
    expect(properties).toMatchObject({ width: 16, height: 12, mimeType: `image/${format}` });
    const { r, g, b } = thumbHashToAverageRGBA(properties.thumbhash);
    expect([r, g, b].map(Math.round)).toEqual([1, 0, 0]);
  });
  const frame = (background: string) =>
    sharp({ create: { width: 16, height: 12, channels: 3, background } })
      .png()
      .toBuffer();

  test.each([
    ['a CMYK JPEG', () => noise(40).toColourspace('cmyk').jpeg()],
    ['a 16-bit PNG', () => noise(40).toColourspace('rgb16').png()],
    ['a grey PNG', () => noise(40).toColourspace('b-w').png()],
    ['an interlaced PNG', () => noise(40).png({ progressive: true })],
    ['a progressive JPEG', () => noise(40).jpeg({ progressive: true })],
    ['a lossless WebP', () => noise(40).webp({ lossless: true })],
  ])('reads %s', async (_what, make) => {
    const path = await fileWith(await make().toBuffer());
    await expect(inspectImage(path)).resolves.toMatchObject({ width: 40, height: 40 });
  });

  test('reads an image of one pixel and one of a single, very long row', async () => {
    const one = await inspectImage(await fileWith(await blue(1, 1).png().toBuffer()));
    expect(one).toMatchObject({ width: 1, height: 1 });
    expect(one.thumbhash.length).toBeGreaterThan(4);
    const row = await inspectImage(await fileWith(await blue(10_000, 1).png().toBuffer()));
    expect(row).toMatchObject({ width: 10_000, height: 1 });
  });

  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
  test.each([
    ['an empty file', Buffer.alloc(0)],
    ['one byte', Buffer.from([0x89])],
    ['an HTML page', Buffer.from('<!doctype html><html><body>502 Bad Gateway</body></html>')],
    ['an SVG, which can hold scripts', Buffer.from(svg)],
    ['an SVG with a declaration', Buffer.from(`<?xml version="1.0"?>\n${svg}`)],
    ['an SVG behind a PNG signature', Buffer.from(`\x89PNG\r\n\x1a\n${svg}`, 'latin1')],
    ['a PDF', Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\n')],
    ['a HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')],
    ['an AVIF with an unbounded box', Buffer.from('\xff\xff\xff\xffftypavif', 'latin1')],
    ['the beginning of a PNG', Buffer.from('89504e470d0a1a0a', 'hex')],
    ['the beginning of a JPEG', Buffer.from('ffd8ffe0', 'hex')],
  ])('permanently refuses %s with the file name of a PNG', async (_what, bytes) => {
    await expectUnreadable(await fileWith(bytes, 'image.png'));
  });

  test('refuses a TIFF, whose tiles can be larger than the image', async () => {
    const path = await fileWith(
      await noise(9).tiff({ tile: true, tileWidth: 4096, tileHeight: 4096 }).toBuffer(),
    );
    expect((await expectUnreadable(path)).message).toMatch(/png, jpeg, webp, gif, avif/);
  });

  test.each([
    ['webp', 0.5],
    ['webp', 0.98],
    ['avif', 0.5],
    ['avif', 0.98],
  ] as const)(
    'refuses a %s truncated to %p of its length, of which nothing is shown',
    async (format, share) => {
      const whole = await noise(300).toFormat(format).toBuffer();
      await expectUnreadable(await fileWith(whole.subarray(0, whole.length * share)));
    },
  );

  test.each([
    ['png', 0.5],
    ['jpeg', 0.5],
    ['jpeg', 0.98],
    ['gif', 0.5],
  ] as const)('decodes what there is of a %s truncated to %p of its length', async (format, share) => {
    const whole = await noise(300).toFormat(format).toBuffer();
    const path = await fileWith(whole.subarray(0, whole.length * share));
    await expect(inspectImage(path)).resolves.toMatchObject({ width: 300, height: 300, decodeError: null });
  });

  test('refuses a decompression bomb without decoding it', async () => {
    const bomb = singleColourPng(30_000, 30_000);
    expect(bomb.length).toBeLessThan(200_000);
    const path = await fileWith(bomb);
    const before = process.memoryUsage.rss();
    expect((await expectUnreadable(path)).message).toMatch(
      /30000 x 30000 pixels are more than the maximum of 100 million/,
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
  });

  test('reads 100 megapixels row by row, and refuses an image that would need them all in memory at once', async () => {
    await expect(inspectImage(await fileWith(singleColourPng(10_000, 10_000)))).resolves.toMatchObject({
      width: 10_000,
      mimeType: 'image/png',
    });
    const interlaced = await fileWith(
      await sharp(singleColourPng(15_000, 6_000)).png({ progressive: true }).toBuffer(),
    );
    expect((await expectUnreadable(interlaced)).message).toMatch(/too much memory/);
  });

  test('blames the disk when the file cannot be read', async () => {
    const error = { name: 'StoreUnavailable', cause: { code: 'ENOENT' } };
    await expect(inspectImage(join(folder, 'absent'))).rejects.toMatchObject(error);
  });
});
