import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newAuditEntry } from '../../../src/core/access/audit-entry.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type ClaimedWebhookDelivery } from '../../../src/db/webhooks/webhook-claims.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { attemptOutcomeOf } from '../../../src/services/webhooks/webhook-retries.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { addTasksWithDueWebhooks } from '../../support/webhooks/received-webhooks.js';

const LEASE_MS = 20_000;
const A = 'http://a.example';
const B = 'http://b.example';

const workspaceId = newId();
const otherWorkspaceId = newId();
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
  await sql.query(
    `INSERT INTO workspaces (id, name, created_at)
     VALUES ($1, 'claims', now() - interval '1 minute'), ($2, 'others', now())`,
    [workspaceId, otherWorkspaceId],
  );
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

/** Claims with a capacity for endpoints of the first workspace. */
async function claim(
  capacity: Record<string, number>,
  limit = 512,
  by: { webhooks?: WebhookRepository; inProgress?: number } = {},
): Promise<ClaimedWebhookDelivery[]> {
  const endpoints = Object.entries(capacity).map((entry) => {
    return { workspaceId, endpoint: entry[0], capacity: entry[1] };
  });
  const attemptsByWorkspace = { [workspaceId]: by.inProgress ?? 0 };
  return (by.webhooks ?? webhooks).claim({ endpoints, attemptsByWorkspace, limit, leaseMs: LEASE_MS });
}
async function claimOne(): Promise<ClaimedWebhookDelivery> {
  const [claimed] = await claim({}, 1);
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
    mayBeOurs: false,
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
      const claimed = await claim(capacity, limit);
      return [A, B].map((endpoint) => claimed.filter((delivery) => delivery.endpoint === endpoint).length);
    };
    expect(await counts({})).toEqual([1, 1]);
    expect(await counts({ [A]: 8 })).toEqual([8, 1]);
    expect(await counts({ [A]: 0, [B]: 0 })).toEqual([0, 0]);
    expect(await counts({ [A]: 8, [B]: 8 }, 9)).toEqual([5, 0]);
  });

  test('serves endpoints with a known capacity before older deliveries of other endpoints', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 3);
    await addTasksWithDueWebhooks(db, `${B}/`, 3);
    const [first] = await claim({ [B]: 8 }, 1);
    expect(first?.endpoint).toBe(B);
  });

  test('gives each delivery to one instance, and skips none', async () => {
    const ids = await addTasksWithDueWebhooks(db, `${A}/`, 400);
    const claimedIds: string[] = [];
    while (claimedIds.length < ids.length) {
      const both = [webhooks, others].map((one) => claim({ [A]: 8 }, 512, { webhooks: one }));
      const claimed = (await Promise.all(both)).flat();
      expect(claimed.length).toBeGreaterThan(0);
      claimedIds.push(...claimed.map(({ taskId }) => taskId));
    }
    expect(claimedIds.sort()).toEqual(ids.sort());
  });

  test('works for a delivery with more attempts than a 16-bit integer can hold', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 2);
    await sql.query('UPDATE webhook_deliveries SET attempts = 32767, attempts_before_redelivery = 32767');
    expect(await claim({ [A]: 8 }, 8)).toMatchObject([
      { attemptNumber: 32_768, attemptSinceRedelivery: 1 },
      { attemptNumber: 32_768, attemptSinceRedelivery: 1 },
    ]);
  });
});

describe('a workspace with many deliveries', () => {
  const giveToOther = async (ids: string[]) => {
    await sql.query('UPDATE webhook_deliveries SET workspace_id = $1 WHERE task_id = ANY ($2)', [
      otherWorkspaceId,
      ids,
    ]);
  };

  test('leaves half of the free attempts to others, which come before its further attempts', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 40);
    await sql.query("UPDATE webhook_deliveries SET endpoint = 'http://a.example:' || seq");
    expect(await claim({}, 16)).toHaveLength(8);
    expect(await claim({}, 8, { inProgress: 8 })).toHaveLength(0);
    const ids = await addTasksWithDueWebhooks(db, `${B}/`, 1);
    await giveToOther(ids);
    expect((await claim({}, 1, { inProgress: 1 })).map(({ endpoint }) => endpoint)).toEqual([B]);
    await giveToOther(await addTasksWithDueWebhooks(db, `${B}/`, 1));
    await makeDue();
    const claimed = await claim({}, 9, { inProgress: 2 });
    expect(claimed.map(({ endpoint }) => endpoint.startsWith(A)).sort()).toEqual([
      ...[false],
      ...[true, true, true, true],
    ]);
  });

  test('does not use up the capacity that the same endpoint has for another workspace', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 40);
    await giveToOther(await addTasksWithDueWebhooks(db, `${A}/`, 1));
    const claimed = await claim({ [A]: 0 });
    expect(claimed.map((delivery) => delivery.workspaceId)).toEqual([otherWorkspaceId]);
  });

  test('delivers to its other endpoints while one has a long backlog', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1_000);
    await sql.query("UPDATE webhook_deliveries SET next_attempt_at = now() - interval '1 minute'");
    await addTasksWithDueWebhooks(db, `${B}/`, 1);
    expect((await claim({ [A]: 0 })).map(({ endpoint }) => endpoint)).toEqual([B]);
  });

  test('delivers to an endpoint that has responded while thousands of others have not', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 2_000);
    await sql.query(
      "UPDATE webhook_deliveries SET endpoint = 'http://a.example:' || seq, next_attempt_at = now() - interval '1 minute'",
    );
    await addTasksWithDueWebhooks(db, `${B}/`, 1);
    expect((await claim({ [B]: 8 }, 1)).map(({ endpoint }) => endpoint)).toEqual([B]);
  });

  test('delivers each of them, whatever the number of endpoints is', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 600);
    await sql.query("UPDATE webhook_deliveries SET endpoint = 'http://a.example:' || (seq % 300)");
    const claimedIds = new Set<string>();
    // The leases keep what was claimed from being claimed again.
    while (claimedIds.size < 600) {
      const claimed = await claim({});
      expect(claimed.length).toBeGreaterThan(0);
      for (const { id } of claimed) claimedIds.add(id);
    }
  }, 30_000);
});

describe('the second delivery of a task', () => {
  const addLateResult = async () => {
    await sql.query(`INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint)
                     SELECT workspace_id, task_id, 'LATE_RESULT', endpoint FROM webhook_deliveries`);
  };

  test('waits for the next attempt of the first, and is due as soon as the first is delivered', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1);
    await addLateResult();
    const first = await claimOne();
    expect(first.kind).toBe('RESULT');
    expect(await claim({ [A]: 8 })).toEqual([]);
    const [late] = await db.rows<{ waits: boolean }>(
      `SELECT next_attempt_at > now() AS waits FROM webhook_deliveries WHERE kind = 'LATE_RESULT'`,
    );
    expect(late).toEqual({ waits: true });
    await finish(first, 200);
    expect(await claim({ [A]: 8 })).toMatchObject([{ kind: 'LATE_RESULT', attemptNumber: 1 }]);
  });

  test('does not become due when the first attempt of the first fails', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1);
    await addLateResult();
    const first = await claimOne();
    await finish(first, 500);
    expect(await claim({ [A]: 8 })).toEqual([]);
    await makeDue();
    expect(await claim({ [A]: 8 })).toMatchObject([{ kind: 'RESULT', attemptNumber: 2 }]);
  });
});

describe('statements about several deliveries', () => {
  /** Makes changes of deliveries with this condition wait until `release` is called. `key` is the lock that they wait for. */
  async function holdChanges(condition: string, key: number) {
    await sql.query(`
      CREATE OR REPLACE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(TG_ARGV[0]::int);
        RETURN NEW;
      END $$;
      CREATE TRIGGER wait_${key} BEFORE UPDATE ON webhook_deliveries
        FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION wait_for_test(${key})`);
    const holder = await sql.connect();
    await holder.query('SELECT pg_advisory_lock($1)', [key]);
    const release = async () => {
      await holder.query('SELECT pg_advisory_unlock($1)', [key]);
      holder.release();
    };
    return { release, whenWaiting: () => whenSomeoneWaits(`locktype = 'advisory' AND objid = ${key}`) };
  }
  async function whenSomeoneWaits(condition: string): Promise<void> {
    await waitFor(`a wait with ${condition}`, async () => {
      return (await db.rows(`SELECT FROM pg_locks WHERE NOT granted AND ${condition}`)).length > 0;
    });
  }

  test('do not postpone a delivery whose first one was delivered after the claim had begun', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 1);
    const first = await claimOne();
    await sql.query(`INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint)
                     SELECT workspace_id, task_id, 'LATE_RESULT', endpoint FROM webhook_deliveries`);
    await addTasksWithDueWebhooks(db, `${B}/`, 1);
    const delivered = await holdChanges("NEW.status = 'DELIVERED'", 4711);
    const claimed = await holdChanges(`NEW.endpoint = '${B}'`, 4712);
    const finishing = finish(first, 200);
    await delivered.whenWaiting();
    const claiming = claim({ [A]: 8, [B]: 8 }, 8, { webhooks: others });
    await claimed.whenWaiting();
    await delivered.release();
    await finishing;
    await claimed.release();
    expect(await claiming).toMatchObject([{ endpoint: B }]);
    await sql.query(
      'DROP TRIGGER wait_4711 ON webhook_deliveries; DROP TRIGGER wait_4712 ON webhook_deliveries',
    );
    expect(await claim({ [A]: 8 })).toMatchObject([{ kind: 'LATE_RESULT' }]);
  });

  test('lock them in the order of their creation, so that none waits for another that waits for it', async () => {
    await addTasksWithDueWebhooks(db, `${A}/`, 2);
    const claimed = await claim({ [A]: 8 });
    const ids = (await db.rows<{ id: string }>('SELECT id FROM webhook_deliveries ORDER BY seq')).map(
      ({ id }) => id,
    );
    const newestFirst = [...claimed].sort((one, other) => ids.indexOf(other.id) - ids.indexOf(one.id));
    const locker = await sql.connect();
    try {
      await locker.query('BEGIN');
      await locker.query('SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE', [ids[0]]);
      const releasing = webhooks.releaseClaims(newestFirst);
      await whenSomeoneWaits(`locktype = 'transactionid'`);
      await locker.query('SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE NOWAIT', [ids[1]]);
      await locker.query('COMMIT');
      await releasing;
    } finally {
      locker.release();
    }
    expect(await claim({ [A]: 8 })).toHaveLength(2);
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

  test('does not end a redelivery that was requested meanwhile, even if it was delivered', async () => {
    const [id = ''] = await addTasksWithDueWebhooks(db, `${A}/`, 1);
    const last = await claimOne();
    const audit = newAuditEntry(callerWith(), 'WEBHOOK_REDELIVERED', { targetId: id });
    expect(await webhooks.redeliver(last.workspaceId, id, audit)).toBe(1);
    await finish(last, 200, []);
    expect(await row()).toEqual({ status: 'PENDING', attempts: 1, due: true });
    await finish(await claimOne(), 200, []);
    expect(await row()).toMatchObject({ status: 'DELIVERED', attempts: 2 });
  });
});

test('only failures bring a delivery nearer to its last attempt', async () => {
  const [id = ''] = await addTasksWithDueWebhooks(db, `${A}/`, 1);
  for (let stop = 1; stop <= 5; stop += 1) await webhooks.releaseClaims([await claimOne()]);
  for (let crash = 1; crash <= 5; crash += 1) {
    await claimOne();
    await makeDue();
  }
  const delays = [1, 2];
  for (const failures of [0, 1]) {
    const claimed = await claimOne();
    expect(claimed).toMatchObject({ failures, attemptNumber: 11 + failures });
    await finish(claimed, 500, delays);
    expect((await row())?.status).toBe('PENDING');
    await makeDue();
  }
  await finish(await claimOne(), 500, delays);
  expect((await row())?.status).toBe('ABANDONED');

  const audit = newAuditEntry(callerWith(), 'WEBHOOK_REDELIVERED', { targetId: id });
  const { rows } = await sql.query<{ id: string }>('SELECT workspace_id AS id FROM webhook_deliveries');
  await webhooks.redeliver(rows[0]?.id ?? '', id, audit);
  expect(await claimOne()).toMatchObject({ failures: 0, attemptSinceRedelivery: 1 });
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
