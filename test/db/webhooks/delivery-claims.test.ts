import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newAuditEntry } from '../../../src/core/access/audit-entry.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import {
  type ClaimedWebhookDelivery,
  WebhookRepository,
} from '../../../src/db/webhooks/webhook-repository.js';
import { attemptOutcomeOf } from '../../../src/services/webhooks/webhook-retries.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { addTasksWithDueWebhooks } from '../../support/webhooks/received-webhooks.js';

const LEASE_MS = 20_000;
const A = 'http://a.example';
const B = 'http://b.example';

let database: TestDatabase;
let sql: pg.Pool;
let dbs: Database[];
let webhooks: WebhookRepository;
let others: WebhookRepository;
const db = {
  rows: async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
    (await sql.query<Row>(text, values)).rows,
};

beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'claims')", [newId()]);
  const log = pino({ level: 'silent' });
  dbs = [1, 2].map(() => new Database({ url: database.url, maxConnections: 5, log }));
  [webhooks, others] = dbs.map((one) => new WebhookRepository(one)) as [WebhookRepository, WebhookRepository];
});
afterAll(async () => {
  await Promise.all(dbs.map((one) => one.close()));
  await sql.end();
  await database.drop();
});
beforeEach(async () => {
  await sql.query('TRUNCATE webhook_deliveries, webhook_attempts');
});

async function claimOne(): Promise<ClaimedWebhookDelivery> {
  const [claimed] = await webhooks.claim({}, 1, LEASE_MS);
  if (!claimed) throw new Error('Nothing is due.');
  return claimed;
}
async function finish(
  delivery: ClaimedWebhookDelivery,
  statusCode: number,
  delays = [60_000],
): Promise<void> {
  const response = {
    at: new Date(),
    statusCode,
    errorMessage: null,
    responseBody: '',
    latencyMs: 1,
    headers: {},
  };
  await webhooks.recordAttempt(delivery, attemptOutcomeOf(delivery, response, delays));
}
async function row() {
  const [found] = await db.rows<{ status: string; attempts: number; due: boolean }>(
    `SELECT status, attempts, next_attempt_at <= now() + interval '1 ms' AS due
     FROM webhook_deliveries ORDER BY seq LIMIT 1`,
  );
  return found;
}
async function makeDue(): Promise<void> {
  await sql.query('UPDATE webhook_deliveries SET next_attempt_at = now()');
}
async function eventTypes(taskId: string): Promise<string[]> {
  const text = 'SELECT type FROM task_events WHERE task_id = $1 ORDER BY seq';
  return (await db.rows<{ type: string }>(text, [taskId])).map(({ type }) => type);
}

describe('claiming', () => {
  test('gives an endpoint one attempt, or as many as it has capacity for', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 20);
    await addTasksWithDueWebhooks(db, `${B}/`, 20);
    const counts = async (capacity: Record<string, number>, limit = 512) => {
      const claimed = await webhooks.claim(capacity, limit, LEASE_MS);
      return [A, B].map((endpoint) => claimed.filter((delivery) => delivery.endpoint === endpoint).length);
    };
    expect(await counts({})).toEqual([1, 1]);
    expect(await counts({ [A]: 8 })).toEqual([8, 1]);
    expect(await counts({ [A]: 0, [B]: 0 })).toEqual([0, 0]);
    expect(await counts({ [A]: 8, [B]: 8 }, 5)).toEqual([5, 0]);
  });

  test('serves endpoints with a known capacity before older deliveries of other endpoints', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 3);
    await addTasksWithDueWebhooks(db, `${B}/`, 3);
    const [first] = await webhooks.claim({ [B]: 8 }, 1, LEASE_MS);
    expect(first?.endpoint).toBe(B);
  });

  test('gives each delivery to one instance, and skips none', async () => {
    const ids = await addTasksWithDueWebhooks(db, `${A}/`, 400);
    const claimedIds: string[] = [];
    while (claimedIds.length < ids.length) {
      const both = [webhooks, others].map((one) => one.claim({ [A]: 8 }, 512, LEASE_MS));
      const claimed = (await Promise.all(both)).flat();
      expect(claimed.length).toBeGreaterThan(0);
      claimedIds.push(...claimed.map(({ taskId }) => taskId));
    }
    expect(claimedIds.sort()).toEqual(ids.sort());
  });

  test('works for a delivery with more attempts than a 16-bit integer can hold', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 2);
    await sql.query('UPDATE webhook_deliveries SET attempts = 32767, attempts_before_redelivery = 32767');
    expect(await webhooks.claim({ [A]: 8 }, 8, LEASE_MS)).toMatchObject([
      { attemptNumber: 32_768, attemptSinceRedelivery: 1 },
      { attemptNumber: 32_768, attemptSinceRedelivery: 1 },
    ]);
  });
});

describe('an attempt that ends after another one has begun', () => {
  test('does not change the delivery when it fails', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1);
    const slow = await claimOne();
    await makeDue();
    const second = await claimOne();
    expect(second).toMatchObject({ id: slow.id, attemptNumber: 2 });
    await finish(slow, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    await finish(second, 200);
    expect(await eventTypes(slow.taskId)).toEqual(['WEBHOOK_DELIVERED']);
    const rows = await db.rows(
      'SELECT attempt_number, status_code FROM webhook_attempts ORDER BY attempt_number',
    );
    expect(rows).toEqual([
      { attempt_number: 1, status_code: 500 },
      { attempt_number: 2, status_code: 200 },
    ]);
  });

  test('marks the delivery as delivered when it succeeds, with one event', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1);
    const slow = await claimOne();
    await makeDue();
    const second = await claimOne();
    await finish(slow, 200);
    expect((await row())?.status).toBe('DELIVERED');
    await finish(second, 500, []);
    expect((await row())?.status).toBe('DELIVERED');
    expect(await eventTypes(slow.taskId)).toEqual(['WEBHOOK_DELIVERED']);
  });

  test('does not undo a redelivery that was requested meanwhile', async () => {
    const [id = ''] = await addTasksWithDueWebhooks(db, `${A}/`, 1);
    const last = await claimOne();
    expect(
      await webhooks.redeliver(
        last.workspaceId,
        id,
        newAuditEntry(callerWith(), 'WEBHOOK_REDELIVERED', { targetId: id }),
      ),
    ).toBe(1);
    await finish(last, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 1, due: true });
    expect(await claimOne()).toMatchObject({ attemptNumber: 2, attemptSinceRedelivery: 1 });
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    // The first attempt since the redelivery is not the first attempt before it.
    await finish(last, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    expect(await eventTypes(id)).toEqual([]);
  });
});

test('A claim whose attempt was interrupted is released, unless another attempt has begun', async () => {
  await addTasksWithDueWebhooks(db, `${A}/`, 1);
  const interrupted = await claimOne();
  await webhooks.releaseClaims([interrupted]);
  expect(await row()).toMatchObject({ status: 'PENDING', due: true });
  const next = await claimOne();
  await webhooks.releaseClaims([interrupted]);
  expect(await row()).toMatchObject({ due: false });
  await finish(next, 200);
  await webhooks.releaseClaims([next]);
  expect((await row())?.status).toBe('DELIVERED');
});
