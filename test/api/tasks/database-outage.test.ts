import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { GenerateImagesDocument, ViewerDocument } from '../../../clients/operations.js';
import { TestApp, typesOf, type WatchFailed } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';

describe('Postgres that goes away while the service runs', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let app: TestApp;
  beforeAll(async () => {
    // The queue prints a trace of its own when a connection is lost, past every logger.
    jest.spyOn(console, 'trace').mockImplementation(() => undefined);
    database = await createTestDatabase();
    const before = await TcpProxy.before(database.url);
    proxy = before.proxy;
    app = await TestApp.start({ databaseUrl: before.url, tuning: { askUpstreamAfterMs: 300 } });
  });
  afterAll(async () => {
    await proxy.restore().catch(() => undefined);
    await app.stop();
    await proxy.cut();
    await database.drop();
  });

  test('is told to callers with a code and to /readyz with 503, and everything resumes when it is back', async () => {
    const open = await app.generate({ prompt: 'across the cut [sandbox: delay=1s callback=lost]' });
    const watch = app.watchTask(open.id, open.cursor);
    await waitFor('the submission', () => typesOf(watch.received).includes('TASK_SUBMITTED'));

    await proxy.cut();
    const refused = await app.post(GenerateImagesDocument, { input: { prompt: 'while it is away' } });
    expect(refused.errors).toMatchObject([{ extensions: { code: 'DATABASE_UNAVAILABLE' } }]);
    expect(refused.errors?.[0]?.message).toContain('Try again');
    const ready = await app.get('/readyz');
    expect(ready).toMatchObject({
      status: 503,
      json: { ready: false, parts: { database: { ok: false } } },
    });
    expect((await app.get('/healthz')).status).toBe(200);

    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
    const later = await app.generate({ prompt: 'after it came back' });
    await expect(app.settled(later.id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    await watch.ended;
    expect(typesOf(watch.received)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
    await expect(app.billed('while it is away')).resolves.toMatchObject({ total: 0 });
  });

  test('between a submission and its reply loses neither the task nor what it cost', async () => {
    const prompt = 'cut in the middle [sandbox: callback=early delay=3s]';
    const { id } = await app.generate({ prompt });
    await waitFor('the submission', async () => (await app.task(id)).status === 'SUBMITTING');
    await proxy.cut();
    await waitFor('the picture to be made', async () => (await app.billed(prompt)).total === 1);
    await proxy.restore();
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    await expect(app.billed(prompt)).resolves.toMatchObject({ total: 1 });
  });

  test('does not cost a caller their key: it works again when the database does', async () => {
    await proxy.cut();
    const fresh = app.connectSockets(app.key);
    await fresh.dispose();
    await proxy.restore();
    await waitFor('an answer', async () => (await app.post(ViewerDocument, {})).data);
  });
});

describe('Postgres that goes away while a picture is fetched', () => {
  test('does not lose the picture', async () => {
    const upstream = await FakeUpstream.open();
    const database = await createTestDatabase();
    const { proxy, url } = await TcpProxy.before(database.url);
    const app = await TestApp.start({ databaseUrl: url, environment: upstream.environment });
    try {
      let letGo = () => {};
      upstream.picturesMayGo = new Promise<void>((resolve) => (letGo = resolve));
      const { id } = await app.generate({ prompt: 'stored later' });
      await app.send(await upstream.callbackPath('stored later'), upstream.success(1, 'later'));
      await waitFor('the fetching', () => upstream.wasFetched('later-0'));
      await proxy.cut();
      letGo();
      await waitFor('the job to find it away', () =>
        app.logged.some((line) => line.includes('trying again')),
      );
      await proxy.restore();
      await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
      await waitFor('the picture', async () => (await app.task(id)).images[0]?.storedAt, {
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

describe('Postgres that never answers again', () => {
  test('keeps a service that is told to stop neither from ending nor from telling its watchers', async () => {
    const database = await createTestDatabase();
    const { proxy, url } = await TcpProxy.before(database.url);
    const app = await TestApp.start({ databaseUrl: url });
    try {
      const { id, cursor } = await app.generate({ prompt: 'watched to the end [sandbox: delay=600s]' });
      const watch = app.watchTask(id, cursor);
      await waitFor('the submission', () => typesOf(watch.received).includes('TASK_SUBMITTED'));
      proxy.freeze();
      const told = watch.ended.catch((error: unknown) => error);
      const startedAt = Date.now();
      await app.stop();
      expect(((await told) as WatchFailed).reason).toMatchObject({ code: 1001 });
      // main.ts ends the process with an error after 15 s.
      expect(Date.now() - startedAt).toBeLessThan(14_500);
    } finally {
      await proxy.cut();
      await app.stop();
      await database.drop();
    }
  });
});

describe('Postgres that is not there at the start', () => {
  test('ends the process with 1 and one line that says so', async () => {
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
          DATABASE_URL: 'postgresql://nobody:secret@127.0.0.1:1/nothing',
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
