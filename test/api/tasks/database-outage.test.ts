import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { GenerateImagesDocument, ViewerDocument } from '../../../clients/operations.js';
import { TestApp, eventTypes, type SubscriptionFailed } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';

describe('a service whose database becomes unreachable', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let app: TestApp;
  beforeAll(async () => {
    // When a connection is lost, graphile-worker calls console.trace, which no logger can capture.
    jest.spyOn(console, 'trace').mockImplementation(() => undefined);
    database = await createTestDatabase();
    const inFront = await TcpProxy.inFrontOf(database.url);
    proxy = inFront.proxy;
    app = await TestApp.start({ databaseUrl: inFront.url, tuning: { readUpstreamAfterMs: 300 } });
  });
  afterAll(async () => {
    await proxy.restore().catch(() => undefined);
    await app.stop();
    await proxy.cut();
    await database.drop();
  });

  test('answers with DATABASE_UNAVAILABLE, reports 503 at /readyz, and resumes everything after the outage', async () => {
    const interrupted = await app.generate({ prompt: 'across the outage [sandbox: delay=1s callback=lost]' });
    const subscription = app.subscribeToTask(interrupted.id, interrupted.eventCursor);
    await waitFor('the submission', () => eventTypes(subscription.received).includes('TASK_SUBMITTED'));

    await proxy.cut();
    const rejected = await app.execute(GenerateImagesDocument, { input: { prompt: 'during the outage' } });
    expect(rejected.errors).toMatchObject([{ extensions: { code: 'DATABASE_UNAVAILABLE' } }]);
    expect(rejected.errors?.[0]?.message).toContain('Try again');
    const ready = await app.get('/readyz');
    expect(ready).toMatchObject({
      status: 503,
      json: { ready: false, components: { database: { ok: false } } },
    });
    expect((await app.get('/healthz')).status).toBe(200);

    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
    const later = await app.generate({ prompt: 'after the outage' });
    await expect(app.waitUntilSettled(later.id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
    await expect(app.sandboxCharges('during the outage')).resolves.toMatchObject({ total: 0 });
  });

  test('loses no task and pays for it once when the outage starts between a submission and its reply', async () => {
    const prompt = 'interrupted submission [sandbox: callback=early delay=3s]';
    const { id } = await app.generate({ prompt });
    await waitFor('the submission', async () => (await app.task(id)).status === 'SUBMITTING');
    await proxy.cut();
    await waitFor('the image to be generated', async () => (await app.sandboxCharges(prompt)).total === 1);
    await proxy.restore();
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 1 });
  });

  test('accepts an API key again after the outage', async () => {
    await proxy.cut();
    const client = app.createWebSocketClient(app.apiKey);
    await client.dispose();
    await proxy.restore();
    await waitFor('a response', async () => (await app.execute(ViewerDocument, {})).data);
  });
});

describe('an image that is being downloaded when the database becomes unreachable', () => {
  test('is stored after the outage', async () => {
    const upstream = await FakeUpstream.open();
    const database = await createTestDatabase();
    const { proxy, url } = await TcpProxy.inFrontOf(database.url);
    const app = await TestApp.start({ databaseUrl: url, environment: upstream.environment });
    try {
      let releaseImages = () => {};
      upstream.imagesReleased = new Promise<void>((resolve) => (releaseImages = resolve));
      const { id } = await app.generate({ prompt: 'stored later' });
      await app.postBody(await upstream.callbackPath('stored later'), upstream.successCallback(1, 'later'));
      await waitFor('the download', () => upstream.wasFetched('later-0'));
      await proxy.cut();
      releaseImages();
      await waitFor('the job to notice the outage', () =>
        app.logLines.some((line) => line.includes('retrying a write')),
      );
      await proxy.restore();
      await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
      await waitFor('the image', async () => (await app.task(id)).images[0]?.storedAt, {
        timeoutMs: 20_000,
      });
    } finally {
      await app.stop();
      await proxy.cut();
      await database.drop();
      await upstream.close();
    }
  });
});

describe('a service whose database never answers again', () => {
  test('stops in time and closes its subscriptions with 1001', async () => {
    const database = await createTestDatabase();
    const { proxy, url } = await TcpProxy.inFrontOf(database.url);
    const app = await TestApp.start({ databaseUrl: url });
    try {
      const { id, eventCursor } = await app.generate({
        prompt: 'subscribed until the stop [sandbox: delay=600s]',
      });
      const subscription = app.subscribeToTask(id, eventCursor);
      await waitFor('the submission', () => eventTypes(subscription.received).includes('TASK_SUBMITTED'));
      proxy.freeze();
      const closed = subscription.ended.catch((error: unknown) => error);
      const startedAt = Date.now();
      await app.stop();
      expect(((await closed) as SubscriptionFailed).reason).toMatchObject({ code: 1001 });
      // main.ts exits with an error after 15 s.
      expect(Date.now() - startedAt).toBeLessThan(14_500);
    } finally {
      await proxy.cut();
      await app.stop();
      await database.drop();
    }
  });
});

describe('a service that starts without its database', () => {
  test('exits with 1 and prints one line that names the database', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-api-'));
    const child = spawn(
      process.execPath,
      ['--import', './test/support/setup/typescript.mjs', 'src/main.ts'],
      {
        env: {
          PATH: process.env.PATH,
          PORT: '0',
          DATA_DIR: dataDir,
          LOG_LEVEL: 'silent',
          DATABASE_URL: 'postgresql://darkroom:secret@127.0.0.1:1/nothing',
        },
      },
    );
    let errors = '';
    let output = '';
    child.stderr.on('data', (chunk) => (errors += String(chunk)));
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    const [code] = (await once(child, 'close')) as [number | null];
    await rm(dataDir, { recursive: true, force: true });
    expect({ code, output, lines: errors.trim().split('\n').length, errors }).toMatchObject({
      code: 1,
      output: '',
      lines: 1,
    });
    expect(errors).toMatch(/database|Postgres/i);
    expect(errors).not.toContain('secret');
  });
});
