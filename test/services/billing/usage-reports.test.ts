import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type Caller } from '../../../src/core/access/caller.js';
import { RateLimited, ReportTimedOut } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { UsageRepository } from '../../../src/db/billing/usage-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Usage } from '../../../src/services/billing/usage.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const BACKGROUND_CONNECTIONS = 4;

let database: TestDatabase;
let locker: pg.Client;
/** Not the locker, because a transaction keeps the activity that it has seen first. */
let observer: pg.Client;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  locker = new pg.Client({ connectionString: database.url });
  observer = new pg.Client({ connectionString: database.url });
  await Promise.all([locker.connect(), observer.connect()]);
  const log = pino({ level: 'silent' });
  db = new Database({ url: database.url, maxConnections: BACKGROUND_CONNECTIONS, log });
  await db.hasRowSecurity();
});
// Reports hang on the lock.
beforeEach(() => locker.query('BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE'));
afterEach(() => locker.query('ROLLBACK'));
afterAll(async () => {
  await Promise.all([locker.end(), observer.end()]);
  await db.close();
  await database.drop();
});

function startReport(usage: Usage, workspaceId = newId(), clientLeft?: AbortSignal) {
  const query = { from: new Date(Date.now() - 1_000), to: new Date(), groupBy: 'API_KEY' } as const;
  const caller = { workspaceId, endUserId: null, taskIds: null } as Caller;
  const report = usage.listAll(caller, query, clientLeft);
  report.catch(() => undefined);
  return report;
}
async function countHanging(): Promise<number> {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return (await observer.query(sql)).rowCount ?? 0;
}

test('two reports run at a time and leave connections to other work', async () => {
  const usage = new Usage(new UsageRepository(db));
  const reports = Array.from({ length: 7 }, () => startReport(usage));
  await waitFor('the reports that run', async () => (await countHanging()) === 2);
  await expect(db.ping()).resolves.toBeUndefined();
  await locker.query('ROLLBACK');
  await expect(Promise.all(reports)).resolves.toHaveLength(7);
  await expect(startReport(usage)).resolves.toEqual([]);
});

test('one workspace has at most four reports, so others get theirs', async () => {
  const usage = new Usage(new UsageRepository(db));
  const workspaceId = newId();
  const reports = Array.from({ length: 5 }, () => startReport(usage, workspaceId));
  await expect(reports[4]).rejects.toThrow('This workspace has too many usage reports that run or wait.');
  const other = startReport(usage);
  await locker.query('ROLLBACK');
  await expect(Promise.all([...reports.slice(0, 4), other])).resolves.toHaveLength(5);
  await expect(startReport(usage, workspaceId)).resolves.toEqual([]);
});

test('two workspaces with more reports do not keep a third one waiting', async () => {
  const running: { workspaceId: string; end: () => void }[] = [];
  const usage = new Usage({
    page: ({ workspaceId }: Caller) =>
      new Promise((resolve) => running.push({ workspaceId, end: () => resolve([]) })),
  } as unknown as UsageRepository);
  const [a, b, c] = [newId(), newId(), newId()];
  const reports = [a, b, a, b, a, b, c].map((workspaceId) => startReport(usage, workspaceId));
  const started = (count: number) => waitFor('a report', () => running.length === count);
  await started(2);
  for (const [n, { end }] of running.entries()) {
    end();
    await started(Math.min(n + 3, reports.length));
  }
  await expect(Promise.all(reports)).resolves.toHaveLength(7);
  expect(running.map(({ workspaceId }) => workspaceId)).toEqual([a, b, c, a, b, a, b]);
});

test('a report that would have to wait for too long is refused', async () => {
  const usage = new Usage(new UsageRepository(db), { maxWaitMs: 10 });
  const workspaceId = newId();
  const running = startReport(usage, workspaceId);
  await waitFor('the report that runs', async () => (await countHanging()) === 1);
  await expect(startReport(usage, workspaceId)).rejects.toThrow(RateLimited);
  await locker.query('ROLLBACK');
  await expect(running).resolves.toEqual([]);
});

test('a report whose client has left does not run', async () => {
  const usage = new Usage(new UsageRepository(db));
  const workspaceId = newId();
  const leaving = new AbortController();
  const running = startReport(usage, workspaceId);
  const left = Array.from({ length: 3 }, () => startReport(usage, workspaceId, leaving.signal));
  leaving.abort();
  for (const report of left) await expect(report).rejects.toThrow(RateLimited);
  const last = startReport(usage, workspaceId);
  await locker.query('ROLLBACK');
  await expect(Promise.all([running, last])).resolves.toEqual([[], []]);
});

test('a report that exceeds its time limit is canceled in PostgreSQL, and the next one can run', async () => {
  const usage = new Usage(new UsageRepository(db, 500));
  await expect(startReport(usage)).rejects.toThrow(ReportTimedOut);
  await expect(startReport(usage)).rejects.toThrow(
    'within 0.5 s, so it was canceled. Request a shorter period',
  );
  await waitFor('PostgreSQL to cancel the reports', async () => (await countHanging()) === 0);
  await locker.query('ROLLBACK');
  await expect(startReport(usage)).resolves.toEqual([]);
});
