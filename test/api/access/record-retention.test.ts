import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
let workspaceId: string;
beforeAll(async () => {
  app = await TestApp.start();
  const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces');
  workspaceId = row?.id ?? '';
});
afterAll(() => app.stop());

async function runRetention(): Promise<void> {
  await app.rows("SELECT graphile_worker.add_job('delete-old-records', '{}')");
}
async function names(sql: string): Promise<string[]> {
  return (await app.rows<{ name: string }>(sql)).map(({ name }) => name);
}

test('counters of rate limits are deleted an hour after their window has ended', async () => {
  await app.rows(
    `INSERT INTO rate_limit_windows (key, ends_at, total_granted, last_granted)
     SELECT 'old ' || n, now() - interval '61 min', 1, 1 FROM generate_series(1, 2500) n
     UNION ALL SELECT 'recent', now() - interval '59 min', 1, 1 UNION ALL SELECT 'open', now() + interval '1 min', 1, 1`,
  );
  await runRetention();
  const read = () => names('SELECT key AS name FROM rate_limit_windows ORDER BY key');
  await waitFor('the old windows to be deleted', async () => (await read()).length <= 2);
  expect(await read()).toEqual(['open', 'recent']);
});

test('settled webhook deliveries are deleted 30 days after their last attempt, and pending ones never', async () => {
  const ids = Array.from({ length: 6 }, () => newId());
  await app.rows(
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, status, endpoint, next_attempt_at)
     SELECT made.id, $1, gen_random_uuid(), 'RESULT', made.status::webhook_delivery_status, made.name, now() - made.age::interval
     FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS made(id, status, name, age)`,
    [
      workspaceId,
      ids,
      ['DELIVERED', 'DELIVERED', 'ABANDONED', 'ABANDONED', 'PENDING', 'DELIVERED'],
      ['old delivered', 'delivered', 'old abandoned', 'abandoned', 'pending', 'just delivered'],
      ['31 days', '29 days', '400 days', '29.9 days', '0', '0'],
    ],
  );
  const read = () => names('SELECT endpoint AS name FROM webhook_deliveries ORDER BY endpoint');
  await runRetention();
  await waitFor('the old deliveries to be deleted', async () => (await read()).length <= 4);
  expect(await read()).toEqual(['abandoned', 'delivered', 'just delivered', 'pending']);
});

test('failed authentications are deleted after 30 days, and nothing else in the audit log ever', async () => {
  const insert = `INSERT INTO audit_log (id, at, action, actor) VALUES ($1, now() - $2::interval, $3, $4)`;
  for (const [age, action, actor] of [
    ['31 days', 'AUTHENTICATION_FAILED', 'old failure'],
    ['29 days', 'AUTHENTICATION_FAILED', 'failure'],
    ['400 days', 'API_KEY_REVOKED', 'old action'],
  ])
    await app.rows(insert, [newId(), age, action, actor]);
  const read = () =>
    names(
      `SELECT actor AS name FROM audit_log WHERE actor IN ('old failure', 'failure', 'old action') ORDER BY actor`,
    );
  await runRetention();
  await waitFor('the old failure to be deleted', async () => (await read()).length <= 2);
  expect(await read()).toEqual(['failure', 'old action']);
  for (const actor of await read())
    await expect(app.rows('DELETE FROM audit_log WHERE actor = $1', [actor])).rejects.toThrow('append-only');
});

test('in-flight leases that have expired are deleted, even if their workspace makes no more requests', async () => {
  await app.rows(
    `INSERT INTO in_flight_leases (task_id, workspace_id, key_lineage_id, expires_at)
     SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now() + (n - 2500) * interval '1 min'
     FROM generate_series(1, 2502) n`,
  );
  const read = () => names('SELECT expires_at AS name FROM in_flight_leases WHERE expires_at < now()');
  await runRetention();
  await waitFor('the expired leases to be deleted', async () => (await read()).length === 0);
  await expect(names('SELECT task_id AS name FROM in_flight_leases')).resolves.toHaveLength(2);
});
