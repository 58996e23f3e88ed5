import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import crc32 from 'crc-32';
import sharp, { type Sharp } from 'sharp';
import { thumbHashToAverageRGBA } from 'thumbhash';
import { PictureUnavailable } from '../../../src/core/errors.js';
import { inspectPicture } from '../../../src/storage/processing/inspect-image.js';

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-inspect-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileWith(bytes: Buffer, name = 'picture'): Promise<string> {
  const path = join(folder, `${(files += 1)}-${name}`);
  await writeFile(path, bytes);
  return path;
}

const blue = (width = 30, height = 20) =>
  sharp({ create: { width, height, channels: 4, background: '#00f8' } });

/** Pixels that do not compress, so that every part of the file matters. */
function noise(side: number): Sharp {
  const pixels = Buffer.from(Array.from({ length: side * side * 3 }, (_, at) => (at * 7919) % 251));
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } });
}

/** A PNG of one colour with one bit for each pixel, as small as it can be. */
function onePixelColour(width: number, height: number, interlaced = false): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeInt32BE(crc32.buf(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([1, 0, 0, 0, interlaced ? 1 : 0], 8);
  const lines = deflateSync(Buffer.alloc((1 + Math.ceil(width / 8)) * height));
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', lines),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

async function refusal(path: string): Promise<PictureUnavailable> {
  const error: unknown = await inspectPicture(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PictureUnavailable);
  expect((error as PictureUnavailable).retryable).toBe(false);
  expect((error as PictureUnavailable).message).not.toContain(folder);
  return error as PictureUnavailable;
}

describe('looking at a picture', () => {
  test.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/gif'],
    ['avif', 'image/avif'],
  ] as const)('tells a %s by decoding it, whatever it is called', async (format, mimeType) => {
    const path = await fileWith(await blue().toFormat(format).toBuffer(), 'picture.txt');
    const facts = await inspectPicture(path);
    expect(facts).toMatchObject({ width: 30, height: 20, mimeType });
    expect(facts.thumbhash.length).toBeGreaterThan(4);
  });

  test('gives the sides of a turned picture as it is meant to be seen', async () => {
    const turned = await blue().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    await expect(inspectPicture(await fileWith(turned))).resolves.toMatchObject({ width: 20, height: 30 });
  });

  test.each(['gif', 'webp'] as const)('takes the first picture of an animated %s', async (format) => {
    const frames = await Promise.all(['#f00', '#0f0', '#00f'].map(frame));
    const animated = await sharp(frames, { join: { animated: true } })
      .toFormat(format)
      .toBuffer();
    await expect(sharp(animated).metadata()).resolves.toMatchObject({ pages: 3 });
    const facts = await inspectPicture(await fileWith(animated));
    expect(facts).toMatchObject({ width: 16, height: 12, mimeType: `image/${format}` });
    const { r, g, b } = thumbHashToAverageRGBA(facts.thumbhash);
    expect([r, g, b].map(Math.round)).toEqual([1, 0, 0]);
  });
  const frame = (background: string) =>
    sharp({ create: { width: 16, height: 12, channels: 3, background } })
      .png()
      .toBuffer();

  test.each([
    ['a JPEG in inks', () => noise(40).toColourspace('cmyk').jpeg()],
    ['a PNG with 16 bits', () => noise(40).toColourspace('rgb16').png()],
    ['a grey PNG', () => noise(40).toColourspace('b-w').png()],
    ['an interlaced PNG', () => noise(40).png({ progressive: true })],
    ['a progressive JPEG', () => noise(40).jpeg({ progressive: true })],
    ['a WebP without loss', () => noise(40).webp({ lossless: true })],
  ])('reads %s', async (_what, make) => {
    const path = await fileWith(await make().toBuffer());
    await expect(inspectPicture(path)).resolves.toMatchObject({ width: 40, height: 40 });
  });

  test('reads a picture of one pixel, and the longest of lines', async () => {
    const one = await inspectPicture(await fileWith(await blue(1, 1).png().toBuffer()));
    expect(one).toMatchObject({ width: 1, height: 1 });
    expect(one.thumbhash.length).toBeGreaterThan(4);
    const line = await inspectPicture(await fileWith(await blue(10_000, 1).png().toBuffer()));
    expect(line).toMatchObject({ width: 10_000, height: 1 });
  });

  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from([0x89])],
    ['an HTML page', Buffer.from('<!doctype html><html><body>502 Bad Gateway</body></html>')],
    ['an SVG, which can hold scripts', Buffer.from(svg)],
    ['an SVG with a declaration', Buffer.from(`<?xml version="1.0"?>\n${svg}`)],
    ['an SVG behind a PNG signature', Buffer.from(`\x89PNG\r\n\x1a\n${svg}`, 'latin1')],
    ['a PDF', Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\n')],
    ['a HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')],
    ['an AVIF with a box without end', Buffer.from('\xff\xff\xff\xffftypavif', 'latin1')],
    ['the beginning of a PNG', Buffer.from('89504e470d0a1a0a', 'hex')],
    ['the beginning of a JPEG', Buffer.from('ffd8ffe0', 'hex')],
  ])('refuses %s, called a PNG, for good', async (_what, bytes) => {
    await refusal(await fileWith(bytes, 'picture.png'));
  });

  test('refuses a TIFF, whose tiles can be larger than the picture', async () => {
    const path = await fileWith(
      await noise(9).tiff({ tile: true, tileWidth: 4096, tileHeight: 4096 }).toBuffer(),
    );
    expect((await refusal(path)).message).toMatch(/png, jpeg, webp, gif, avif/);
  });

  test.each([
    ['png', 0.5],
    ['png', 0.98],
    ['jpeg', 0.5],
    ['jpeg', 0.98],
    ['webp', 0.5],
    ['webp', 0.98],
    ['gif', 0.5],
    ['avif', 0.5],
    ['avif', 0.98],
  ] as const)('refuses a %s that was cut off at %p of its length', async (format, share) => {
    const whole = await noise(300).toFormat(format).toBuffer();
    await refusal(await fileWith(whole.subarray(0, whole.length * share)));
  });

  test('refuses a bomb before it goes off', async () => {
    const bomb = onePixelColour(30_000, 30_000);
    expect(bomb.length).toBeLessThan(200_000);
    const path = await fileWith(bomb);
    const before = process.memoryUsage.rss();
    expect((await refusal(path)).message).toMatch(/30000 x 30000 pixels are more than 100 million/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
  });

  test('reads 100 megapixels line by line, and refuses them when they would have to be in memory at once', async () => {
    await expect(inspectPicture(await fileWith(onePixelColour(10_000, 10_000)))).resolves.toMatchObject({
      width: 10_000,
      mimeType: 'image/png',
    });
    const interlaced = await fileWith(
      await sharp(onePixelColour(15_000, 6_000)).png({ progressive: true }).toBuffer(),
    );
    expect((await refusal(interlaced)).message).toMatch(/too much memory/);
  });

  test('says that a file is not there with the error of the file system', async () => {
    await expect(inspectPicture(join(folder, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
