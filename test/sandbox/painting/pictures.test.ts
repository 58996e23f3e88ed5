import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { findModel, FLUX_MODELS, type FluxModel } from '../../../src/core/tasks/models.js';
import { layOutCaption } from '../../../src/sandbox/painting/caption.js';
import { BoundedMap } from '../../../src/sandbox/state/bounded-map.js';
import { paintPicture, type PictureFacts } from '../../../src/sandbox/painting/paint-picture.js';
import { pictureSides } from '../../../src/sandbox/painting/picture-size.js';
import { RecentBytes } from '../../../src/sandbox/state/recent-bytes.js';
import { textPaths, textWidth } from '../../../src/sandbox/painting/stroke-font.js';
import { SandboxUnderTest, serve } from '../../support/upstreams/sandbox-under-test.js';

const facts: PictureFacts = {
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
  it('gives the same bytes for the same facts', async () => {
    expect((await paintPicture(facts)).equals(await paintPicture({ ...facts }))).toBe(true);
  });

  it.each([{ caption: 'a dog' }, { seed: 8 }, { model: 'flux-pro' }, { width: 288 }, { index: 1 }])(
    'gives other bytes for %j',
    async (change) => {
      const changed = await paintPicture({ ...facts, ...change });
      expect(changed.equals(await paintPicture(facts))).toBe(false);
    },
  );

  it('paints the smallest picture, without text', async () => {
    const { width, height } = await sharp(await paintPicture({ ...facts, width: 64, height: 64 })).metadata();
    expect([width, height]).toEqual([64, 64]);
  });

  it('paints a prompt full of markup and unknown characters', async () => {
    const caption = '</svg><script>&"\' 一只猫 🐈 \u0000 constructor';
    await expect(paintPicture({ ...facts, caption })).resolves.toBeInstanceOf(Buffer);
  });
});

describe('sizes', () => {
  it('takes pixels as they are and makes about a megapixel of a ratio, in steps of 16', () => {
    expect(pictureSides(model('flux-dev'), '512x768')).toEqual({ width: 512, height: 768 });
    expect(pictureSides(model('flux-dev'), null)).toEqual({ width: 1024, height: 1024 });
    for (const ratio of model('flux-kontext-pro').ratios) {
      const { width, height } = pictureSides(model('flux-kontext-pro'), ratio);
      expect([width % 16, height % 16]).toEqual([0, 0]);
      expect((width * height) / 1024 ** 2).toBeCloseTo(1, 1);
    }
    expect(FLUX_MODELS.map((known) => pictureSides(known, null))).toEqual(
      FLUX_MODELS.map(() => ({ width: 1024, height: 1024 })),
    );
  });
});

describe('captions', () => {
  const sides = { width: 1024, height: 1024 };

  it('wraps at words and never wider than it may be', () => {
    const caption = layOutCaption('a quick brown fox jumps over '.repeat(5), 'detail', sides, 900);
    expect(caption?.lines.length).toBeGreaterThan(1);
    for (const line of caption?.lines ?? []) {
      expect(textWidth(line) * (caption?.scale ?? 0)).toBeLessThanOrEqual(900);
    }
  });

  it('ends a prompt that is too long with an ellipsis, also when it has no spaces', () => {
    for (const prompt of ['word '.repeat(400), 'x'.repeat(2000)]) {
      const lines = layOutCaption(prompt, 'detail', sides, 900)?.lines ?? [];
      expect(lines).toHaveLength(4);
      expect(lines[3]).toMatch(/…$/);
    }
  });

  it('writes no character of a text into the SVG', () => {
    expect(textPaths('<b>&amp;é一')).toMatch(/^(<path transform="translate\([\d.]+ 0\)" d="[\w .-]+"\/>)+$/);
  });
});

describe('edits', () => {
  let sandbox: SandboxUnderTest;
  beforeAll(async () => {
    sandbox = await SandboxUnderTest.start();
  });
  afterAll(() => sandbox.stop());

  const edit = (image_url: string, fields: object = {}) =>
    sandbox.images({
      action: 'edits',
      prompt: 'like an old photograph',
      model: 'flux-kontext-pro',
      image_url,
      ...fields,
    });
  const picture = async (link: string | undefined) =>
    Buffer.from(await (await fetch(link ?? 'missing')).arrayBuffer());
  const plain = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#3060c0' } })
      .png()
      .toBuffer();

  it('fetches the source and gives it back changed, in its own size', async () => {
    const source = await serve(200, await plain(640, 400));
    const { body } = await edit(source.url);
    const png = await picture(body.data?.[0]?.image_url);
    const { width, height } = await sharp(png).metadata();
    expect([width, height]).toEqual([640, 400]);
    const [r, g, b] = await sharp(png)
      .extract({ left: 300, top: 100, width: 1, height: 1 })
      .removeAlpha()
      .raw()
      .toBuffer();
    expect([r, g, b]).not.toEqual([0x30, 0x60, 0xc0]);
    const again = await edit(source.url);
    expect(png.equals(await picture(again.body.data?.[0]?.image_url))).toBe(true);
    expect(await sandbox.ledger('like an old')).toMatchObject({
      total: 2,
      pictures: 2,
      generations: [{ action: 'edit' }, { action: 'edit' }],
    });
    await source.stop();
  });

  it('takes the size of a ratio when one is given, and at most 1440 otherwise', async () => {
    const source = await serve(200, await plain(2880, 1000));
    const sidesOf = async (fields: object) => {
      const { body } = await edit(source.url, fields);
      const { width, height } = await sharp(await picture(body.data?.[0]?.image_url)).metadata();
      return [width, height];
    };
    expect(await sidesOf({ size: '9:16' })).toEqual([768, 1360]);
    expect(await sidesOf({})).toEqual([1440, 500]);
    await source.stop();
  });

  it('can edit what it painted, and takes both words for it', async () => {
    const { body } = await sandbox.generate('a source');
    const reply = await edit(body.data?.[0]?.image_url ?? '', { action: 'edit', count: 3 });
    expect(reply.body.data).toHaveLength(1);
  });

  it('follows a link that was moved', async () => {
    const source = await serve(200, await plain(64, 64));
    const moved = await serve(302, '', { location: source.url });
    expect((await edit(moved.url)).status).toBe(200);
    await Promise.all([source.stop(), moved.stop()]);
  });

  it('fails with api_error "fetch failed" when the source does not come', async () => {
    const gone = await serve(404, 'gone');
    const failed = {
      status: 500,
      body: { success: false, error: { code: 'api_error', message: 'fetch failed' } },
    };
    expect(await edit(gone.url)).toMatchObject(failed);
    await gone.stop();
    expect(await edit(gone.url)).toMatchObject(failed);
  });

  it('fails with api_error when the source is larger than 25 MB or no picture', async () => {
    const large = await serve(200, Buffer.alloc(26 * 1024 * 1024));
    const page = await serve(200, '<html></html>');
    expect((await edit(large.url)).body.error).toEqual({ code: 'api_error', message: 'fetch failed' });
    expect((await edit(page.url)).body.error).toMatchObject({ code: 'api_error' });
    await Promise.all([large.stop(), page.stop()]);
  });
});

describe('what is kept', () => {
  it('drops the oldest entries of a map over its limit', () => {
    const map = new BoundedMap<number>(2);
    for (const [index, key] of ['a', 'b', 'a', 'c'].entries()) map.set(key, index);
    expect([map.get('b'), map.values()]).toEqual([undefined, [2, 3]]);
  });

  it('drops the buffers used longest ago, by number and by size', () => {
    const bytes = new RecentBytes(2, 100);
    bytes.put('a', Buffer.alloc(40));
    bytes.put('b', Buffer.alloc(40));
    bytes.get('a');
    bytes.put('c', Buffer.alloc(40));
    expect(['a', 'b', 'c'].map((key) => bytes.get(key)?.length)).toEqual([40, undefined, 40]);
    bytes.put('d', Buffer.alloc(90));
    expect(['a', 'c', 'd'].map((key) => bytes.get(key)?.length)).toEqual([undefined, undefined, 90]);
  });
});
