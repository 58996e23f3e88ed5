import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import sharp from 'sharp';
import { type ImageFormat, ImageLineageDocument } from '../../../clients/operations.js';
import { StoreUnavailable } from '../../../src/core/errors.js';
import { IncomingFiles } from '../../../src/storage/incoming-files.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';

let app: TestApp;
let imageId: string;
beforeAll(async () => {
  app = await TestApp.start();
  const { id } = await app.generate({ prompt: 'Ein Schloß: a Castle/../on "a" hill', size: '512x256' });
  imageId = (await app.waitUntilSettled(id)).images[0]?.id ?? '';
});
afterAll(() => app.stop());

async function variantPath(width?: number, format?: ImageFormat): Promise<string> {
  const { image } = await app.query(ImageLineageDocument, { id: imageId, width, format });
  return pathAndQuery(image?.url);
}

describe('a variant of an image', () => {
  test.each<[number | undefined, ImageFormat | undefined, string, number]>([
    [256, undefined, 'png', 256],
    [128, 'WEBP', 'webp', 128],
    [undefined, 'JPEG', 'jpeg', 512],
    [64, 'AVIF', 'avif', 64],
    [1440, 'WEBP', 'webp', 512],
    [512, 'ORIGINAL', 'png', 512],
  ])('of width %s and format %s is a %s of %s pixels', async (width, format, type, pixels) => {
    const { status, headers, bytes } = await app.get(await variantPath(width, format));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': `image/${type}`,
      'content-length': String(bytes.length),
      'cache-control': 'public, max-age=31536000, immutable',
    });
    const metadata = await sharp(bytes).metadata();
    expect({ width: metadata.width, height: metadata.height }).toEqual({ width: pixels, height: pixels / 2 });
    expect(metadata.format === 'heif' ? 'avif' : metadata.format).toBe(type);
  });

  test('is generated once for simultaneous requests, and stored', async () => {
    const path = await variantPath(384, 'WEBP');
    const responses = await Promise.all(Array.from({ length: 20 }, () => app.get(path)));
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(responses.map(({ bytes }) => bytes.toString('base64'))).size).toBe(1);
    expect(new Set(responses.map(({ headers }) => headers.etag)).size).toBe(1);
  });

  test('has its own ETag, and serves ranges', async () => {
    const [small = '', large = ''] = [await variantPath(64), await variantPath(128)];
    const [one, other] = [await app.get(small), await app.get(large)];
    expect(one.headers.etag).not.toBe(other.headers.etag);
    expect((await app.get(small, { 'if-none-match': one.headers.etag ?? '' })).status).toBe(304);
    const part = await app.get(small, { range: 'bytes=0-9' });
    expect([part.status, part.bytes]).toEqual([206, one.bytes.subarray(0, 10)]);
  });

  test('is not created while the disk has little free space, and not even its original is copied', async () => {
    const path = await variantPath(256, 'AVIF');
    const full = new StoreUnavailable('the disk has less than 100 MB of free space');
    const check = jest.spyOn(IncomingFiles.prototype, 'requireFreeSpace').mockRejectedValue(full);
    try {
      expect((await app.get(path)).status).toBe(503);
    } finally {
      check.mockRestore();
    }
    expect((await app.get(path)).status).toBe(200);
  });

  test('has a file name made from its prompt', async () => {
    const { headers } = await app.get(await variantPath(64, 'JPEG'));
    expect(headers['content-disposition']).toBe('inline; filename="ein-schlo-a-castle-on-a-hill-1.jpg"');
  });

  test.each(['w=63', 'w=0', 'w=-1', 'w=100000', 'w=1e3', 'w=', 'f=svg', 'f=', 'w=64&w=64', 'f=PNG'])(
    'is rejected with 400 for %s',
    async (params) => {
      const { status, json } = await app.get(`${await variantPath()}&${params}`);
      expect({ status, json }).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    },
  );

  test('is rejected by GraphQL for an unsupported width, and the message lists the supported widths', async () => {
    const { errors } = await app.execute(ImageLineageDocument, { id: imageId, width: 63 });
    expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_REQUEST' } });
    expect(errors?.[0]?.message).toContain('64, 128, 256');
  });
});

describe('signed links', () => {
  test('expire after IMAGE_URL_TTL_SECONDS, and allow caching until then', async () => {
    const limited = await TestApp.start({ environment: { IMAGE_URL_TTL_SECONDS: '3600' } });
    try {
      const { id } = await limited.generate({ prompt: 'for an hour', size: '256x256' });
      const [image] = (await limited.waitUntilSettled(id)).images;
      const path = pathAndQuery(image?.url);
      const { status, headers } = await limited.get(path);
      expect(status).toBe(200);
      const maxAge = Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1]);
      expect(maxAge).toBeGreaterThan(3_600 - 900 - 10);
      expect(maxAge).toBeLessThanOrEqual(3_600);
      const [expiry = '', signature = ''] = (new URLSearchParams(path.split('?')[1]).get('t') ?? '').split(
        '.',
      );
      const laterExpiry = (parseInt(expiry, 36) + 1).toString(36);
      expect(
        (await limited.get(path.replace(`${expiry}.${signature}`, `${laterExpiry}.${signature}`))).status,
      ).toBe(403);
      expect((await limited.get(path.replace(`${expiry}.${signature}`, signature))).status).toBe(403);
    } finally {
      await limited.stop();
    }
  });

  test('of a previous secret key work while it is in SECRET_KEY_PREVIOUS', async () => {
    const before = await TestApp.start({ environment: { SECRET_KEY: 'o'.repeat(32) } });
    const { id } = await before.generate({ prompt: 'signed before', size: '256x256' });
    const path = pathAndQuery((await before.waitUntilSettled(id)).images[0]?.url);
    const cursor = (await before.history(id))[0]?.cursor;
    const shared = { databaseUrl: before.databaseUrl, dataDir: before.dataDir, apiKey: before.apiKey };
    const withPrevious = await TestApp.start({
      ...shared,
      environment: { SECRET_KEY: 'n'.repeat(32), SECRET_KEY_PREVIOUS: 'o'.repeat(32) },
    });
    const withoutPrevious = await TestApp.start({ ...shared, environment: { SECRET_KEY: 'n'.repeat(32) } });
    try {
      expect((await withPrevious.get(path)).status).toBe(200);
      expect((await withoutPrevious.get(path)).status).toBe(403);
      const newPath = pathAndQuery((await withPrevious.task(id)).images[0]?.url);
      expect(newPath).not.toBe(path);
      expect((await withoutPrevious.get(newPath)).status).toBe(200);
      const subscription = withPrevious.subscribeToTask(id, cursor);
      await subscription.ended;
      expect(subscription.received).toHaveLength((await withPrevious.history(id)).length - 1);
    } finally {
      await withoutPrevious.stop();
      await withPrevious.stop();
      await before.stop();
    }
  });
});
