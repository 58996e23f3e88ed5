import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DeleteImageDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { S3_BUCKET, S3_CREDENTIALS, S3Server } from '../../support/storage/s3-server.js';
import { waitFor } from '../../support/wait-for.js';

let server: S3Server;
let environment: Record<string, string>;
let app: TestApp;
beforeAll(async () => {
  server = await S3Server.start();
  environment = {
    IMAGE_STORE: 's3',
    S3_ENDPOINT: server.endpoint,
    S3_BUCKET,
    S3_ACCESS_KEY: S3_CREDENTIALS.accessKeyId,
    S3_SECRET_KEY: S3_CREDENTIALS.secretAccessKey,
    S3_PREFIX: 'darkroom',
  };
  app = await TestApp.start({ environment, tuning: { unusedBlobIntervalMs: 100 } });
});
afterAll(async () => {
  await app.stop();
  await server.stop();
});

async function createImage(prompt: string, service = app) {
  const { id } = await service.generate({ prompt, size: '256x256' });
  const [image] = (await service.waitUntilSettled(id)).images;
  return { id: image?.id ?? '', path: pathAndQuery(image?.url), sha256: image?.sha256 ?? '' };
}

describe('images in a bucket', () => {
  test('are served through Darkroom, whole, in ranges and in other formats, and removed with the last image that uses them', async () => {
    const { id, path, sha256 } = await createImage('in a bucket');
    const whole = await app.get(path);
    expect(createHash('sha256').update(whole.bytes).digest('hex')).toBe(sha256);
    const part = await app.get(path, { range: 'bytes=10-19' });
    expect([part.status, part.bytes]).toEqual([206, whole.bytes.subarray(10, 20)]);
    const small = await app.get(`${path}&w=64&f=webp`);
    expect([small.status, small.headers['content-type']]).toEqual([200, 'image/webp']);

    await app.query(DeleteImageDocument, { input: { id } });
    await app.rows("UPDATE blobs SET check_at = now() WHERE sha256 = decode($1, 'hex')", [sha256]);
    const isRemoved = async () =>
      (await app.rows("SELECT FROM blobs WHERE sha256 = decode($1, 'hex')", [sha256])).length === 0;
    await waitFor('the bytes to be removed', isRemoved);
    await waitFor('the link to answer 410', async () => (await app.get(path)).status === 410);
  });

  test('are served by the bucket itself with S3_REDIRECT', async () => {
    const redirecting = await TestApp.start({ environment: { ...environment, S3_REDIRECT: 'true' } });
    try {
      const { path, sha256 } = await createImage('by the bucket', redirecting);
      const response = await fetch(redirecting.url + path, { redirect: 'manual' });
      expect(response.status).toBe(302);
      expect(response.headers.get('cache-control')).toBe('private, max-age=240');
      const bytes = Buffer.from(await (await fetch(response.headers.get('location') ?? '')).arrayBuffer());
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
    } finally {
      await redirecting.stop();
    }
  });

  test('are not served by the bucket for longer than their link is valid', async () => {
    const expiring = { ...environment, S3_REDIRECT: 'true', IMAGE_URL_TTL_SECONDS: '60' };
    const redirecting = await TestApp.start({ environment: expiring });
    try {
      const { path } = await createImage('for a minute', redirecting);
      const response = await fetch(redirecting.url + path, { redirect: 'manual' });
      const { searchParams } = new URL(response.headers.get('location') ?? '');
      expect(Number(searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(60);
    } finally {
      await redirecting.stop();
    }
  });

  test('are stored after an outage of the bucket, during which tasks end and /readyz reports the outage', async () => {
    server.fault = (_request, response) => {
      response.writeHead(403).end();
      return true;
    };
    const { id } = await app.generate({ prompt: 'no bucket', size: '256x256' });
    await app.waitForEvent(id, 'TASK_SUCCEEDED');
    const store = async () =>
      (await app.get('/readyz')).json as { ready: boolean; store: { ok: boolean; error?: string } };
    await waitFor('/readyz to report the outage', async () => !(await store()).store.ok, {
      timeoutMs: 15_000,
    });
    expect(await store()).toMatchObject({
      ready: true,
      store: { error: expect.stringContaining('image store') as unknown },
    });
    const [image] = (await app.task(id)).images;
    expect((await app.get(pathAndQuery(image?.url))).status).toBe(503);

    // The queue gives a job up after 25 failures.
    const isRunning = `SELECT FROM graphile_worker._private_jobs WHERE payload ->> 'taskId' = $1 AND locked_at IS NOT NULL`;
    await waitFor('the job to end', async () => (await app.rows(isRunning, [id])).length === 0);
    await app.rows(`DELETE FROM graphile_worker._private_jobs WHERE payload ->> 'taskId' = $1`, [id]);
    server.fault = () => false;
    await app.waitUntilSettled(id);
    expect((await app.history(id)).at(-1)?.type).toBe('IMAGE_STORED');
    await waitFor('/readyz to report a working store', async () => (await store()).store.ok);
  });
});
