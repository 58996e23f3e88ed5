import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { CatalogRepository } from '../../../src/db/postgres/catalog-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TableStatistics } from '../../../src/services/operations/table-statistics.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const ROWS = 20_000;

let database: TestDatabase;
let db: Database;
let statistics: TableStatistics;
let sql: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 2, log: pino({ level: 'silent' }) });
  statistics = new TableStatistics({ catalog: new CatalogRepository(db), log: pino({ level: 'silent' }) });
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  // Only the tests analyze.
  for (const table of ['uploads', 'budgets'])
    await sql.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
  await sql.query('VACUUM ANALYZE');
});
afterAll(async () => {
  await sql.end();
  await db.close();
  await database.drop();
});

const { signal } = new AbortController();
const addRows = () =>
  sql.query(
    `INSERT INTO uploads (id, workspace_id, actor, expires_at)
     SELECT gen_random_uuid(), gen_random_uuid(), 'test', now() FROM generate_series(1, $1::int)`,
    [ROWS],
  );
const rowsKnown = async (table = 'uploads') =>
  (
    await sql.query<{ count: number }>(`SELECT reltuples AS count FROM pg_class WHERE oid = $1::regclass`, [
      table,
    ])
  ).rows[0]?.count;
const analyzeCount = async () =>
  (
    await sql.query<{ count: string }>(
      `SELECT analyze_count AS count FROM pg_stat_user_tables WHERE relname = 'uploads'`,
    )
  ).rows[0]?.count;

test('a plan that was made for an empty table is replaced when the table has grown', async () => {
  await sql.query('PREPARE find (uuid) AS SELECT FROM uploads WHERE id = $1');
  // PostgreSQL keeps a plan from the sixth execution on.
  for (let times = 0; times < 8; times += 1) await sql.query('EXECUTE find (gen_random_uuid())');
  const plan = async () =>
    (await sql.query<{ 'QUERY PLAN': string }>('EXPLAIN EXECUTE find (gen_random_uuid())')).rows[0]?.[
      'QUERY PLAN'
    ];
  await addRows();
  expect(await plan()).toContain('Seq Scan');
  // A session reports its changes after a second.
  await waitFor('the statistics', async () => {
    await statistics.analyzeGrown(signal);
    return (await rowsKnown()) === ROWS;
  });
  expect(await plan()).toMatch(/Index (Only )?Scan/);
});

test('a table that has not doubled is left to autovacuum', async () => {
  const before = await analyzeCount();
  await addRows();
  await sql.query('SELECT pg_stat_force_next_flush()');
  await statistics.analyzeGrown(signal);
  expect(await analyzeCount()).toBe(before);
});

test('a table that another session has locked is not waited for, and keeps no other from being analyzed', async () => {
  await addRows();
  await sql.query(
    `INSERT INTO budgets (workspace_id, scope, scope_id) SELECT gen_random_uuid(), 'WORKSPACE', n FROM generate_series(1, 2000) n`,
  );
  await sql.query('SELECT pg_stat_force_next_flush()');
  const before = await analyzeCount();
  await sql.query('BEGIN; LOCK TABLE uploads IN SHARE UPDATE EXCLUSIVE MODE');
  await statistics.analyzeGrown(signal);
  await sql.query('COMMIT');
  expect(await analyzeCount()).toBe(before);
  expect(await rowsKnown('budgets')).toBe(2_000);
  await waitFor('the statistics', async () => {
    await statistics.analyzeGrown(signal);
    return (await rowsKnown()) === 3 * ROWS;
  });
});
