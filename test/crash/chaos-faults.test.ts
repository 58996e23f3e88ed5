import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { NotificationFilter } from '../../bench/chaos/notification-filter.js';
import { paceLoad } from '../../bench/chaos/pipeline-floor.js';
import { measureAnswerTime, measureStoringRate } from '../../bench/chaos/recovery-floor.js';
import { BucketStore } from '../../bench/chaos/store.js';
import { TcpProxy } from '../../bench/chaos/tcp-proxy.js';
import { createTestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const releases: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

test('the network can lose notifications, and only those', async () => {
  const database = await createTestDatabase({ empty: true });
  releases.push(() => database.drop());
  const url = new URL(database.url);
  const serverPort = Number(url.port);
  let losesNotifications = false;
  const proxy = await TcpProxy.open({
    targets: () => [serverPort],
    createFilter: () => new NotificationFilter(() => losesNotifications),
  });
  releases.push(() => proxy.disconnect());
  const sender = new Client({ connectionString: database.url });
  url.port = String(proxy.port);
  const listener = new Client({ connectionString: url.href });
  for (const client of [sender, listener]) {
    await client.connect();
    releases.push(() => client.end());
  }
  const received: (string | undefined)[] = [];
  listener.on('notification', ({ payload }) => received.push(payload));
  await listener.query('listen news');

  losesNotifications = true;
  await sender.query("notify news, 'lost'");
  // The answer comes after the notification. It is longer than one packet, so it arrives in pieces.
  const { rows } = await listener.query<{ text: string }>("select repeat('x', 300000) as text");
  expect(rows[0]?.text).toHaveLength(300_000);
  losesNotifications = false;
  await sender.query("notify news, 'arrives'");

  await waitFor('the second notification', () => (received.length > 0 ? true : null));
  expect(received).toEqual(['arrives']);
});

test('a bucket can hang on one operation, and then serves what waited', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-bucket-'));
  releases.push(() => rm(folder, { recursive: true, force: true }));
  const store = await BucketStore.start(join(folder, 'bucket'));
  releases.push(() => store.stop());
  const url = `${store.environment.S3_ENDPOINT}/images/a`;

  store.hang('head');
  let isAnswered = false;
  const head = fetch(url, { method: 'HEAD' }).then(({ status }) => {
    isAnswered = true;
    return status;
  });
  expect((await fetch(url)).status).toBe(404);
  expect(isAnswered).toBe(false);
  store.resume('head');
  expect(await head).toBe(404);
});

test('the answer time of PostgreSQL is the longest wait of a bare client after an outage of PostgreSQL', () => {
  const outages = [
    { kind: 'restart', startedAt: 1_000, endedAt: 5_000 },
    { kind: 'silent', startedAt: 20_000, endedAt: 25_000 },
    { kind: 'upstream', startedAt: 30_000, endedAt: 40_000 },
  ];
  expect(measureAnswerTime(outages, [500, 6_500, 19_000, 25_200, 60_000])).toBe(1.5);
});

test('the storing rate is that of the five seconds in which the most images were stored', () => {
  const stored = (at: number) => ({
    taskId: 'a',
    type: 'IMAGE_STORED',
    at,
    position: null,
    deliveredCount: 0,
  });
  const events = new Map([
    ['a', [stored(1_000), stored(2_000), { ...stored(2_500), type: 'TASK_SUCCEEDED' }, stored(7_000)]],
    ['b', [20_000, 20_100, 20_200, 24_900, 25_000].map(stored)],
  ]);
  expect(measureStoringRate(events)).toBe(0.8);
});

test('the load is what the bare pipeline stores in 3 s after the longest outage of the run', () => {
  // 45 s of 429 in a run of 150 s, with 1.8 images a task.
  expect(paceLoad(81, 150)).toBe(3);
  expect(paceLoad(40.5, 150)).toBe(1.5);
  expect(paceLoad(0, 150)).toBe(0.1);
});
