import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DeleteImageDocument } from '../../../clients/operations.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
let path: string;
let bytes: Buffer;
beforeAll(async () => {
  app = await TestApp.start();
  const { id } = await app.generate({ prompt: 'a picture to serve', size: '256x256' });
  const [image] = (await app.settled(id)).images;
  path = pathOf(image?.url);
  bytes = (await app.get(path)).bytes;
});
afterAll(() => app.stop());

const etag = () => `"${createHash('sha256').update(bytes).digest('hex')}"`;

describe('a stored picture', () => {
  test('is served without a key, with its type, its hash as ETag, and for ever', async () => {
    const { status, headers } = await app.get(path);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(bytes.length),
      'cache-control': 'public, max-age=31536000, immutable',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'cross-origin',
      'content-security-policy': "default-src 'none'; sandbox",
      etag: etag(),
    });
  });

  test('is answered 304 without bytes to whoever has it', async () => {
    for (const known of [etag(), `W/${etag()}`, `"other", ${etag()}`, '*']) {
      const { status, headers, bytes } = await app.get(path, { 'if-none-match': known });
      expect({ known, status, length: bytes.length }).toEqual({ known, status: 304, length: 0 });
      expect(headers['etag']).toBe(etag());
    }
    await app.http.get(path).set('if-none-match', '"other"').expect(200);
  });

  test('tells HEAD its length and sends no bytes', async () => {
    const { text } = await app.http.head(path).expect(200).expect('content-length', String(bytes.length));
    expect(text).toBeUndefined();
  });

  test.each([
    ['bytes=0-99', 0, 99],
    ['bytes=100-', 100, null],
    ['bytes=-50', -50, null],
    ['bytes=10-99999999', 10, null],
  ])('sends the part that %s names', async (range, from, to) => {
    const expected = bytes.subarray(from, to === null ? undefined : to + 1);
    const start = from < 0 ? bytes.length + from : from;
    const { status, headers, bytes: part } = await app.get(path, { range });
    expect(status).toBe(206);
    const last = start + expected.length - 1;
    expect(headers['content-range']).toBe(`bytes ${start}-${last}/${bytes.length}`);
    expect(headers['content-length']).toBe(String(expected.length));
    expect(part.equals(expected)).toBe(true);
  });

  test('answers a range beyond its end with 416 and its size', async () => {
    const { status, headers } = await app.get(path, { range: `bytes=${bytes.length}-` });
    expect([status, headers['cache-control']]).toEqual([416, 'no-store']);
    expect(headers['content-range']).toBe(`bytes */${bytes.length}`);
  });

  test.each(['bytes=0-1,5-9', 'bites=0-1', 'bytes=x'])(
    'is sent whole for a range it does not serve: %s',
    async (range) => {
      const { status, bytes: whole } = await app.get(path, { range });
      expect(status).toBe(200);
      expect(whole.equals(bytes)).toBe(true);
    },
  );

  test('sends a part only of the picture that If-Range means, and otherwise the whole', async () => {
    await app.http.get(path).set({ range: 'bytes=0-9', 'if-range': etag() }).expect(206);
    for (const condition of ['"other"', `W/${etag()}`, 'Sun, 22 Nov 2026 12:00:00 GMT']) {
      await app.http.get(path).set({ range: 'bytes=0-9', 'if-range': condition }).expect(200);
    }
    const beyond = { range: `bytes=${bytes.length}-`, 'if-range': '"other"' };
    await app.http.get(path).set(beyond).expect(200);
  });

  test('is not given under another id, an id of no form, a path, or without its token', async () => {
    const [own = '', token = ''] = path.split('?t=');
    const others = [v7(), 'nothing', '%2e%2e%2fsecret-key', '..%2f..%2fsecret-key'].map(
      (id) => `/images/${id}?t=${token}`,
    );
    for (const wrong of [
      ...others,
      own,
      `${own}?t=`,
      `${path}A`,
      `${own}?t=zzzzzz.${token}`,
      `${own}?t[]=${token}`,
    ]) {
      const { status, headers, json } = await app.get(wrong);
      expect({ wrong, status, headers, json }).toMatchObject({
        status: 403,
        headers: { 'cache-control': 'no-store' },
        json: { error: { code: 'LINK_REFUSED' } },
      });
    }
  });
});

describe('a picture whose bytes are missing', () => {
  const made = async () => {
    const { id } = await app.generate({ prompt: 'to be missed', size: '256x256' });
    const [image] = (await app.settled(id)).images;
    const sha256 = image?.sha256 ?? '';
    const file = join(app.dataDir, 'images', sha256.slice(0, 2), sha256);
    return { id: image?.id ?? '', path: pathOf(image?.url), sha256, file };
  };

  test('is answered 503, in every form and for nobody to keep', async () => {
    const { path, sha256, file } = await made();
    await rm(file);
    for (const asked of [path, `${path}&w=64`]) {
      const { status, headers, json } = await app.get(asked);
      expect({ asked, status, headers, json }).toMatchObject({
        status: 503,
        headers: { 'cache-control': 'no-store' },
        json: { error: { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('store:verify') } },
      });
      expect(headers['etag']).not.toContain(sha256);
    }
  });

  test('is gone when it was deleted a moment after it was looked for', async () => {
    const { id, path, file } = await made();
    await app.http.head(path).expect(200);
    await app.query(DeleteImageDocument, { input: { id } });
    await rm(file);
    const { status, headers } = await app.get(path);
    expect([status, headers['cache-control']]).toEqual([410, 'no-store']);
  });

  test('in a smaller form is made again for the next who asks', async () => {
    const { path, file } = await made();
    await app.http.head(`${path}&w=64`).expect(200);
    await rm(`${file}.w64.png`);
    await app.http.get(`${path}&w=64`).expect(503).expect('cache-control', 'no-store');
    await app.http.get(`${path}&w=64`).expect(200);
  });
});

test("a stored picture outlives the upstream's link", async () => {
  const upstream = await FakeUpstream.open();
  const service = await TestApp.start({ environment: upstream.environment });
  const { id } = await service.generate({ prompt: 'soon gone' });
  await service.send(await upstream.callbackPath('soon gone'), upstream.success());
  const [image] = (await service.settled(id)).images;
  await upstream.close();
  try {
    await expect(fetch(String(image?.upstreamUrl))).rejects.toThrow();
    const { status, bytes } = await service.get(pathOf(image?.url));
    expect([status, bytes]).toEqual([200, upstream.picture]);
  } finally {
    await service.stop();
  }
});

test('a picture that is too large is lost at once, and the event says why', async () => {
  const small = await TestApp.start({ environment: { MAX_IMAGE_BYTES: '2000' } });
  try {
    const { id } = await small.generate({ prompt: 'too large', size: '256x256' });
    await small.settled(id);
    const { type, data } = (await small.history(id)).at(-1) ?? {};
    expect(type).toBe('IMAGE_LOST');
    expect((data as { reason: string }).reason).toMatch(/refused: .*2000 bytes/);
  } finally {
    await small.stop();
  }
});

describe('a picture that is on its way', () => {
  test('is fetched for whoever asks first, also for many at once, and stored once', async () => {
    const { id } = await app.generate({ prompt: 'slow to come [sandbox: picture=slow]', size: '256x256' });
    await app.happened(id, 'TASK_SUCCEEDED');
    const [image] = (await app.task(id)).images;
    expect(image).toMatchObject({ storedAt: null, width: null, sha256: null });
    const answers = await Promise.all([1, 2, 3].map(() => app.get(pathOf(image?.url))));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const early = answers[0]?.bytes ?? '';
    const stored = (await app.settled(id)).images[0];
    expect(stored?.sha256).toBe(createHash('sha256').update(early).digest('hex'));
    const types = (await app.history(id)).map((event) => event.type);
    expect(types.filter((type) => type === 'IMAGE_STORED')).toHaveLength(1);
  });

  test('is answered 502 while the link gives nothing, and the task stays a success', async () => {
    const { id } = await app.generate({ prompt: 'gone [sandbox: picture=404]', size: '256x256' });
    await app.happened(id, 'TASK_SUCCEEDED');
    const task = await app.task(id);
    const { status, json } = await app.get(pathOf(task.images[0]?.url));
    expect({ status, json }).toMatchObject({ status: 502, json: { error: { code: 'PICTURE_UNAVAILABLE' } } });
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
  });

  test('is given up as lost after the last attempt, and that settles the task', async () => {
    const { id } = await app.generate({ prompt: 'never [sandbox: picture=404]', size: '256x256' });
    await app.happened(id, 'TASK_SUCCEEDED');
    const watch = app.watchTask(id);
    // Between two attempts: a running one would write down its own end.
    const last = `UPDATE graphile_worker._private_jobs SET attempts = 7, run_at = now()
                  WHERE payload ->> 'taskId' = $1 AND attempts > 0 AND locked_at IS NULL RETURNING 1`;
    await waitFor('the job to rest', async () => (await app.rows(last, [id])).length > 0);
    await watch.ended;
    expect(watch.received.at(-1)).toMatchObject({ type: 'IMAGE_LOST', actor: 'image store' });
    const [image] = (await app.task(id)).images;
    await app.http.get(pathOf(image?.url)).expect(404).expect('cache-control', 'no-store');
  });
});
