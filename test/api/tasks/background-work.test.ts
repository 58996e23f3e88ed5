import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ServerResponse } from 'node:http';
import pg from 'pg';
import { MAX_BACKGROUND_CONNECTIONS } from '../../../src/app/adapters.js';
import { TestApp } from '../../support/app/test-app.js';
import { TestHttpServer } from '../../support/net/test-http-server.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { addTasksWithDueWebhooks, ALLOW_LOOPBACK } from '../../support/webhooks/received-webhooks.js';

/** More than an instance has connections. An endpoint gets a few attempts at a time, so there are several. */
const ENDPOINT_COUNT = 30;

let database: TestDatabase;
let app: TestApp;
let locker: pg.Client;
let endpoints: TestHttpServer[];
const waiting: ServerResponse[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  app = await TestApp.start({ databaseUrl: database.url, environment: ALLOW_LOOPBACK });
  locker = new pg.Client({ connectionString: database.url });
  await locker.connect();
  endpoints = await Promise.all(
    Array.from({ length: ENDPOINT_COUNT }, () => TestHttpServer.open((response) => waiting.push(response))),
  );
});
afterAll(async () => {
  await locker.end();
  await app.stop();
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  await database.drop();
});

/** Statements of the service that wait for a lock, each with its connection. */
async function countWaiting(): Promise<number> {
  const text = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return (await locker.query(text)).rowCount ?? 0;
}

test('background statements that hang take no connection from requests, callbacks and the queue', async () => {
  await Promise.all(endpoints.map(({ url }) => addTasksWithDueWebhooks(app, `${url}/hook`, 1)));
  await waitFor('the attempts', () => waiting.length === ENDPOINT_COUNT);
  await locker.query('BEGIN; LOCK TABLE webhook_attempts IN ACCESS EXCLUSIVE MODE');
  // Each attempt now records its outcome, and one more statement of each job that deletes by age waits behind the lock.
  for (const response of waiting) response.writeHead(200).end();
  await app.rows(`UPDATE graphile_worker._private_jobs SET run_at = now() WHERE key LIKE 'delete-%'`);
  await waitFor('statements that hang', async () => (await countWaiting()) >= MAX_BACKGROUND_CONNECTIONS);
  // The sandbox posts the results to the callbacks of the service, and the ingest jobs store them.
  const tasks = await Promise.all(Array.from({ length: 5 }, () => app.generate({ prompt: 'a fox' })));
  const most = await countWaiting();
  const settled = await Promise.all(tasks.map(({ id }) => app.waitUntilSettled(id)));
  expect(settled.map(({ status }) => status)).toEqual(tasks.map(() => 'SUCCEEDED'));
  expect(Math.max(most, await countWaiting())).toBeLessThanOrEqual(MAX_BACKGROUND_CONNECTIONS);
  expect((await app.get('/readyz')).status).toBe(200);
  await locker.query('ROLLBACK');
  await waitFor('the outcomes', async () => {
    const rows = await app.rows(`SELECT FROM webhook_deliveries WHERE status = 'DELIVERED'`);
    return rows.length === ENDPOINT_COUNT;
  });
}, 120_000);
