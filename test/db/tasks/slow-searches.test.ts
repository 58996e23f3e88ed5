import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { RateLimited } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { findPageOfTaskIds } from '../../../src/db/tasks/task-pages.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

let database: TestDatabase;
let db: Database;
/** Holds the table of prompts, so that searches wait for it as for a slow scan. */
let holder: pg.Client;
let observer: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 20, log: pino({ level: 'silent' }) });
  holder = new pg.Client({ connectionString: database.url });
  observer = new pg.Client({ connectionString: database.url });
  await Promise.all([holder.connect(), observer.connect()]);
});
afterAll(async () => {
  await Promise.all([holder.end(), observer.end(), db.close()]);
  await database.drop();
});

const search = (workspaceId: string) =>
  findPageOfTaskIds(db, {
    visibility: workspaceVisibility(workspaceId),
    filter: { search: '-word' },
    before: null,
    limit: 10,
  });
const searchesRunning = async () => {
  const { rows } = await observer.query<{ running: number }>(
    `SELECT count(*)::int AS running FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%searchable_prompts%'`,
  );
  return rows[0]?.running ?? 0;
};

test('searches of one workspace leave connections for other workspaces and for other work', async () => {
  const [ours, theirs] = [newId(), newId()];
  await holder.query('BEGIN; LOCK TABLE searchable_prompts IN ACCESS EXCLUSIVE MODE');
  let refused = 0;
  const outcomes = Promise.allSettled(
    Array.from({ length: 40 }, () =>
      search(theirs).catch((error: unknown) => {
        if (error instanceof RateLimited) refused += 1;
        throw error;
      }),
    ),
  );
  await waitFor('their searches', async () => (await searchesRunning()) === 2);
  const ourSearch = search(ours);
  await waitFor('our search', async () => (await searchesRunning()) === 3);
  await db.ping();
  expect(db.pool.waitingCount).toBe(0);
  await holder.query('ROLLBACK');
  await expect(ourSearch).resolves.toEqual([]);
  for (const outcome of await outcomes) expect(outcome.status).toBe('fulfilled');
  expect(refused).toBe(0);
});

test('a search is refused that has to wait for too long', async () => {
  const [ours, theirs] = [newId(), newId()];
  await holder.query('BEGIN; LOCK TABLE searchable_prompts IN ACCESS EXCLUSIVE MODE');
  const outcomes = Promise.allSettled(Array.from({ length: 10 }, () => search(theirs)));
  await waitFor('the searches', async () => (await searchesRunning()) === 2);
  const codes = (await outcomes).map((outcome) =>
    outcome.status === 'rejected' ? (outcome.reason as { code?: string }).code : null,
  );
  expect(codes.filter((code) => code === 'RATE_LIMITED').length).toBeGreaterThanOrEqual(6);
  expect(codes.filter((code) => code === 'DATABASE_UNAVAILABLE').length).toBeGreaterThanOrEqual(2);
  await holder.query('ROLLBACK');
  await expect(search(ours)).resolves.toEqual([]);
});
