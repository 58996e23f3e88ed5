import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DeleteImageDocument } from '../../../clients/operations.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { S3_BUCKET, S3_KEYS, S3Server } from '../../support/storage/s3-server.js';
import { waitFor } from '../../support/wait-for.js';

let server: S3Server;
let environment: Record<string, string>;
let app: TestApp;
beforeAll(async () => {
  server = await S3Server.start();
  environment = {
    STORE: 's3',
    S3_ENDPOINT: server.endpoint,
    S3_BUCKET,
    S3_ACCESS_KEY: S3_KEYS.accessKey,
    S3_SECRET_KEY: S3_KEYS.secretKey,
    S3_PREFIX: 'darkroom',
  };
  app = await TestApp.start({ environment, tuning: { sweepEveryMs: 100 } });
});
afterAll(async () => {
  await app.stop();
  await server.stop();
});

async function made(prompt: string, on = app) {
  const { id } = await on.generate({ prompt, size: '256x256' });
  const [image] = (await on.settled(id)).images;
  return { id: image?.id ?? '', path: pathOf(image?.url), sha256: image?.sha256 ?? '' };
}

describe('pictures in a bucket', () => {
  test('are served by us, whole, in parts and in other forms, and removed with the last who has them', async () => {
    const { id, path, sha256 } = await made('in a bucket');
    const whole = await app.get(path);
    expect(createHash('sha256').update(whole.bytes).digest('hex')).toBe(sha256);
    const part = await app.get(path, { range: 'bytes=10-19' });
    expect([part.status, part.bytes]).toEqual([206, whole.bytes.subarray(10, 20)]);
    const small = await app.get(`${path}&w=64&f=webp`);
    expect([small.status, small.headers['content-type']]).toEqual([200, 'image/webp']);

    await app.query(DeleteImageDocument, { input: { id } });
    await app.rows("UPDATE blobs SET check_at = now() WHERE sha256 = decode($1, 'hex')", [sha256]);
    const isGone = async () =>
      (await app.rows("SELECT FROM blobs WHERE sha256 = decode($1, 'hex')", [sha256])).length === 0;
    await waitFor('the content to be gone', isGone);
    await waitFor('the link to answer 410', async () => (await app.get(path)).status === 410);
  });

  test('are served by the bucket itself where S3_REDIRECT says so', async () => {
    const sending = await TestApp.start({ environment: { ...environment, S3_REDIRECT: 'true' } });
    try {
      const { path, sha256 } = await made('by the bucket', sending);
      const answer = await fetch(sending.url + path, { redirect: 'manual' });
      expect(answer.status).toBe(302);
      expect(answer.headers.get('cache-control')).toBe('private, max-age=240');
      const bytes = Buffer.from(await (await fetch(answer.headers.get('location') ?? '')).arrayBuffer());
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
    } finally {
      await sending.stop();
    }
  });

  test('wait while the bucket is away: the task ends, /readyz says so, and storing goes on when it is back', async () => {
    server.fault = (_request, response) => {
      response.writeHead(403).end();
      return true;
    };
    const { id } = await app.generate({ prompt: 'no bucket', size: '256x256' });
    await app.happened(id, 'TASK_SUCCEEDED');
    const store = async () =>
      (await app.get('/readyz')).json as { ready: boolean; store: { ok: boolean; error?: string } };
    await waitFor('/readyz to say so', async () => !(await store()).store.ok, { timeoutMs: 15_000 });
    expect(await store()).toMatchObject({
      ready: true,
      store: { error: expect.stringContaining('picture store') as unknown },
    });
    const [image] = (await app.task(id)).images;
    expect((await app.get(pathOf(image?.url))).status).toBe(503);

    server.fault = () => false;
    const again = `UPDATE graphile_worker._private_jobs SET run_at = now() WHERE payload ->> 'taskId' = $1`;
    await waitFor(
      'the job to rest',
      async () => (await app.rows(`${again} AND locked_at IS NULL RETURNING 1`, [id])).length > 0,
    );
    await app.settled(id);
    expect((await app.history(id)).at(-1)?.type).toBe('IMAGE_STORED');
    await waitFor('/readyz to be content', async () => (await store()).store.ok);
  });
});
