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

function startReport(usage: Usage, workspaceId = newId()) {
  const query = { from: new Date(Date.now() - 1_000), to: new Date(), groupBy: 'API_KEY' } as const;
  const report = usage.listAll({ workspaceId, endUserId: null, taskIds: null } as Caller, query);
  report.catch(() => undefined);
  return report;
}
async function countHanging(): Promise<number> {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return (await observer.query(sql)).rowCount ?? 0;
}

test('two reports run at a time and leave connections to other work, four wait, and more are rejected', async () => {
  const usage = new Usage(new UsageRepository(db));
  const reports = Array.from({ length: 7 }, () => startReport(usage));
  await expect(reports[6]).rejects.toThrow(RateLimited);
  await waitFor('the reports that run', async () => (await countHanging()) === 2);
  await expect(db.ping()).resolves.toBeUndefined();
  await locker.query('ROLLBACK');
  await expect(Promise.all(reports.slice(0, 6))).resolves.toHaveLength(6);
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
