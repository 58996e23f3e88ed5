import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const DAY_MS = 24 * 3_600_000;
const AGES_IN_DAYS = [400, 31, 30.01, 29.99, 29, 0];

let app: TestApp;
let workspaceId: string;
beforeAll(async () => {
  app = await TestApp.start();
  const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces');
  workspaceId = row?.id ?? '';
});
afterAll(() => app.stop());

/** Inserts a delivery whose next attempt is due tomorrow, with one attempt of each age. Returns its ID. */
async function addDeliveryWithAttempts(status: string, agesInDays: readonly number[]): Promise<string> {
  const id = newId();
  await app.rows(
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, status, endpoint, next_attempt_at)
     VALUES ($1, $2, $3, 'RESULT', $4::webhook_delivery_status, 'http://a.example', now() + interval '1 day')`,
    [id, workspaceId, newId(), status],
  );
  await app.rows(
    `INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, latency_ms, response_body)
     SELECT made.id, delivery.id, delivery.task_id, delivery.workspace_id, 1, 1, made.age
     FROM webhook_deliveries delivery, unnest($2::uuid[], $3::text[]) AS made(id, age) WHERE delivery.id = $1`,
    [id, agesInDays.map((days) => v7({ msecs: Date.now() - days * DAY_MS })), agesInDays.map(String)],
  );
  return id;
}
async function remainingAges(deliveryId: string): Promise<number[]> {
  const rows = await app.rows<{ responseBody: string }>(
    'SELECT response_body AS "responseBody" FROM webhook_attempts WHERE delivery_id = $1 ORDER BY id',
    [deliveryId],
  );
  return rows.map(({ responseBody }) => Number(responseBody));
}

test('attempts are deleted after 30 days, and not before, unless their delivery is still pending', async () => {
  // More attempts than one statement deletes.
  const many = await addDeliveryWithAttempts(
    'DELIVERED',
    Array.from({ length: 1_500 }, () => 40),
  );
  const delivered = await addDeliveryWithAttempts('DELIVERED', AGES_IN_DAYS);
  const abandoned = await addDeliveryWithAttempts('ABANDONED', AGES_IN_DAYS);
  const pending = await addDeliveryWithAttempts('PENDING', AGES_IN_DAYS);
  await app.rows("SELECT graphile_worker.add_job('delete-old-callbacks', '{}')");
  await waitFor('the old attempts to be deleted', async () => (await remainingAges(abandoned)).length <= 3);
  expect(await remainingAges(many)).toEqual([]);
  expect(await remainingAges(delivered)).toEqual([29.99, 29, 0]);
  expect(await remainingAges(abandoned)).toEqual([29.99, 29, 0]);
  expect(await remainingAges(pending)).toEqual(AGES_IN_DAYS);
  const deliveries = await app.rows('SELECT FROM webhook_deliveries');
  expect(deliveries).toHaveLength(4);
});
