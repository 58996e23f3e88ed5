import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const DAY_MS = 24 * 3_600_000;
const AGES = [400, 31, 30.01, 29.99, 29, 0];

let app: TestApp;
let workspaceId: string;
beforeAll(async () => {
  app = await TestApp.start();
  const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces');
  workspaceId = row?.id ?? '';
});
afterAll(() => app.stop());

/** A callback whose next attempt is far away, with an attempt of each age. */
async function callbackWithAttempts(status: string, ages: readonly number[]): Promise<string> {
  const id = newId();
  await app.rows(
    `INSERT INTO outgoing_callbacks (id, workspace_id, task_id, kind, status, receiver, next_attempt_at)
     VALUES ($1, $2, $3, 'RESULT', $4::outgoing_callback_status, 'http://a.example', now() + interval '1 day')`,
    [id, workspaceId, newId(), status],
  );
  await app.rows(
    `INSERT INTO deliveries (id, callback_id, task_id, workspace_id, attempt, latency_ms, answer)
     SELECT made.id, callback.id, callback.task_id, callback.workspace_id, 1, 1, made.age
     FROM outgoing_callbacks callback, unnest($2::uuid[], $3::text[]) AS made(id, age) WHERE callback.id = $1`,
    [id, ages.map((days) => v7({ msecs: Date.now() - days * DAY_MS })), ages.map(String)],
  );
  return id;
}
async function agesLeft(callbackId: string): Promise<number[]> {
  const rows = await app.rows<{ answer: string }>(
    'SELECT answer FROM deliveries WHERE callback_id = $1 ORDER BY id',
    [callbackId],
  );
  return rows.map(({ answer }) => Number(answer));
}

test('attempts are forgotten after 30 days, not before, and not those of a callback that is to be posted', async () => {
  // More than one statement deletes.
  const many = await callbackWithAttempts(
    'DELIVERED',
    Array.from({ length: 1_500 }, () => 40),
  );
  const delivered = await callbackWithAttempts('DELIVERED', AGES);
  const abandoned = await callbackWithAttempts('ABANDONED', AGES);
  const pending = await callbackWithAttempts('PENDING', AGES);
  await app.rows("SELECT graphile_worker.add_job('forget-callbacks', '{}')");
  await waitFor('the old ones to be gone', async () => (await agesLeft(abandoned)).length <= 3);
  expect(await agesLeft(many)).toEqual([]);
  expect(await agesLeft(delivered)).toEqual([29.99, 29, 0]);
  expect(await agesLeft(abandoned)).toEqual([29.99, 29, 0]);
  expect(await agesLeft(pending)).toEqual(AGES);
  const kept = await app.rows('SELECT FROM outgoing_callbacks');
  expect(kept).toHaveLength(4);
});
