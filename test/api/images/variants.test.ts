import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { type ImageFormat, LineageDocument } from '../../../clients/operations.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';

let app: TestApp;
let imageId: string;
beforeAll(async () => {
  app = await TestApp.start();
  const { id } = await app.generate({ prompt: 'Ein Schloß: a Castle/../on "a" hill', size: '512x256' });
  imageId = (await app.settled(id)).images[0]?.id ?? '';
});
afterAll(() => app.stop());

async function link(width?: number, format?: ImageFormat): Promise<string> {
  const { image } = await app.query(LineageDocument, { id: imageId, width, format });
  return pathOf(image?.url);
}

describe('a picture in another form', () => {
  test.each<[number | undefined, ImageFormat | undefined, string, number]>([
    [256, undefined, 'png', 256],
    [128, 'WEBP', 'webp', 128],
    [undefined, 'JPEG', 'jpeg', 512],
    [64, 'AVIF', 'avif', 64],
    [1440, 'WEBP', 'webp', 512],
    [512, 'ORIGINAL', 'png', 512],
  ])('of width %s as %s is a %s of %s pixels', async (width, format, type, pixels) => {
    const { status, headers, bytes } = await app.get(await link(width, format));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': `image/${type}`,
      'content-length': String(bytes.length),
      'cache-control': 'public, max-age=31536000, immutable',
    });
    const facts = await sharp(bytes).metadata();
    expect({ width: facts.width, height: facts.height }).toEqual({ width: pixels, height: pixels / 2 });
    expect(facts.format === 'heif' ? 'avif' : facts.format).toBe(type);
  });

  test('is made once for all who ask at the same time, and kept', async () => {
    const path = await link(384, 'WEBP');
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.get(path)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ bytes }) => bytes.toString('base64'))).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.etag)).size).toBe(1);
  });

  test('has an ETag of its own, and parts', async () => {
    const [small = '', large = ''] = [await link(64), await link(128)];
    const [one, other] = [await app.get(small), await app.get(large)];
    expect(one.headers.etag).not.toBe(other.headers.etag);
    expect((await app.get(small, { 'if-none-match': one.headers.etag ?? '' })).status).toBe(304);
    const part = await app.get(small, { range: 'bytes=0-9' });
    expect([part.status, part.bytes]).toEqual([206, one.bytes.subarray(0, 10)]);
  });

  test('is named by the words of its prompt', async () => {
    const { headers } = await app.get(await link(64, 'JPEG'));
    expect(headers['content-disposition']).toBe('inline; filename="ein-schlo-a-castle-on-a-hill-1.jpg"');
  });

  test.each(['w=63', 'w=0', 'w=-1', 'w=100000', 'w=1e3', 'w=', 'f=svg', 'f=', 'w=64&w=64', 'f=PNG'])(
    'is refused with 400 for %s',
    async (params) => {
      const { status, json } = await app.get(`${await link()}&${params}`);
      expect({ status, json }).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    },
  );

  test('is refused by GraphQL for a width that is not served, with those that are', async () => {
    const { errors } = await app.post(LineageDocument, { id: imageId, width: 63 });
    expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_REQUEST' } });
    expect(errors?.[0]?.message).toContain('64, 128, 256');
  });
});

describe('links', () => {
  test('expire when IMAGE_URL_TTL says so, and are the same for a while', async () => {
    const limited = await TestApp.start({ environment: { IMAGE_URL_TTL: '3600' } });
    try {
      const { id } = await limited.generate({ prompt: 'for an hour', size: '256x256' });
      const [image] = (await limited.settled(id)).images;
      const path = pathOf(image?.url);
      const { status, headers } = await limited.get(path);
      expect(status).toBe(200);
      const maxAge = Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1]);
      expect(maxAge).toBeGreaterThan(3_590);
      expect(maxAge).toBeLessThanOrEqual(3_600 + 900);
      const [expiry = '', signature = ''] = (new URLSearchParams(path.split('?')[1]).get('t') ?? '').split(
        '.',
      );
      const later = (parseInt(expiry, 36) + 1).toString(36);
      expect(
        (await limited.get(path.replace(`${expiry}.${signature}`, `${later}.${signature}`))).status,
      ).toBe(403);
      expect((await limited.get(path.replace(`${expiry}.${signature}`, signature))).status).toBe(403);
    } finally {
      await limited.stop();
    }
  });

  test('of an earlier secret key work as long as SECRET_KEY_OLD has it', async () => {
    const old = await TestApp.start({ environment: { SECRET_KEY: 'o'.repeat(32) } });
    const { id } = await old.generate({ prompt: 'signed before', size: '256x256' });
    const path = pathOf((await old.settled(id)).images[0]?.url);
    const cursor = (await old.history(id))[0]?.cursor;
    const shared = { databaseUrl: old.databaseUrl, dataDir: old.dataDir, key: old.key };
    const changed = await TestApp.start({
      ...shared,
      environment: { SECRET_KEY: 'n'.repeat(32), SECRET_KEY_OLD: 'o'.repeat(32) },
    });
    const forgotten = await TestApp.start({ ...shared, environment: { SECRET_KEY: 'n'.repeat(32) } });
    try {
      expect((await changed.get(path)).status).toBe(200);
      expect((await forgotten.get(path)).status).toBe(403);
      const fresh = pathOf((await changed.task(id)).images[0]?.url);
      expect(fresh).not.toBe(path);
      expect((await forgotten.get(fresh)).status).toBe(200);
      const watch = changed.watchTask(id, cursor);
      await watch.ended;
      expect(watch.received).toHaveLength((await changed.history(id)).length - 1);
    } finally {
      await forgotten.stop();
      await changed.stop();
      await old.stop();
    }
  });
});
