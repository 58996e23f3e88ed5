import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply, type RequestHandler } from '../../support/net/test-http-server.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

let database: TestDatabase;
let proxy: TcpProxy;
let databaseUrl: string;
let dataDir: string;
let upstream: FakeUpstream;
const apps: TestApp[] = [];
beforeEach(async () => {
  // When a connection is lost, graphile-worker calls console.trace, which no logger can capture.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  database = await createTestDatabase();
  ({ proxy, url: databaseUrl } = await TcpProxy.inFrontOf(database.url));
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-refused-'));
  upstream = await FakeUpstream.open();
});
afterEach(async () => {
  for (const app of apps.splice(0).reverse()) await app.stop();
  await proxy.cut();
  await database.drop();
  await upstream.close();
  await rm(dataDir, { recursive: true });
});

async function start(beside?: TestApp): Promise<TestApp> {
  const app = await TestApp.start({
    ...{ databaseUrl, dataDir, environment: upstream.environment },
    ...(beside && { apiKey: beside.apiKey }),
  });
  apps.push(app);
  return app;
}

async function spooledFiles(): Promise<string[]> {
  const files = await readdir(join(dataDir, 'spool')).catch(() => []);
  return files.filter((name) => name.endsWith('.json'));
}
const refusal = (status: number, code: string) =>
  reply(status, { success: false, error: { code, message: 'why' }, trace_id: 'trace' });

/** Requests a task, and cuts the database between its submission and the response to it. */
async function refuseDuringOutage(app: TestApp, response: RequestHandler): Promise<string> {
  let respond = () => {};
  upstream.onSubmit = (...request) => (respond = () => response(...request));
  const { id } = await app.generate({ prompt: 'refused' });
  await waitFor('the submission', () => upstream.submissions('refused').length === 1);
  await proxy.cut();
  respond();
  return id;
}

test('a refusal that arrives while PostgreSQL is away is applied by the next process, so the task is not UNCONFIRMED', async () => {
  const app = await start();
  const id = await refuseDuringOutage(app, refusal(400, 'bad_request'));
  await waitFor('the file', async () => (await spooledFiles()).length === 1);
  await app.stop();
  await proxy.restore();
  const next = await start(app);
  await expect(next.waitUntilSettled(id)).resolves.toMatchObject({
    status: 'FAILED',
    error: { code: 'UPSTREAM_BAD_REQUEST' },
  });
  expect(await spooledFiles()).toEqual([]);
}, 60_000);

test('a refusal of the account that arrives while PostgreSQL is away puts the task back into the queue', async () => {
  const app = await start();
  const id = await refuseDuringOutage(app, refusal(403, 'used_up'));
  await waitFor('the file', async () => (await spooledFiles()).length === 1);
  await app.stop();
  await proxy.restore();
  upstream.onSubmit = reply(200, { task_id: 'accepted' });
  const next = await start(app);
  await expect(next.waitForEvent(id, 'TASK_SUBMITTED')).resolves.toMatchObject({ data: { attempt: 2 } });
  expect(upstream.submissions('refused')).toHaveLength(2);
}, 60_000);
