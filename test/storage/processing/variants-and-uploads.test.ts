import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { ImageUnavailable, StoreUnavailable } from '../../../src/core/errors.js';
import { IMAGE_FORMATS } from '../../../src/core/images/image.js';
import { inspectImage } from '../../../src/storage/processing/inspect-image.js';
import { createVariant } from '../../../src/storage/processing/create-variant.js';
import { normalizeUpload } from '../../../src/storage/processing/normalize-upload.js';

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-transform-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, String((files += 1)));
async function fileWith(bytes: Buffer): Promise<string> {
  const path = newPath();
  await writeFile(path, bytes);
  return path;
}

const RED = '#ff0000';
const plain = (width: number, height: number, background = RED) =>
  sharp({ create: { width, height, channels: 3, background } });
/** Red on the left and blue on the right, with the metadata that a camera writes. */
const photo = () =>
  plain(400, 300)
    .composite([
      {
        input: { create: { width: 200, height: 300, channels: 3, background: '#0000ff' } },
        left: 200,
        top: 0,
      },
    ])
    .withExif({
      IFD0: { Artist: 'photographer' },
      IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1' },
    })
    .withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"><photographer/></x:xmpmeta>');

async function pixelAt(path: string, left: number, top: number): Promise<number[]> {
  const { data } = await sharp(path)
    .extract({ left, top, width: 1, height: 1 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return [...data];
}

describe('a variant', () => {
  test.each(IMAGE_FORMATS)('has format %s and the requested width', async (format) => {
    const [from, to] = [await fileWith(await photo().png().toBuffer()), newPath()];
    await createVariant(from, to, { width: 200, format });
    await expect(inspectImage(to)).resolves.toMatchObject({
      width: 200,
      height: 150,
      mimeType: `image/${format}`,
    });
  });

  test('keeps the width of the original without a requested one, and is never enlarged', async () => {
    const from = await fileWith(await photo().png().toBuffer());
    for (const width of [null, 400, 1440]) {
      const to = newPath();
      await createVariant(from, to, { width, format: 'webp' });
      await expect(inspectImage(to)).resolves.toMatchObject({ width: 400, height: 300 });
    }
  });

  test('is upright, and its width applies after the rotation', async () => {
    const from = await fileWith(await photo().jpeg().withMetadata({ orientation: 6 }).toBuffer());
    const to = newPath();
    await createVariant(from, to, { width: 150, format: 'png' });
    await expect(sharp(to).metadata()).resolves.toMatchObject({ width: 150, height: 200 });
    // After a rotation by 90 degrees clockwise, the left side is at the top.
    expect((await pixelAt(to, 75, 20))[0]).toBeGreaterThan(200);
    expect((await pixelAt(to, 75, 180))[2]).toBeGreaterThan(200);
  });

  test('contains no metadata', async () => {
    const from = await fileWith(await photo().withIccProfile('p3').jpeg().toBuffer());
    await expect(sharp(from).metadata()).resolves.toMatchObject({ hasProfile: true });
    for (const format of IMAGE_FORMATS) {
      const to = newPath();
      await createVariant(from, to, { width: null, format });
      const { exif, xmp, icc, iptc } = await sharp(to).metadata();
      expect([exif, xmp, icc, iptc]).toEqual([undefined, undefined, undefined, undefined]);
    }
  });

  test('has a white background in a format without transparency', async () => {
    const transparent = sharp({ create: { width: 9, height: 9, channels: 4, background: '#0000' } });
    const [from, to] = [await fileWith(await transparent.png().toBuffer()), newPath()];
    await createVariant(from, to, { width: null, format: 'jpeg' });
    await expect(pixelAt(to, 4, 4)).resolves.toEqual([255, 255, 255]);
  });

  test('is refused when it would take too much memory at its width, and created at a smaller width', async () => {
    const [from, to] = [await fileWith(await plain(4000, 3000).png().toBuffer()), newPath()];
    const error: unknown = await createVariant(from, to, { width: null, format: 'avif' }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ImageUnavailable);
    expect((error as ImageUnavailable).message).toMatch(/4000 x 3000 .* avif/);
    expect((error as ImageUnavailable).retryable).toBe(false);
    await createVariant(from, to, { width: 256, format: 'avif' });
    await expect(inspectImage(to)).resolves.toMatchObject({ width: 256 });
  });

  test('blames the disk, not the image, when it cannot be written', async () => {
    const from = await fileWith(await photo().png().toBuffer());
    await expect(
      createVariant(from, join(folder, 'absent', 'x'), { width: 64, format: 'webp' }),
    ).rejects.toThrow(StoreUnavailable);
    const broken = await fileWith(Buffer.from('not an image'));
    await expect(createVariant(broken, newPath(), { width: 64, format: 'webp' })).rejects.toThrow(
      ImageUnavailable,
    );
  });
});

describe('an uploaded image', () => {
  test.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/png'],
    ['avif', 'image/png'],
  ] as const)('of format %s is stored as %s', async (format, mimeType) => {
    const [from, to] = [await fileWith(await photo().toFormat(format).toBuffer()), newPath()];
    await normalizeUpload(from, to);
    await expect(inspectImage(to)).resolves.toMatchObject({ width: 400, height: 300, mimeType });
  });

  test('loses its location and author, and is stored upright', async () => {
    const from = await fileWith(await photo().withMetadata({ orientation: 6 }).jpeg().toBuffer());
    expect((await sharp(from).metadata()).exif?.toString('latin1')).toContain('photographer');
    const to = newPath();
    await normalizeUpload(from, to);
    const { exif, xmp, icc, orientation, width, height } = await sharp(to).metadata();
    expect({ exif, xmp, icc, orientation, width, height }).toEqual({ width: 300, height: 400 });
    expect((await pixelAt(to, 150, 20))[0]).toBeGreaterThan(200);
  });

  test('keeps its colors when its profile is removed', async () => {
    const [from, to] = [
      await fileWith(await plain(9, 9, '#c04020').withIccProfile('p3').png().toBuffer()),
      newPath(),
    ];
    const unread = await sharp(from, { ignoreIcc: true }).raw().toBuffer();
    expect([...unread.subarray(0, 3)]).not.toEqual([0xc0, 0x40, 0x20]);
    await normalizeUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ space: 'srgb', hasProfile: false });
    const channels = await pixelAt(to, 4, 4);
    for (const [at, expected] of [0xc0, 0x40, 0x20].entries())
      expect(Math.abs((channels[at] ?? 0) - expected)).toBeLessThanOrEqual(2);
  });

  test.each([
    ['has 16 bits', () => plain(9, 9).toColourspace('rgb16').png()],
    ['is CMYK', () => plain(9, 9).toColourspace('cmyk').jpeg()],
    ['is grey', () => plain(9, 9).toColourspace('b-w').png()],
  ])('that %s becomes 8-bit sRGB', async (_what, make) => {
    const [from, to] = [await fileWith(await make().toBuffer()), newPath()];
    await normalizeUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ space: 'srgb', depth: 'uchar', channels: 3 });
  });

  test('that is a transparent WebP becomes a PNG with the same transparency', async () => {
    const half = sharp({
      create: { width: 9, height: 9, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0.5 } },
    });
    const [from, to] = [await fileWith(await half.webp({ lossless: true }).toBuffer()), newPath()];
    await normalizeUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ format: 'png', hasAlpha: true });
    await expect(pixelAt(to, 4, 4)).resolves.toEqual([255, 0, 0, 128]);
  });

  const noise = () => {
    const pixels = Buffer.from(Array.from({ length: 200 * 200 * 3 }, (_, at) => (at * 7919) % 251));
    return sharp(pixels, { raw: { width: 200, height: 200, channels: 3 } });
  };
  const ended = (bytes: Buffer, share: number) => bytes.subarray(0, Math.floor(bytes.length * share));
  test.each([
    ['a JPEG without its last 2 bytes', async () => (await noise().jpeg().toBuffer()).subarray(0, -2)],
    ['a JPEG of which 70 % are there', async () => ended(await noise().jpeg().toBuffer(), 0.7)],
    [
      'a progressive JPEG after its first scan',
      async () => ended(await noise().jpeg({ progressive: true }).toBuffer(), 0.5),
    ],
    ['a GIF without its last 4 bytes', async () => (await noise().gif().toBuffer()).subarray(0, -4)],
    ['a PNG without its last 4 bytes', async () => (await noise().png().toBuffer()).subarray(0, -4)],
    [
      'a PNG with other bytes behind it',
      async () => Buffer.concat([await noise().png().toBuffer(), Buffer.from('x')]),
    ],
  ])('may be %s, because viewers show it', async (_what, make) => {
    const [from, to] = [await fileWith(await make()), newPath()];
    await normalizeUpload(from, to);
    await expect(inspectImage(to)).resolves.toMatchObject({ width: 200, height: 200 });
  });

  test.each([
    [
      'a PNG with a wrong checksum',
      async () => {
        const bytes = await noise().png().toBuffer();
        const end = bytes.lastIndexOf('IEND') - 8;
        return bytes.fill(0x5a, end, end + 4);
      },
    ],
    ['half of a PNG', async () => ended(await noise().png().toBuffer(), 0.5)],
    ['a third of a JPEG', async () => ended(await noise().jpeg().toBuffer(), 0.33)],
    [
      'the first bytes of a progressive JPEG',
      async () => ended(await noise().jpeg({ progressive: true }).toBuffer(), 0.02),
    ],
    ['half of a GIF', async () => ended(await noise().gif().toBuffer(), 0.5)],
    ['half of a WebP', async () => ended(await noise().webp().toBuffer(), 0.5)],
  ])('that is %s is refused, and the disk is not blamed', async (_what, make) => {
    const from = await fileWith(await make());
    await expect(normalizeUpload(from, newPath())).rejects.toMatchObject({
      name: 'ImageUnavailable',
      retryable: false,
    });
  });

  test('is not blamed when the disk does not take it', async () => {
    const from = await fileWith(await noise().png().toBuffer());
    for (const to of ['/dev/full', join(folder, 'absent', 'x')])
      await expect(normalizeUpload(from, to)).rejects.toMatchObject({ name: 'StoreUnavailable' });
  });

  test('is not written to a disk with little free space', async () => {
    // Such a disk, on Linux.
    const outputPath = '/proc/darkroom-upload';
    const from = await fileWith(await photo().png().toBuffer());
    const refusal = 'the disk has less than 101 MB of free space';
    await expect(normalizeUpload(from, outputPath)).rejects.toThrow(refusal);
    await expect(createVariant(from, outputPath, { width: 200, format: 'png' })).rejects.toThrow(refusal);
  });

  test('that is not an image is refused, and nothing is written', async () => {
    const to = newPath();
    await expect(normalizeUpload(await fileWith(Buffer.from('<svg/>')), to)).rejects.toThrow(
      ImageUnavailable,
    );
    await expect(stat(to)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
