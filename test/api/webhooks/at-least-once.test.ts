import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import {
  TestHttpServer,
  type ReceivedRequest,
  reply,
  neverReply,
} from '../../support/net/test-http-server.js';
import { TestApp, type TestAppOptions } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';
import {
  addTasksWithDueWebhooks,
  webhookAttemptsOf,
  ALLOW_LOOPBACK,
  webhookPayloadOf,
  webhookIdOf,
} from '../../support/webhooks/received-webhooks.js';

let database: TestDatabase;
let endpoint: TestHttpServer;
let apps: TestApp[];
let proxies: TcpProxy[];
beforeEach(async () => {
  apps = [];
  proxies = [];
  database = await createTestDatabase();
  endpoint = await TestHttpServer.open(reply(200, ''));
});
afterEach(async () => {
  await Promise.all(apps.map((app) => app.stop()));
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  await endpoint.close();
  await database.drop();
});

async function start({ databaseUrl = database.url, ...rest }: TestAppOptions = {}): Promise<TestApp> {
  const apiKey = apps[0]?.apiKey;
  const app = await TestApp.start({ environment: ALLOW_LOOPBACK, databaseUrl, apiKey, ...rest });
  apps.push(app);
  return app;
}
async function startProxy(targetUrl: string): Promise<{ proxy: TcpProxy; url: string }> {
  const inFront = await TcpProxy.inFrontOf(targetUrl);
  proxies.push(inFront.proxy);
  return inFront;
}
/** The number of WEBHOOK_DELIVERED events of each task. */
async function deliveredEvents(app: TestApp): Promise<Map<string, number>> {
  const rows = await app.rows<{ id: string; times: number }>(
    `SELECT task_id AS id, count(*)::int AS times FROM task_events WHERE type = 'WEBHOOK_DELIVERED' GROUP BY task_id`,
  );
  return new Map(rows.map(({ id, times }) => [id, times]));
}
async function expectEachDeliveredOnce(app: TestApp, ids: readonly string[]): Promise<void> {
  await waitFor('every delivery', async () => (await deliveredEvents(app)).size === ids.length, {
    timeoutMs: 20_000,
  });
  expect(await deliveredEvents(app)).toEqual(new Map(ids.map((id) => [id, 1])));
}
function tasksOf(received: readonly ReceivedRequest[]): string[] {
  return received.map((request) => webhookPayloadOf(request).task_id);
}

test('An endpoint that restarts during 100 webhooks receives each of them, with one webhook-id per task', async () => {
  const app = await start({ tuning: { webhookRetryDelaysMs: Array<number>(20).fill(100) } });
  const { proxy, url } = await startProxy(endpoint.url);
  // The endpoint reads some requests without answering them, so they are sent again.
  endpoint.handler = (response, received) => {
    if (endpoint.requests.length % 10 !== 0) reply(200, '')(response, received);
    else if (endpoint.requests.length === 50) void proxy.cut();
    else response.destroy();
  };
  const ids = await addTasksWithDueWebhooks(app, new URL('/hook', url).href, 100);
  await waitFor('half of the requests', () => endpoint.requests.length >= 50);
  await waitFor('attempts with a refused connection', async () => {
    const refused = "SELECT FROM webhook_attempts WHERE error_message = 'the connection was refused' LIMIT 3";
    return (await app.rows(refused)).length === 3;
  });
  endpoint.handler = reply(200, '');
  await proxy.restore();
  await expectEachDeliveredOnce(app, ids);

  expect(new Set(tasksOf(endpoint.requests))).toEqual(new Set(ids));
  const taskAndWebhookIds = endpoint.requests.map(
    (request) => `${webhookPayloadOf(request).task_id} ${webhookIdOf(request)}`,
  );
  expect(new Set(taskAndWebhookIds).size).toBe(100);
  expect(new Set(endpoint.requests.map(webhookIdOf)).size).toBe(100);
  const rows = await app.rows('SELECT DISTINCT status FROM webhook_deliveries');
  expect(rows).toEqual([{ status: 'DELIVERED' }]);
});

test('Two instances on one database deliver each of 200 webhooks once', async () => {
  const [first] = [await start(), await start()];
  const endpoints = await Promise.all(Array.from({ length: 4 }, () => TestHttpServer.open(reply(200, ''))));
  const ids = (
    await Promise.all(endpoints.map(({ url }) => addTasksWithDueWebhooks(first, `${url}/hook`, 50)))
  ).flat();
  await expectEachDeliveredOnce(first, ids);
  const deliveredIds = endpoints.flatMap(({ requests }) => tasksOf(requests));
  expect(deliveredIds.sort()).toEqual(ids.sort());
  const shares = apps.map(
    (app) => app.logLines.filter((line) => line.includes('a webhook was posted')).length,
  );
  expect(shares.reduce((sum, share) => sum + share)).toBe(200);
  await Promise.all(endpoints.map((server) => server.close()));
});

test('A stop aborts a hanging attempt after a few seconds, and the next start repeats it at once', async () => {
  const app = await start();
  endpoint.handler = neverReply;
  const [id = ''] = await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, 1);
  await waitFor('the attempt', () => endpoint.requests.length === 1);
  const stoppedAt = Date.now();
  await app.stop();
  expect(Date.now() - stoppedAt).toBeLessThan(10_000);

  endpoint.handler = reply(200, '');
  const next = await start();
  await next.waitForEvent(id, 'WEBHOOK_DELIVERED');
  expect(tasksOf(endpoint.requests)).toEqual([id, id]);
  expect(new Set(endpoint.requests.map(webhookIdOf)).size).toBe(1);
  // Darkroom itself aborted the attempt, so it is not recorded as a failure and the next attempt is not delayed.
  expect((await webhookAttemptsOf(next, id)).nodes).toMatchObject([{ attemptNumber: 2, statusCode: 200 }]);
});

test('A response that arrives during a database outage is recorded after the outage', async () => {
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const { proxy, url } = await startProxy(database.url);
  const app = await start({ databaseUrl: url });
  let respond = () => {};
  endpoint.handler = (response, received) => (respond = () => reply(200, 'recorded')(response, received));
  const [id = ''] = await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, 1);
  await waitFor('the attempt', () => endpoint.requests.length === 1);
  await proxy.cut();
  respond();
  await waitFor('the service to notice the outage', () =>
    app.logLines.some((line) => line.includes('retrying a write')),
  );
  await proxy.restore();
  await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
  await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
  expect((await webhookAttemptsOf(app, id)).nodes).toMatchObject([
    { attemptNumber: 1, statusCode: 200, responseBody: 'recorded' },
  ]);
  expect(endpoint.requests).toHaveLength(1);
});

test('An attempt that PostgreSQL interrupts before the post is made again at once, and not when its lease expires', async () => {
  const app = await start();
  const sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  try {
    await sql.query('BEGIN');
    await sql.query('LOCK TABLE images');
    const ids = await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, 3);
    // Each session that waits for the images of a task is ended, as a restart of PostgreSQL does.
    await waitFor('the interruption', async () => {
      await sql.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return app.logLines.some((line) => line.includes('a webhook attempt was interrupted'));
    });
    expect(endpoint.requests).toHaveLength(0);
    await sql.query('COMMIT');
    // The lease is 20 s.
    await waitFor('the webhooks', () => endpoint.requests.length === 3, { timeoutMs: 12_000 });
    await expectEachDeliveredOnce(app, ids);
    expect(endpoint.requests).toHaveLength(3);
  } finally {
    await sql.end();
  }
});
