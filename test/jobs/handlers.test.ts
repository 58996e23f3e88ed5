import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { v7 } from 'uuid';
import { newId } from '../../src/core/primitives/ids.js';
import { CallbackRepository } from '../../src/db/callbacks/callback-repository.js';
import { Database } from '../../src/db/postgres/database.js';
import { WebhookRepository } from '../../src/db/webhooks/webhook-repository.js';
import { createJobHandlers, type JobServices } from '../../src/jobs/handlers.js';
import {
  CallbackInbox,
  type CallbackInboxDependencies,
} from '../../src/services/callbacks/callback-inbox.js';
import { WebhookSender, type WebhookSenderDependencies } from '../../src/services/webhooks/webhook-sender.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';

const YEAR_MS = 365 * 24 * 3_600_000;
/** More than one statement deletes. */
const ROWS = 2_500;

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 2, log: pino({ level: 'silent' }) });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** The services that delete by age, with what that takes. */
function createServices(): JobServices {
  const retentionDays = 30;
  const background = { webhooks: new WebhookRepository(db) };
  return {
    callbackInbox: new CallbackInbox({
      callbacks: new CallbackRepository(db),
      retentionDays,
    } as CallbackInboxDependencies),
    webhookSender: new WebhookSender({ background, retentionDays } as WebhookSenderDependencies),
  } as JobServices;
}

async function addOldRows(): Promise<void> {
  const [workspaceId, taskId, deliveryId] = [newId(), newId(), newId()];
  const ids = Array.from({ length: ROWS }, () => v7({ msecs: Date.now() - YEAR_MS }));
  await db.pool.query(
    `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
     SELECT id, $2, $3, 'APPLIED', '' FROM unnest($1::uuid[]) AS made(id)`,
    [ids, workspaceId, taskId],
  );
  await db.pool.query(
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, status, endpoint, next_attempt_at)
     VALUES ($1, $2, $3, 'RESULT', 'DELIVERED', 'http://a.example', now())`,
    [deliveryId, workspaceId, taskId],
  );
  await db.pool.query(
    `INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, latency_ms)
     SELECT id, $2, $3, $4, 1, 1 FROM unnest($1::uuid[]) AS made(id)`,
    [ids, deliveryId, taskId, workspaceId],
  );
}

async function countRows(): Promise<number[]> {
  const { rows } = await db.pool.query<{ counts: number[] }>(
    'SELECT ARRAY[(SELECT count(*) FROM callbacks), (SELECT count(*) FROM webhook_attempts)]::int[] AS counts',
  );
  return rows[0]?.counts ?? [];
}

test('delete-old-callbacks deletes nothing more when its time limit has passed, and the rest in its next run', async () => {
  await addOldRows();
  const handlers = createJobHandlers(createServices());
  await handlers['delete-old-callbacks']({}, { signal: AbortSignal.abort() });
  expect(await countRows()).toEqual([ROWS, ROWS]);
  await handlers['delete-old-callbacks']({}, { signal: new AbortController().signal });
  expect(await countRows()).toEqual([0, 0]);
});
