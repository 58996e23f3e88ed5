import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { PictureUnavailable, StoreUnavailable } from '../../../src/core/errors.js';
import { IMAGE_FORMATS } from '../../../src/core/images/image.js';
import { inspectPicture } from '../../../src/storage/processing/inspect-image.js';
import { makeVariant, normaliseUpload } from '../../../src/storage/processing/transform.js';

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
/** Red on the left, blue on the right, and everything that a camera writes beside it. */
const photo = () =>
  plain(400, 300)
    .composite([
      {
        input: { create: { width: 200, height: 300, channels: 3, background: '#0000ff' } },
        left: 200,
        top: 0,
      },
    ])
    .withExif({ IFD0: { Artist: 'somebody' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1' } })
    .withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"><somebody/></x:xmpmeta>');

async function pixelAt(path: string, left: number, top: number): Promise<number[]> {
  const { data } = await sharp(path)
    .extract({ left, top, width: 1, height: 1 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return [...data];
}

describe('a variant', () => {
  test.each(IMAGE_FORMATS)('is made as %s, as wide as asked for', async (format) => {
    const [from, to] = [await fileWith(await photo().png().toBuffer()), newPath()];
    await makeVariant(from, to, 200, format);
    await expect(inspectPicture(to)).resolves.toMatchObject({
      width: 200,
      height: 150,
      mimeType: `image/${format}`,
    });
  });

  test('keeps its width without one, and never grows', async () => {
    const from = await fileWith(await photo().png().toBuffer());
    for (const width of [null, 400, 1440]) {
      const to = newPath();
      await makeVariant(from, to, width, 'webp');
      await expect(inspectPicture(to)).resolves.toMatchObject({ width: 400, height: 300 });
    }
  });

  test('stands upright, and counts its width so', async () => {
    const from = await fileWith(await photo().jpeg().withMetadata({ orientation: 6 }).toBuffer());
    const to = newPath();
    await makeVariant(from, to, 150, 'png');
    await expect(sharp(to).metadata()).resolves.toMatchObject({ width: 150, height: 200 });
    // A quarter to the right: what was on the left is at the top.
    expect((await pixelAt(to, 75, 20))[0]).toBeGreaterThan(200);
    expect((await pixelAt(to, 75, 180))[2]).toBeGreaterThan(200);
  });

  test('tells nothing that the picture does not show', async () => {
    const from = await fileWith(await photo().withIccProfile('p3').jpeg().toBuffer());
    await expect(sharp(from).metadata()).resolves.toMatchObject({ hasProfile: true });
    for (const format of IMAGE_FORMATS) {
      const to = newPath();
      await makeVariant(from, to, null, format);
      const { exif, xmp, icc, iptc } = await sharp(to).metadata();
      expect([exif, xmp, icc, iptc]).toEqual([undefined, undefined, undefined, undefined]);
    }
  });

  test('has white paper behind it where a format knows no transparency', async () => {
    const clear = sharp({ create: { width: 9, height: 9, channels: 4, background: '#0000' } });
    const [from, to] = [await fileWith(await clear.png().toBuffer()), newPath()];
    await makeVariant(from, to, null, 'jpeg');
    await expect(pixelAt(to, 4, 4)).resolves.toEqual([255, 255, 255]);
  });

  test('is refused when its format would take too much memory at that width, and made when it is narrower', async () => {
    const [from, to] = [await fileWith(await plain(4000, 3000).png().toBuffer()), newPath()];
    const error: unknown = await makeVariant(from, to, null, 'avif').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PictureUnavailable);
    expect((error as PictureUnavailable).message).toMatch(/4000 x 3000 .* avif/);
    expect((error as PictureUnavailable).retryable).toBe(false);
    await makeVariant(from, to, 256, 'avif');
    await expect(inspectPicture(to)).resolves.toMatchObject({ width: 256 });
  });

  test('blames the disk and not the picture when it cannot be written', async () => {
    const from = await fileWith(await photo().png().toBuffer());
    await expect(makeVariant(from, join(folder, 'absent', 'x'), 64, 'webp')).rejects.toThrow(
      StoreUnavailable,
    );
    const broken = await fileWith(Buffer.from('no picture'));
    await expect(makeVariant(broken, newPath(), 64, 'webp')).rejects.toThrow(PictureUnavailable);
  });
});

describe('an upload', () => {
  test.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/png'],
    ['avif', 'image/png'],
  ] as const)('that is a %s is kept as %s', async (format, mimeType) => {
    const [from, to] = [await fileWith(await photo().toFormat(format).toBuffer()), newPath()];
    await normaliseUpload(from, to);
    await expect(inspectPicture(to)).resolves.toMatchObject({ width: 400, height: 300, mimeType });
  });

  test('loses where it was taken and by whom, and stands upright', async () => {
    const from = await fileWith(await photo().withMetadata({ orientation: 6 }).jpeg().toBuffer());
    expect((await sharp(from).metadata()).exif?.toString('latin1')).toContain('somebody');
    const to = newPath();
    await normaliseUpload(from, to);
    const { exif, xmp, icc, orientation, width, height } = await sharp(to).metadata();
    expect({ exif, xmp, icc, orientation, width, height }).toEqual({ width: 300, height: 400 });
    expect((await pixelAt(to, 150, 20))[0]).toBeGreaterThan(200);
  });

  test('keeps its colours when its profile is taken away', async () => {
    const [from, to] = [
      await fileWith(await plain(9, 9, '#c04020').withIccProfile('p3').png().toBuffer()),
      newPath(),
    ];
    const unread = await sharp(from, { ignoreIcc: true }).raw().toBuffer();
    expect([...unread.subarray(0, 3)]).not.toEqual([0xc0, 0x40, 0x20]);
    await normaliseUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ space: 'srgb', hasProfile: false });
    const colours = await pixelAt(to, 4, 4);
    for (const [at, wanted] of [0xc0, 0x40, 0x20].entries())
      expect(Math.abs((colours[at] ?? 0) - wanted)).toBeLessThanOrEqual(2);
  });

  test.each([
    ['has 16 bits', () => plain(9, 9).toColourspace('rgb16').png()],
    ['is in inks', () => plain(9, 9).toColourspace('cmyk').jpeg()],
    ['is grey', () => plain(9, 9).toColourspace('b-w').png()],
  ])('that %s becomes 8 bits of sRGB', async (_what, make) => {
    const [from, to] = [await fileWith(await make().toBuffer()), newPath()];
    await normaliseUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ space: 'srgb', depth: 'uchar', channels: 3 });
  });

  test('that is a transparent WebP becomes a PNG with the same transparency', async () => {
    const half = sharp({
      create: { width: 9, height: 9, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0.5 } },
    });
    const [from, to] = [await fileWith(await half.webp({ lossless: true }).toBuffer()), newPath()];
    await normaliseUpload(from, to);
    await expect(sharp(to).metadata()).resolves.toMatchObject({ format: 'png', hasAlpha: true });
    await expect(pixelAt(to, 4, 4)).resolves.toEqual([255, 0, 0, 128]);
  });

  test('that is no picture is refused, and nothing is written', async () => {
    const to = newPath();
    await expect(normaliseUpload(await fileWith(Buffer.from('<svg/>')), to)).rejects.toThrow(
      PictureUnavailable,
    );
    await expect(stat(to)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
