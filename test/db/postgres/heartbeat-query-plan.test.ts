import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { type Database } from '../../../src/db/postgres/database.js';
import { InstanceRepository } from '../../../src/db/instances/instance-repository.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const QUEUED_COUNT = 200_000;
/** A page for each of a few index levels and locked jobs. A scan of the queued jobs reads thousands. */
const MAX_PAGES = 100;

let database: TestDatabase;
let sql: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(`SELECT enqueue_job('submit-task', '{}')`);
  await sql.query(
    `INSERT INTO graphile_worker._private_jobs (task_id, payload)
     SELECT task_id, payload FROM graphile_worker._private_jobs, generate_series(1, $1)`,
    [QUEUED_COUNT],
  );
  await sql.query(
    `INSERT INTO instances (id, last_heartbeat_at) VALUES ('alive', now() + interval '1 hour')`,
  );
  await sql.query(
    `UPDATE graphile_worker._private_jobs SET locked_at = now() - interval '1 min', locked_by = 'alive' WHERE id <= 10`,
  );
}, 120_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

/** The statement that a call of the repository runs. Its parameters are numbers, except `lockedBy`. */
async function statementOf(call: (instances: InstanceRepository) => Promise<unknown>): Promise<string> {
  let found = { text: '', parameterNames: [] as readonly string[] };
  const db = { query: (statement: Statement<object, object>) => Promise.resolve(((found = statement), [])) };
  await call(new InstanceRepository(db as unknown as Database));
  const values = { olderThanMs: '4500', lockedBy: `'alive'` } as Record<string, string>;
  return found.text.replace(
    /\$(\d+)/g,
    (_all, n: string) => values[found.parameterNames[Number(n) - 1] ?? ''] ?? '',
  );
}

test.each([
  [
    'a heartbeat that finds no dead instance',
    (instances: InstanceRepository) => instances.releaseJobsOfDeadInstances(4_500),
  ],
  [
    'finding jobs that a queue holds',
    (instances: InstanceRepository) => instances.findJobsLockedBy('alive', 4_500),
  ],
])('%s does not read the queued jobs', async (_what, call) => {
  const text = await statementOf(call);
  for (const analyzed of [false, true]) {
    if (analyzed) await sql.query('ANALYZE graphile_worker._private_jobs');
    const { rows } = await sql.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    );
    const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
    expect((plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0)).toBeLessThan(MAX_PAGES);
  }
});
