import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { findModel, FLUX_MODELS, type FluxModel } from '../../../src/core/tasks/models.js';
import { renderCaption } from '../../../src/sandbox/painting/caption.js';
import { paintImage, type PaintingParameters } from '../../../src/sandbox/painting/paint-image.js';
import { resolveImageSize } from '../../../src/sandbox/painting/image-size.js';
import { SandboxUnderTest, serveBody } from '../../support/upstreams/sandbox-under-test.js';

const parameters: PaintingParameters = {
  caption: 'a cat',
  seed: 7,
  model: 'flux-dev',
  width: 256,
  height: 192,
  index: 0,
};

function model(name: string): FluxModel {
  const found = findModel(name);
  if (!found) throw new Error(`no model ${name}`);
  return found;
}

describe('painting', () => {
  test('produces the same bytes for the same parameters', async () => {
    expect((await paintImage(parameters)).equals(await paintImage({ ...parameters }))).toBe(true);
  });

  test.each([{ caption: 'a dog' }, { seed: 8 }, { model: 'flux-pro' }, { width: 288 }, { index: 1 }])(
    'produces other bytes for %j',
    async (change) => {
      const changed = await paintImage({ ...parameters, ...change });
      expect(changed.equals(await paintImage(parameters))).toBe(false);
    },
  );

  test('paints the smallest image, without text', async () => {
    const { width, height } = await sharp(
      await paintImage({ ...parameters, width: 64, height: 64 }),
    ).metadata();
    expect([width, height]).toEqual([64, 64]);
  });

  test('paints a prompt full of markup and unknown characters', async () => {
    const caption = '</svg><script>&"\' 一只猫 مرحبا 🐈 \u0000\u0007 \ud83d constructor';
    await expect(paintImage({ ...parameters, caption })).resolves.toBeInstanceOf(Buffer);
  });
});

describe('sizes', () => {
  test('are used as pixels, or become about a megapixel in multiples of 16 for a ratio', () => {
    expect(resolveImageSize(model('flux-dev'), '512x768')).toEqual({ width: 512, height: 768 });
    expect(resolveImageSize(model('flux-dev'), null)).toEqual({ width: 1024, height: 1024 });
    for (const ratio of model('flux-kontext-pro').aspectRatios) {
      const { width, height } = resolveImageSize(model('flux-kontext-pro'), ratio);
      expect([width % 16, height % 16]).toEqual([0, 0]);
      expect((width * height) / 1024 ** 2).toBeCloseTo(1, 1);
    }
    expect(FLUX_MODELS.map((known) => resolveImageSize(known, null))).toEqual(
      FLUX_MODELS.map(() => ({ width: 1024, height: 1024 })),
    );
  });
});

describe('captions', () => {
  const render = async (prompt: string, side = 1024) => {
    const imageSize = { width: side, height: side };
    const caption = await renderCaption({
      prompt,
      detail: 'seed 1',
      ink: '#ffffff',
      imageSize,
      maxWidth: side - 100,
    });
    if (!caption) throw new Error('no caption');
    return caption;
  };

  test('wrap at words, and within a word that is wider than the image', async () => {
    const line = await render('a quick brown fox');
    for (const prompt of ['a quick brown fox jumps over '.repeat(3), 'x'.repeat(80)]) {
      const lines = await render(prompt);
      expect(lines.width).toBeLessThanOrEqual(924);
      expect(lines.height).toBeGreaterThan(line.height);
    }
  });

  test.each(['word '.repeat(400), 'W'.repeat(2000), '猫'.repeat(2000)])(
    'show four lines at most of a prompt that is too long',
    async (prompt) => {
      for (const side of [128, 256, 1440]) {
        const { height, width } = await render(prompt, side);
        expect(width).toBeLessThanOrEqual(side - 100);
        expect(height).toBeLessThan(Math.max(14, side * 0.03) * 6.5);
      }
    },
  );

  test('show markup as text', async () => {
    const plain = await render('big cat');
    for (const prompt of ['<b>big</b> cat', '&lt;big cat', '<span size="999999">big cat']) {
      expect((await render(prompt)).width).toBeGreaterThan(plain.width);
      expect((await render(prompt)).height).toBeLessThan(plain.height + 12);
    }
  });

  test('have letters with accents', async () => {
    const [plain, accented] = [await render('E'), await render('É')];
    expect(accented.height).toBeGreaterThan(plain.height);
  });
});

describe('edits', () => {
  let sandbox: SandboxUnderTest;
  beforeAll(async () => {
    sandbox = await SandboxUnderTest.start();
  });
  afterAll(() => sandbox.stop());

  const edit = (image_url: string, fields: object = {}) =>
    sandbox.submit({
      action: 'edits',
      prompt: 'like an old photograph',
      model: 'flux-kontext-pro',
      image_url,
      ...fields,
    });
  const fetchImage = async (link: string | undefined) =>
    Buffer.from(await (await fetch(link ?? 'missing')).arrayBuffer());
  const plainImage = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#3060c0' } })
      .png()
      .toBuffer();

  test('fetch the source and return it changed, in its own size', async () => {
    const source = await serveBody(200, await plainImage(640, 400));
    const { body } = await edit(source.url);
    const png = await fetchImage(body.data?.[0]?.image_url);
    const { width, height } = await sharp(png).metadata();
    expect([width, height]).toEqual([640, 400]);
    const [r, g, b] = await sharp(png)
      .extract({ left: 300, top: 100, width: 1, height: 1 })
      .removeAlpha()
      .raw()
      .toBuffer();
    expect([r, g, b]).not.toEqual([0x30, 0x60, 0xc0]);
    const again = await edit(source.url);
    expect(png.equals(await fetchImage(again.body.data?.[0]?.image_url))).toBe(true);
    expect(await sandbox.charges('like an old')).toMatchObject({
      total: 2,
      images: 2,
      generations: [{ action: 'edit' }, { action: 'edit' }],
    });
    await source.stop();
  });

  test('use a given ratio, and at most 1440 pixels on a side otherwise', async () => {
    const source = await serveBody(200, await plainImage(2880, 1000));
    const editedSizeOf = async (fields: object) => {
      const { body } = await edit(source.url, fields);
      const { width, height } = await sharp(await fetchImage(body.data?.[0]?.image_url)).metadata();
      return [width, height];
    };
    expect(await editedSizeOf({ size: '9:16' })).toEqual([768, 1360]);
    expect(await editedSizeOf({})).toEqual([1440, 500]);
    await source.stop();
  });

  test('accept painted images, and both actions', async () => {
    const { body } = await sandbox.generate('a source');
    const reply = await edit(body.data?.[0]?.image_url ?? '', { action: 'edit', count: 3 });
    expect(reply.body.data).toHaveLength(1);
  });

  test('follow a redirect', async () => {
    const source = await serveBody(200, await plainImage(64, 64));
    const moved = await serveBody(302, '', { location: source.url });
    expect((await edit(moved.url)).status).toBe(200);
    await Promise.all([source.stop(), moved.stop()]);
  });

  test('fail with api_error "fetch failed" when the source cannot be fetched', async () => {
    const gone = await serveBody(404, 'gone');
    const failed = {
      status: 500,
      body: { success: false, error: { code: 'api_error', message: 'fetch failed' } },
    };
    expect(await edit(gone.url)).toMatchObject(failed);
    await gone.stop();
    expect(await edit(gone.url)).toMatchObject(failed);
  });

  test('fail with api_error when the source is larger than 25 MB or not an image', async () => {
    const large = await serveBody(200, Buffer.alloc(26 * 1024 * 1024));
    const page = await serveBody(200, '<html></html>');
    expect((await edit(large.url)).body.error).toEqual({ code: 'api_error', message: 'fetch failed' });
    expect((await edit(page.url)).body.error).toMatchObject({ code: 'api_error' });
    await Promise.all([large.stop(), page.stop()]);
  });
});
