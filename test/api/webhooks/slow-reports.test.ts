import { expect, test } from '@jest/globals';
import pg from 'pg';
import { postGraphql } from '../../support/app/graphql-request.js';
import { TestApp } from '../../support/app/test-app.js';
import { reply, TestHttpServer } from '../../support/net/test-http-server.js';
import { waitFor } from '../../support/wait-for.js';
import { addTasksWithDueWebhooks, ALLOW_LOOPBACK } from '../../support/webhooks/received-webhooks.js';

const REPORT = `{ usage(from: "2026-06-01T00:00:00Z", to: "2026-12-01T00:00:00Z", groupBy: API_KEY) { nodes { groupKey } } }`;

test('usage reports that take long delay neither webhooks nor /readyz', async () => {
  const endpoint = await TestHttpServer.open(reply(204, ''));
  const app = await TestApp.start({ environment: ALLOW_LOOPBACK });
  const sql = new pg.Client({ connectionString: app.databaseUrl });
  await sql.connect();
  await postGraphql(app, REPORT);
  // Reports wait for this lock. Keys are cached.
  await sql.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
  const reports = Array.from({ length: 8 }, () => postGraphql(app, REPORT));
  await addTasksWithDueWebhooks(app, `${endpoint.url}/a`, 1);
  const readiness = app.get('/readyz');
  await waitFor('the webhook', () => endpoint.requests.length > 0, { timeoutMs: 4_000 });
  expect((await readiness).status).toBe(200);
  await sql.query('ROLLBACK');
  await sql.end();
  await Promise.all(reports);
  await app.stop();
  await endpoint.close();
});
