import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Peer, type Received, reply, silence } from '../../support/net/http-peer.js';
import { TestApp, type TestAppOptions } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';
import {
  addEnded,
  deliveriesOf,
  LOOPBACK,
  resultOf,
  webhookIdOf,
} from '../../support/webhooks/received-webhooks.js';

let database: TestDatabase;
let receiver: Peer;
let apps: TestApp[];
let proxies: TcpProxy[];
beforeEach(async () => {
  apps = [];
  proxies = [];
  database = await createTestDatabase();
  receiver = await Peer.open(reply(200, ''));
});
afterEach(async () => {
  await Promise.all(apps.map((app) => app.stop()));
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  await receiver.close();
  await database.drop();
});

async function start({ databaseUrl = database.url, ...rest }: TestAppOptions = {}): Promise<TestApp> {
  const key = apps[0]?.key;
  const app = await TestApp.start({ environment: LOOPBACK, databaseUrl, key, ...rest });
  apps.push(app);
  return app;
}
async function proxyBefore(address: string): Promise<{ proxy: TcpProxy; url: string }> {
  const before = await TcpProxy.before(address);
  proxies.push(before.proxy);
  return before;
}
/** How often each task's delivery was told. */
async function told(app: TestApp): Promise<Map<string, number>> {
  const rows = await app.rows<{ id: string; times: number }>(
    `SELECT task_id AS id, count(*)::int AS times FROM task_events WHERE type = 'CALLBACK_DELIVERED' GROUP BY task_id`,
  );
  return new Map(rows.map(({ id, times }) => [id, times]));
}
async function allTold(app: TestApp, ids: readonly string[]): Promise<void> {
  await waitFor('every delivery', async () => (await told(app)).size === ids.length, { timeoutMs: 20_000 });
  expect(await told(app)).toEqual(new Map(ids.map((id) => [id, 1])));
}
function tasksOf(received: readonly Received[]): string[] {
  return received.map((one) => resultOf(one).task_id);
}

test('A receiver that is restarted in the middle of 100 callbacks is given each of them, under its own id', async () => {
  const app = await start({ tuning: { deliveryDelaysMs: Array<number>(20).fill(100) } });
  const { proxy, url } = await proxyBefore(receiver.url);
  // Some are read and never answered: the receiver has them, and is given them again.
  receiver.answer = (response, received) => {
    if (receiver.received.length % 10 !== 0) reply(200, '')(response, received);
    else if (receiver.received.length === 50) void proxy.cut();
    else response.destroy();
  };
  const ids = await addEnded(app, new URL('/hook', url).href, 100);
  await waitFor('the cut', () => receiver.received.length >= 50);
  await waitFor('refused attempts', async () => {
    const refused = "SELECT FROM deliveries WHERE failure = 'the connection was refused' LIMIT 3";
    return (await app.rows(refused)).length === 3;
  });
  receiver.answer = reply(200, '');
  await proxy.restore();
  await allTold(app, ids);

  expect(new Set(tasksOf(receiver.received))).toEqual(new Set(ids));
  const named = receiver.received.map((one) => `${resultOf(one).task_id} ${webhookIdOf(one)}`);
  expect(new Set(named).size).toBe(100);
  expect(new Set(receiver.received.map(webhookIdOf)).size).toBe(100);
  const rows = await app.rows('SELECT DISTINCT status FROM outgoing_callbacks');
  expect(rows).toEqual([{ status: 'DELIVERED' }]);
});

test('Two instances on one database deliver each of 200 callbacks once', async () => {
  const [first] = [await start(), await start()];
  const others = await Promise.all(Array.from({ length: 4 }, () => Peer.open(reply(200, ''))));
  const ids = (await Promise.all(others.map(({ url }) => addEnded(first, `${url}/hook`, 50)))).flat();
  await allTold(first, ids);
  const arrived = others.flatMap(({ received }) => tasksOf(received));
  expect(arrived.sort()).toEqual(ids.sort());
  const shares = apps.map(
    (app) => app.logged.filter((line) => line.includes('a callback was posted')).length,
  );
  expect(shares.reduce((sum, share) => sum + share)).toBe(200);
  await Promise.all(others.map((peer) => peer.close()));
});

test('A stop cuts an attempt that hangs after a few seconds, and the next start makes it again at once', async () => {
  const app = await start();
  receiver.answer = silence;
  const [id = ''] = await addEnded(app, `${receiver.url}/hook`, 1);
  await waitFor('the attempt', () => receiver.received.length === 1);
  const stopping = Date.now();
  await app.stop();
  expect(Date.now() - stopping).toBeLessThan(10_000);

  receiver.answer = reply(200, '');
  const next = await start();
  await next.happened(id, 'CALLBACK_DELIVERED');
  expect(tasksOf(receiver.received)).toEqual([id, id]);
  expect(new Set(receiver.received.map(webhookIdOf)).size).toBe(1);
  // It was we who hung up: the receiver has no failure to its name, and no wait before its next attempt.
  expect((await deliveriesOf(next, id)).nodes).toMatchObject([{ attempt: 2, statusCode: 200 }]);
});

test('An answer that comes while Postgres is away is written down when it is back', async () => {
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const { proxy, url } = await proxyBefore(database.url);
  const app = await start({ databaseUrl: url });
  let answer = () => {};
  receiver.answer = (response, received) => (answer = () => reply(200, 'kept')(response, received));
  const [id = ''] = await addEnded(app, `${receiver.url}/hook`, 1);
  await waitFor('the attempt', () => receiver.received.length === 1);
  await proxy.cut();
  answer();
  await waitFor('the answer to wait', () => app.logged.some((line) => line.includes('trying again')));
  await proxy.restore();
  await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
  await app.happened(id, 'CALLBACK_DELIVERED');
  expect((await deliveriesOf(app, id)).nodes).toMatchObject([
    { attempt: 1, statusCode: 200, answer: 'kept' },
  ]);
  expect(receiver.received).toHaveLength(1);
});
