import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { auditEntry } from '../../../src/core/access/audit-entry.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type ClaimedCallback, OutgoingCallbacks } from '../../../src/db/webhooks/webhook-repository.js';
import { endOf } from '../../../src/services/webhooks/delivery-outcome.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { addEnded } from '../../support/webhooks/received-webhooks.js';

const LEASE_MS = 20_000;
const A = 'http://a.example';
const B = 'http://b.example';

let database: TestDatabase;
let sql: pg.Pool;
let dbs: Database[];
let callbacks: OutgoingCallbacks;
let others: OutgoingCallbacks;
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
  [callbacks, others] = dbs.map((one) => new OutgoingCallbacks(one)) as [
    OutgoingCallbacks,
    OutgoingCallbacks,
  ];
});
afterAll(async () => {
  await Promise.all(dbs.map((one) => one.close()));
  await sql.end();
  await database.drop();
});
beforeEach(async () => {
  await sql.query('TRUNCATE outgoing_callbacks, deliveries');
});

async function claimOne(): Promise<ClaimedCallback> {
  const [claimed] = await callbacks.claim({}, 1, LEASE_MS);
  if (!claimed) throw new Error('Nothing is due.');
  return claimed;
}
async function finish(callback: ClaimedCallback, statusCode: number, delays = [60_000]): Promise<void> {
  const answered = { statusCode, failure: null, answer: '', latencyMs: 1, headers: {} };
  await callbacks.finish(callback, endOf(callback, { id: newId(), at: new Date() }, answered, delays));
}
async function row() {
  const [found] = await db.rows<{ status: string; attempts: number; due: boolean }>(
    `SELECT status, attempts, next_attempt_at <= now() + interval '1 ms' AS due
     FROM outgoing_callbacks ORDER BY seq LIMIT 1`,
  );
  return found;
}
async function makeDue(): Promise<void> {
  await sql.query('UPDATE outgoing_callbacks SET next_attempt_at = now()');
}
async function told(taskId: string): Promise<string[]> {
  const text = 'SELECT type FROM task_events WHERE task_id = $1 ORDER BY seq';
  return (await db.rows<{ type: string }>(text, [taskId])).map(({ type }) => type);
}

describe('claiming', () => {
  test('gives a receiver one attempt, or as many as it has room for', async () => {
    await addEnded(db, `${A}/`, 20);
    await addEnded(db, `${B}/`, 20);
    const counts = async (room: Record<string, number>, limit = 512) => {
      const claimed = await callbacks.claim(room, limit, LEASE_MS);
      return [A, B].map((receiver) => claimed.filter((one) => one.receiver === receiver).length);
    };
    expect(await counts({})).toEqual([1, 1]);
    expect(await counts({ [A]: 8 })).toEqual([8, 1]);
    expect(await counts({ [A]: 0, [B]: 0 })).toEqual([0, 0]);
    expect(await counts({ [A]: 8, [B]: 8 }, 5)).toEqual([5, 0]);
  });

  test('serves receivers that are known to answer before older callbacks of the others', async () => {
    await addEnded(db, `${A}/`, 3);
    await addEnded(db, `${B}/`, 3);
    const [first] = await callbacks.claim({ [B]: 8 }, 1, LEASE_MS);
    expect(first?.receiver).toBe(B);
  });

  test('gives nothing to two at once, and forgets nothing', async () => {
    const ids = await addEnded(db, `${A}/`, 400);
    const taken: string[] = [];
    while (taken.length < ids.length) {
      const both = [callbacks, others].map((one) => one.claim({ [A]: 8 }, 512, LEASE_MS));
      const claimed = (await Promise.all(both)).flat();
      expect(claimed.length).toBeGreaterThan(0);
      taken.push(...claimed.map(({ taskId }) => taskId));
    }
    expect(taken.sort()).toEqual(ids.sort());
  });

  test('is not stopped by a callback that was asked for more often than a small number can count', async () => {
    await addEnded(db, `${A}/`, 2);
    await sql.query('UPDATE outgoing_callbacks SET attempts = 32767, attempts_before = 32767');
    expect(await callbacks.claim({ [A]: 8 }, 8, LEASE_MS)).toMatchObject([
      { attempt: 32_768, attemptOfRound: 1 },
      { attempt: 32_768, attemptOfRound: 1 },
    ]);
  });
});

describe('an attempt that comes to its end after another one was begun', () => {
  test('changes nothing when it failed', async () => {
    await addEnded(db, `${A}/`, 1);
    const slow = await claimOne();
    await makeDue();
    const second = await claimOne();
    expect(second).toMatchObject({ id: slow.id, attempt: 2 });
    await finish(slow, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    await finish(second, 200);
    expect(await told(slow.taskId)).toEqual(['CALLBACK_DELIVERED']);
    const rows = await db.rows('SELECT attempt, status_code FROM deliveries ORDER BY attempt');
    expect(rows).toEqual([
      { attempt: 1, status_code: 500 },
      { attempt: 2, status_code: 200 },
    ]);
  });

  test('counts when it was taken, and is told once', async () => {
    await addEnded(db, `${A}/`, 1);
    const slow = await claimOne();
    await makeDue();
    const second = await claimOne();
    await finish(slow, 200);
    expect((await row())?.status).toBe('DELIVERED');
    await finish(second, 500, []);
    expect((await row())?.status).toBe('DELIVERED');
    expect(await told(slow.taskId)).toEqual(['CALLBACK_DELIVERED']);
  });

  test('does not take away the round that somebody has asked for meanwhile', async () => {
    const [id = ''] = await addEnded(db, `${A}/`, 1);
    const last = await claimOne();
    expect(
      await callbacks.redeliver(last.workspaceId, id, auditEntry(callerWith(), 'CALLBACK_REDELIVERED', id)),
    ).toBe(1);
    await finish(last, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 1, due: true });
    expect(await claimOne()).toMatchObject({ attempt: 2, attemptOfRound: 1 });
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    // The first attempt of this round and the first of the one before are not the same.
    await finish(last, 500, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 2, due: false });
    expect(await told(id)).toEqual([]);
  });
});

test('An attempt that was cut is handed back, unless another one was begun', async () => {
  await addEnded(db, `${A}/`, 1);
  const cut = await claimOne();
  await callbacks.handBack([cut]);
  expect(await row()).toMatchObject({ status: 'PENDING', due: true });
  const next = await claimOne();
  await callbacks.handBack([cut]);
  expect(await row()).toMatchObject({ due: false });
  await finish(next, 200);
  await callbacks.handBack([next]);
  expect((await row())?.status).toBe('DELIVERED');
});
