import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type Database } from '../../../src/db/postgres/database.js';
import { compiledStatements } from '../../../src/db/postgres/statement.js';
import { findPageOfTaskIds } from '../../../src/db/tasks/task-pages.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/**
 * The SQL of the last released version, and the columns that its Prisma Client reads and writes. Until the first release, it is
 * that of the version that will be released. Recorded with RECORD_RELEASED_VERSION=1 when a version is released.
 */
const FIXTURE = 'test/db/postgres/released-version.json';
const UNRELEASED = 'unreleased';

interface Column {
  type: string;
  /** Whether an insert that does not name the column fails. */
  isRequired: boolean;
}
interface Version {
  version: string;
  statements: Record<string, string>;
  tables: Record<string, Record<string, Column>>;
}

let database: TestDatabase;
let sql: pg.Client;
let released: Version;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  const { RECORD_RELEASED_VERSION } = process.env;
  if (RECORD_RELEASED_VERSION) await writeFile(FIXTURE, `${JSON.stringify(await readCode(), null, 2)}\n`);
  released = JSON.parse(await readFile(FIXTURE, 'utf8')) as Version;
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

async function lastVersion(): Promise<string> {
  const changelog = await readFile('CHANGELOG.md', 'utf8');
  return /^## \[(\d[^\]]*)\]/m.exec(changelog)?.[1] ?? UNRELEASED;
}

/** What the fixture would be if the code were released now. */
async function readCode(): Promise<Version> {
  for (const file of await readdir('src/db', { recursive: true })) {
    if (!file.endsWith('.ts') || file.startsWith('generated')) continue;
    await import(pathToFileURL(resolve(join('src/db', file))).href);
  }
  await compileTaskPages();
  const statements = Object.fromEntries([...compiledStatements].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { version: await lastVersion(), statements, tables: await readTables() };
}

/** These statements are assembled when they are first used. */
async function compileTaskPages(): Promise<void> {
  const db = {
    queryAsCaller: () => Promise.resolve([]),
    query: () => Promise.resolve([]),
    runSlowRead: (_workspaceId: string, read: () => Promise<unknown>) => read(),
  };
  const visibility = { workspaceId: newId(), endUserId: null, taskIds: null };
  for (const filter of [
    {},
    { statuses: ['RUNNING', 'QUEUED'] },
    { models: ['flux-dev'] },
    { search: 'fox' },
  ]) {
    const request = { visibility, filter, before: null, limit: 1 } as Parameters<typeof findPageOfTaskIds>[1];
    await findPageOfTaskIds(db as unknown as Database, request);
  }
}

async function readTables(): Promise<Version['tables']> {
  const { rows } = await sql.query<{ table: string; column: string } & Column>(
    `SELECT table_name AS "table", column_name AS "column", udt_name AS type,
            is_nullable = 'NO' AND column_default IS NULL AS "isRequired"
     FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> '_prisma_migrations'
     ORDER BY table_name, column_name`,
  );
  const tables: Version['tables'] = {};
  for (const { table, column, type, isRequired } of rows)
    (tables[table] ??= {})[column] = { type, isRequired };
  return tables;
}

/** What of the released version does not work with the schema of the database. */
async function findFaults(): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, text] of Object.entries(released.statements)) {
    await sql.query('SAVEPOINT before');
    // PREPARE does not plan, and only the planner looks for the index that an upsert names.
    await sql.query(`EXPLAIN (GENERIC_PLAN) ${text}`).catch((error: unknown) => {
      faults.push(`${name}: ${(error as Error).message}`);
    });
    await sql.query('ROLLBACK TO SAVEPOINT before');
  }
  const current = await readTables();
  for (const [table, columns] of Object.entries(released.tables)) {
    const now = current[table] ?? {};
    for (const [column, { type }] of Object.entries(columns))
      if (now[column]?.type !== type) faults.push(`${table}.${column}: was ${type}`);
    for (const [column, { isRequired }] of Object.entries(now))
      if (isRequired && !columns[column]?.isRequired)
        faults.push(`${table}.${column}: an insert without it fails`);
  }
  return faults;
}

async function findFaultsAfter(change: string): Promise<string[]> {
  await sql.query(`BEGIN; ${change}`);
  return findFaults().finally(() => sql.query('ROLLBACK'));
}

test('the last version in the changelog is the one whose statements are kept', async () => {
  expect(released.version).toBe(await lastVersion());
  expect(Object.keys(released.statements).length).toBeGreaterThan(50);
  expect(Object.keys(released.tables).length).toBeGreaterThan(20);
});

describe('the last version works beside the newest schema', () => {
  test('with each of its statements and columns', async () => {
    expect(await findFaultsAfter('')).toEqual([]);
  });

  test.each([
    ['a column is added', 'ALTER TABLE tasks ADD COLUMN added TEXT'],
    ['a column with a default is added', 'ALTER TABLE tasks ADD COLUMN added TEXT NOT NULL DEFAULT 1'],
    ['a table is added', 'CREATE TABLE added (id INT)'],
    ['an index is added', 'CREATE INDEX added ON tasks (created_at)'],
    ['a value of an enum is added', "ALTER TYPE task_kind ADD VALUE 'ADDED'"],
    [
      'a parameter with a default is added',
      'CREATE FUNCTION seal_events(a TEXT, b TEXT) RETURNS INT LANGUAGE sql RETURN 1',
    ],
  ])('when %s', async (_what, change) => {
    expect(await findFaultsAfter(change)).toEqual([]);
  });
});

describe('a change that breaks the last version is found', () => {
  test.each([
    [
      'a column of a statement is dropped',
      'ALTER TABLE tasks DROP COLUMN trace_id',
      /insert-task: .*trace_id/,
    ],
    ['a column is renamed', 'ALTER TABLE tasks RENAME COLUMN priority TO rank', /find-tasks: .*priority/],
    [
      'a column of Prisma is dropped',
      'ALTER TABLE api_keys DROP COLUMN last_four',
      /api_keys\.last_four: was text/,
    ],
    ['a type changes', 'ALTER TABLE uploads ALTER COLUMN actor TYPE varchar(9)', /uploads\.actor: was text/],
    [
      'a required column is added',
      'ALTER TABLE uploads ADD COLUMN added TEXT NOT NULL',
      /uploads\.added: an insert/,
    ],
    [
      'a column becomes required',
      'ALTER TABLE uploads ALTER file_name SET NOT NULL',
      /uploads\.file_name: an insert/,
    ],
    ['a function loses a parameter', 'DROP FUNCTION seal_events', /seal-events: function seal_events/],
    [
      'a unique index that upserts name is dropped',
      'ALTER TABLE leases DROP CONSTRAINT leases_pkey',
      /acquire-lease: /,
    ],
  ])('when %s', async (_what, change, fault) => {
    expect((await findFaultsAfter(change)).join('\n')).toMatch(fault);
  });
});
