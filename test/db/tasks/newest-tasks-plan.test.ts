import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const COUNT = 50_000;
const PAGE_SIZE = 20;
const [BUSY, QUIET] = ['00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b'];
const idOf = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
/** A page reads each of its tasks from the index of the workspace and from that of the IDs, and a few pages of indexes. */
const MAX_ROWS = 6 * PAGE_SIZE;

let database: TestDatabase;
let sql: pg.Client;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  db = new Database({ url: database.url, maxConnections: 1, log: pino({ level: 'silent' }) });
  // The oldest tasks and the newest ones are of the quiet workspace.
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
            (CASE WHEN n <= 30 OR n > $1 - 30 THEN $2 ELSE $3 END)::uuid, 'GENERATE', '', 'flux-dev', 1, '', now()
     FROM generate_series(1, $1::int) n`,
    [COUNT, QUIET, BUSY],
  );
  await sql.query('ANALYZE tasks');
}, 60_000);
afterAll(async () => {
  await Promise.all([sql.end(), db.close()]);
  await database.drop();
});

/** Rows of the table and of its indexes that all sessions have read so far. */
async function rowsRead(): Promise<number> {
  await sql.query('SELECT pg_stat_force_next_flush()');
  const { rows } = await sql.query<{ read: string }>(
    `SELECT coalesce(seq_tup_read, 0) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'tasks') AS read
     FROM pg_stat_user_tables WHERE relname = 'tasks'`,
  );
  return Number(rows[0]?.read);
}

test.each([
  ['the first page of a busy workspace', BUSY, null, COUNT - 30],
  ['a page deep in its history', BUSY, idOf(1_000), 999],
  ['the first page of a quiet workspace', QUIET, null, COUNT],
  ['its tasks before those of another one', QUIET, idOf(COUNT - 29), 30],
])('%s is read from an index', async (_what, workspaceId, before, newest) => {
  const page = () =>
    new TaskRepository(db).page(workspaceVisibility(workspaceId ?? ''), {}, { before, limit: PAGE_SIZE });
  const expected = Array.from({ length: PAGE_SIZE }, (_, index) => idOf(newest - index));
  expect((await page()).map(({ id }) => id)).toEqual(expected);
  await db.pool.query('SELECT pg_stat_force_next_flush()');
  const readBefore = await rowsRead();
  await page();
  await db.pool.query('SELECT pg_stat_force_next_flush()');
  expect((await rowsRead()) - readBefore).toBeLessThan(MAX_ROWS);
});
