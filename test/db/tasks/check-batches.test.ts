import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const ids = [newId(), newId(), newId()];
const [locked = ''] = ids;

let database: TestDatabase;
let sql: pg.Client;
let db: Database;
let tasks: TaskRepository;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  db = new Database({ url: database.url, maxConnections: 2, log: pino({ level: 'silent' }) });
  tasks = new TaskRepository(db);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at, checked_at)
     SELECT id, id, 'GENERATE', 'RUNNING', '', 'flux-dev', 1, '', now() + interval '1 hour', now() FROM unnest($1::uuid[]) id`,
    [ids],
  );
  await sql.query('BEGIN');
  await sql.query('SELECT FROM tasks WHERE id = $1 FOR UPDATE', [locked]);
});
afterAll(async () => {
  await sql.end();
  await db.close();
  await database.drop();
});

async function valuesOf(column: string): Promise<unknown[]> {
  const { rows } = await db.pool.query<{ value: unknown }>(
    `SELECT ${column} AS value FROM tasks WHERE id <> $1 ORDER BY id`,
    [locked],
  );
  return rows.map(({ value }) => value);
}

test('the size of batches and the time of the last read change at once, although another session has locked one of the tasks', async () => {
  await tasks.setCheckBatchSize(ids, 2);
  expect(await valuesOf('check_batch_size')).toEqual([2, 2]);
  await tasks.enlargeCheckBatches(2, 4);
  expect(await valuesOf('check_batch_size')).toEqual([4, 4]);
  await tasks.setCheckBatchSize(ids, null);
  expect(await valuesOf('check_batch_size')).toEqual([null, null]);
  await tasks.clearCheckedAt(ids);
  expect(await valuesOf('checked_at')).toEqual([null, null]);
}, 30_000);
