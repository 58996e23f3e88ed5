import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { CreateUploadDocument } from '../../../clients/operations.js';
import { createClientToken } from '../../support/access/client-tokens.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { HungFile } from '../../support/storage/hung-file.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

/** Node.js has four threads by default. */
const IMAGE_COUNT = 6;

let upstream: FakeUpstream;
let app: TestApp;
const hung: HungFile[] = [];
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  const { FLUX_BASE_URL = '' } = upstream.environment;
  app = await TestApp.start({
    environment: {
      ...upstream.environment,
      // A name is looked up in the threads of Node.js.
      FLUX_BASE_URL: FLUX_BASE_URL.replace('127.0.0.1', 'localhost'),
      ALLOW_PRIVATE_HOSTS: '127.0.0.1,localhost',
    },
  });
});
afterAll(async () => {
  for (const file of hung.splice(0)) file.release();
  await app.stop();
  await upstream.close();
});

/** Uploads a distinct image to the link of `createUpload`. Returns the path of the image. */
async function upload(width: number): Promise<string> {
  const { createUpload } = await app.query(CreateUploadDocument, { input: {} });
  const bytes = await sharp({ create: { width, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const response = await app.http
    .put(pathAndQuery(createUpload.upload?.url ?? ''))
    .set('content-type', 'image/png')
    .send(bytes);
  return pathAndQuery((response.body as { image: { url: string } }).image.url);
}

/** Replaces every stored file by one that hangs whoever opens it. */
function hangStoredFiles(): void {
  const folder = join(app.dataDir, 'images');
  for (const shard of readdirSync(folder).filter((name) => /^[0-9a-f]{2}$/.test(name))) {
    for (const name of readdirSync(join(folder, shard))) {
      const path = join(folder, shard, name);
      if (!statSync(path).isFile()) continue;
      rmSync(path);
      hung.push(HungFile.create(path));
    }
  }
}

// Enforces MAX_DISK_OPERATIONS in src/storage/disk-operations.ts.
test('a disk of the image store that hangs delays neither submissions nor client tokens, and is refused', async () => {
  const paths: string[] = [];
  for (let index = 0; index < IMAGE_COUNT; index += 1) paths.push(await upload(20 + index));
  hangStoredFiles();
  expect(hung.length).toBe(IMAGE_COUNT);
  const statuses: number[] = [];
  const reads = paths.map((path) => app.get(path).then(({ status }) => statuses.push(status)));

  await app.generate({ prompt: 'fresh', timeoutSeconds: 600 });
  const token = createClientToken(app, {});
  await waitFor('the submission', () => upstream.submissions('fresh').length > 0, { timeoutMs: 5_000 });
  await waitFor('the token', () => token.then(() => true), { timeoutMs: 5_000 });

  // Those that have no slot are refused long before those that hang.
  await waitFor('the refusals', () => statuses.length >= IMAGE_COUNT - 2, { timeoutMs: 12_000 });
  expect(new Set(statuses)).toEqual(new Set([503]));
  const startedAt = performance.now();
  const refused = await app.get(paths.at(-1) ?? '');
  expect(refused).toMatchObject({ status: 503, json: { error: { code: 'STORE_UNAVAILABLE' } } });
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  const { status, json } = await app.get('/readyz');
  expect({ status, json }).toMatchObject({ status: 200, json: { store: { ok: false } } });

  for (const file of hung.splice(0)) file.release();
  await Promise.all(reads);
  await waitFor('the disk to be used again', async () => {
    const { json: ready } = await app.get('/readyz');
    return (ready as { store: { ok: boolean } }).store.ok;
  });
}, 90_000);
