import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DeleteImageDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
let path: string;
let bytes: Buffer;
beforeAll(async () => {
  app = await TestApp.start();
  const { id } = await app.generate({ prompt: 'an image to serve', size: '256x256' });
  const [image] = (await app.waitUntilSettled(id)).images;
  path = pathAndQuery(image?.url);
  bytes = (await app.get(path)).bytes;
});
afterAll(() => app.stop());

const etag = () => `"${createHash('sha256').update(bytes).digest('hex')}"`;

describe('a stored image', () => {
  test('is served without an API key, with its type, its hash as ETag, and cacheable forever', async () => {
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

  test('is answered with 304 and no bytes when the client has it', async () => {
    for (const ifNoneMatch of [etag(), `W/${etag()}`, `"other", ${etag()}`, '*']) {
      const { status, headers, bytes } = await app.get(path, { 'if-none-match': ifNoneMatch });
      expect({ ifNoneMatch, status, length: bytes.length }).toEqual({ ifNoneMatch, status: 304, length: 0 });
      expect(headers['etag']).toBe(etag());
    }
    await app.http.get(path).set('if-none-match', '"other"').expect(200);
  });

  test('is served only in the version that If-Match names', async () => {
    for (const condition of [etag(), `"other", ${etag()}`, '*'])
      await app.http.get(path).set('if-match', condition).expect(200);
    for (const condition of ['"other"', `W/${etag()}`, '']) {
      const { status, headers, bytes } = await app.get(path, { 'if-match': condition, range: 'bytes=0-9' });
      expect([status, bytes.length, headers['cache-control']]).toEqual([412, 0, 'no-store']);
    }
  });

  test('reads an If-Match of many spaces as fast as one of letters', async () => {
    const costOf = async (character: string) => {
      const before = process.cpuUsage();
      for (let count = 0; count < 20; count += 1)
        await app.http
          .get(path)
          .set('if-match', `"a${character.repeat(14_000)}x"`)
          .expect(412);
      return process.cpuUsage(before).user;
    };
    await costOf('b');
    // An expression that tries each space as a beginning takes a hundred times as long.
    expect(await costOf(' ')).toBeLessThan(5 * (await costOf('b')));
  });

  test('answers HEAD with its length and no bytes', async () => {
    const { text } = await app.http.head(path).expect(200).expect('content-length', String(bytes.length));
    expect(text).toBeUndefined();
  });

  test.each([
    ['bytes=0-99', 0, 99],
    ['bytes=100-', 100, null],
    ['bytes=-50', -50, null],
    ['bytes=10-99999999', 10, null],
    ['bytes=-99999999', 0, null],
  ])('is served in part for the range %s', async (range, from, to) => {
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
    'is served whole for an unsupported range: %s',
    async (range) => {
      const { status, bytes: whole } = await app.get(path, { range });
      expect(status).toBe(200);
      expect(whole.equals(bytes)).toBe(true);
    },
  );

  test('is served in part only when If-Range matches, and whole otherwise', async () => {
    await app.http.get(path).set({ range: 'bytes=0-9', 'if-range': etag() }).expect(206);
    for (const condition of ['"other"', `W/${etag()}`, 'Sun, 22 Nov 2026 12:00:00 GMT']) {
      await app.http.get(path).set({ range: 'bytes=0-9', 'if-range': condition }).expect(200);
    }
    const outOfRange = { range: `bytes=${bytes.length}-`, 'if-range': '"other"' };
    await app.http.get(path).set(outOfRange).expect(200);
  });

  test('is not served under another ID, a malformed ID, a path, or without its token', async () => {
    const [own = '', token = ''] = path.split('?t=');
    const otherPaths = [v7(), 'nothing', '%2e%2e%2fsecret-key', '..%2f..%2fsecret-key'].map(
      (id) => `/images/${id}?t=${token}`,
    );
    for (const wrongPath of [
      ...otherPaths,
      own,
      `${own}?t=`,
      `${path}A`,
      `${own}?t=zzzzzz.${token}`,
      `${own}?t[]=${token}`,
    ]) {
      const { status, headers, json } = await app.get(wrongPath);
      expect({ wrongPath, status, headers, json }).toMatchObject({
        status: 403,
        headers: { 'cache-control': 'no-store' },
        json: { error: { code: 'LINK_INVALID' } },
      });
    }
  });
});

describe('an image whose bytes are missing', () => {
  const createImage = async () => {
    const { id } = await app.generate({ prompt: 'missing bytes', size: '256x256' });
    const [image] = (await app.waitUntilSettled(id)).images;
    const sha256 = image?.sha256 ?? '';
    const file = join(app.dataDir, 'images', sha256.slice(0, 2), sha256);
    return { id: image?.id ?? '', path: pathAndQuery(image?.url), sha256, file };
  };

  test('is answered with 503 in every format, and the response is not cacheable', async () => {
    const { path, sha256, file } = await createImage();
    await rm(file);
    for (const requestedPath of [path, `${path}&w=64`]) {
      const { status, headers, json } = await app.get(requestedPath);
      expect({ requestedPath, status, headers, json }).toMatchObject({
        status: 503,
        headers: { 'cache-control': 'no-store' },
        json: { error: { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('store:verify') } },
      });
      expect(headers['etag']).not.toContain(sha256);
    }
  });

  test('is answered with 410 when it was deleted after it was requested', async () => {
    const { id, path, file } = await createImage();
    await app.http.head(path).expect(200);
    await app.query(DeleteImageDocument, { input: { id } });
    await rm(file);
    const { status, headers } = await app.get(path);
    expect([status, headers['cache-control']]).toEqual([410, 'no-store']);
  });

  test('is resized again when only the bytes of the variant are missing', async () => {
    const { path, file } = await createImage();
    await app.http.head(`${path}&w=64`).expect(200);
    await rm(`${file}.w64.png`);
    await app.http.get(`${path}&w=64`).expect(200);
  });
});

test('an image whose file is damaged is answered with 503 in every format, until the file is restored', async () => {
  const upstream = await FakeUpstream.open();
  const service = await TestApp.start({ environment: upstream.environment });
  const { id } = await service.generate({ prompt: 'damaged file' });
  await service.postBody(await upstream.callbackPath('damaged file'), upstream.successCallback());
  const [image] = (await service.waitUntilSettled(id)).images;
  const { sha256 = '' } = image ?? {};
  const [file, path] = [
    join(service.dataDir, 'images', String(sha256).slice(0, 2), String(sha256)),
    pathAndQuery(image?.url),
  ];
  const bytes = await readFile(file);
  const part = bytes.subarray(0, -20);
  for (const [damaged, requestedPath] of [
    [part, path],
    [part, `${path}&f=jpeg`],
    [Buffer.concat([part, Buffer.alloc(20)]), `${path}&f=jpeg`],
  ] as const) {
    await writeFile(file, damaged);
    const { status, json } = await service.get(requestedPath);
    expect({ requestedPath, status, json }).toMatchObject({
      status: 503,
      json: { error: { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('store:verify') } },
    });
  }
  await writeFile(file, bytes);
  expect(await service.get(path)).toMatchObject({ status: 200, bytes });
  expect(await service.get(`${path}&f=jpeg`)).toMatchObject({ status: 200 });
  await service.stop();
  await upstream.close();
});

test('a stored image is served after the URL of the upstream stops working', async () => {
  const upstream = await FakeUpstream.open();
  const service = await TestApp.start({ environment: upstream.environment });
  const { id } = await service.generate({ prompt: 'expiring upstream URL' });
  await service.postBody(await upstream.callbackPath('expiring upstream URL'), upstream.successCallback());
  const [image] = (await service.waitUntilSettled(id)).images;
  await upstream.close();
  try {
    await expect(fetch(String(image?.upstreamUrl))).rejects.toThrow();
    const { status, bytes } = await service.get(pathAndQuery(image?.url));
    expect([status, bytes]).toEqual([200, upstream.imageBytes]);
  } finally {
    await service.stop();
  }
});

test('bytes that cannot be decoded are kept, marked, and only served as a download', async () => {
  const page = Buffer.from('<html><script>alert(document.domain)</script></html>');
  const upstream = await FakeUpstream.open(page);
  const service = await TestApp.start({ environment: upstream.environment });
  try {
    const { id } = await service.generate({ prompt: 'not decodable' });
    await service.postBody(await upstream.callbackPath('not decodable'), upstream.successCallback());
    const [image] = (await service.waitUntilSettled(id)).images;
    expect(image).toMatchObject({ mimeType: 'application/octet-stream', width: null, byteSize: page.length });
    const query = `{ image(id: "${image?.id ?? ''}") { decodeError lostReason } }`;
    const authorization = `Bearer ${service.apiKey}`;
    const { json } = await service.postBody('/graphql', { query }, { authorization });
    const decodeError = expect.stringMatching(/^The image cannot be read: its format must be one of/);
    expect(json).toMatchObject({ data: { image: { decodeError, lostReason: null } } });
    const path = pathAndQuery(image?.url);
    const { status, headers, bytes: served } = await service.get(path);
    expect([status, served]).toEqual([200, page]);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="not-decodable-1.bin"',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    });
    for (const variant of ['w=64', 'f=webp'])
      expect((await service.get(`${path}&${variant}`)).json).toMatchObject({
        error: { code: 'IMAGE_UNAVAILABLE' },
      });
  } finally {
    await service.stop();
    await upstream.close();
  }
});

test('an image that is too large is lost at once, and the event says why', async () => {
  const limited = await TestApp.start({ environment: { MAX_IMAGE_BYTES: '2000' } });
  try {
    const { id } = await limited.generate({ prompt: 'too large', size: '256x256' });
    await limited.waitUntilSettled(id);
    const { type, data } = (await limited.history(id)).at(-1) ?? {};
    expect(type).toBe('IMAGE_LOST');
    expect((data as { reason: string }).reason).toMatch(/refused: .*2000 bytes/);
  } finally {
    await limited.stop();
  }
});

describe('an image that is not stored yet', () => {
  test('is downloaded for the first request, even with several at once, and stored once', async () => {
    const { id } = await app.generate({ prompt: 'slow download [sandbox: image=slow]', size: '256x256' });
    await app.waitForEvent(id, 'TASK_SUCCEEDED');
    const [image] = (await app.task(id)).images;
    expect(image).toMatchObject({ storedAt: null, width: null, sha256: null });
    const responses = await Promise.all([1, 2, 3].map(() => app.get(pathAndQuery(image?.url))));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    const earlyBytes = responses[0]?.bytes ?? '';
    const stored = (await app.waitUntilSettled(id)).images[0];
    expect(stored?.sha256).toBe(createHash('sha256').update(earlyBytes).digest('hex'));
    const types = (await app.history(id)).map((event) => event.type);
    expect(types.filter((type) => type === 'IMAGE_STORED')).toHaveLength(1);
  });

  test('is answered with 502 while the upstream URL fails, and the task stays SUCCEEDED', async () => {
    const { id } = await app.generate({ prompt: 'unavailable [sandbox: image=404]', size: '256x256' });
    await app.waitForEvent(id, 'TASK_SUCCEEDED');
    const task = await app.task(id);
    const { status, json } = await app.get(pathAndQuery(task.images[0]?.url));
    expect({ status, json }).toMatchObject({ status: 502, json: { error: { code: 'IMAGE_UNAVAILABLE' } } });
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
  });

  test('is lost after the last attempt, which settles the task', async () => {
    const { id } = await app.generate({ prompt: 'never available [sandbox: image=404]', size: '256x256' });
    await app.waitForEvent(id, 'TASK_SUCCEEDED');
    const subscription = app.subscribeToTask(id);
    // Changed between two attempts, because a running one would overwrite it.
    const makeLastAttemptDue = `UPDATE images SET source_failures = 7, ingest_at = now()
                  WHERE task_id = $1 AND source_failures > 0 RETURNING 1`;
    await waitFor(
      'the first attempt to fail',
      async () => (await app.rows(makeLastAttemptDue, [id])).length > 0,
    );
    await subscription.ended;
    expect(subscription.received.at(-1)).toMatchObject({ type: 'IMAGE_LOST', actor: 'image store' });
    const [image] = (await app.task(id)).images;
    await app.http.get(pathAndQuery(image?.url)).expect(404).expect('cache-control', 'no-store');
  });
});
