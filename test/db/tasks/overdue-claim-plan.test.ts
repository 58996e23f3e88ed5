import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const OVERDUE_COUNT = 100_000;
/** The index has some 1,000 pages. Reading the row of each task would take one page more for each. */
const MAX_READ_PAGES_PER_JOB = 5_000;
const WORKSPACE = '00000000-0000-7000-8000-000000000001';

let database: TestDatabase;
let sql: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
}, 60_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

interface Plan {
  Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number };
}

/** What a claim for so many jobs picks, and the pages that it reads. */
async function pick(jobCount: number): Promise<{ outcomes: string[]; pages: number }> {
  const text = `SELECT * FROM pick_next_tasks(
    ARRAY(SELECT id FROM graphile_worker._private_jobs ORDER BY id LIMIT ${jobCount}),
    array_fill(0, ARRAY[${jobCount}]), 1000)`;
  const { rows: picks } = await sql.query<{ outcome: string }>(text);
  const { rows } = await sql.query<{ 'QUERY PLAN': Plan[] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
  );
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan;
  const pages = (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0);
  return { outcomes: picks.map(({ outcome }) => outcome), pages };
}

test('a claim does not read the rows of 100,000 overdue tasks while it holds the lock of the scheduler', async () => {
  for (let n = 0; n < 24; n += 1) await sql.query(`SELECT enqueue_job('submit-task', '{}'::json)`);
  const columns = 'id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at';
  await sql.query(
    `INSERT INTO tasks (${columns})
     SELECT gen_random_uuid(), '${WORKSPACE}', 'GENERATE', '', 'flux-dev', 1, '', now() - interval '1 hour'
     FROM generate_series(1, ${OVERDUE_COUNT})`,
  );
  const idle = await pick(24);
  expect(idle.outcomes).toEqual(Array.from({ length: 24 }, () => 'NONE'));
  expect(idle.pages).toBeGreaterThan(0);
  expect(idle.pages).toBeLessThan(MAX_READ_PAGES_PER_JOB);

  // The IDs of these come last, after all overdue ones.
  await sql.query(
    `INSERT INTO tasks (${columns})
     SELECT ('ffffffff-ffff-7fff-8fff-' || lpad(n::text, 12, 'f'))::uuid, '${WORKSPACE}', 'GENERATE', '', 'flux-dev', 1, '',
            now() + interval '1 hour'
     FROM generate_series(1, 8) n`,
  );
  const one = await pick(1);
  expect(one.outcomes).toEqual(['PICKED']);
  expect(one.pages).toBeLessThan(MAX_READ_PAGES_PER_JOB);
  const many = await pick(24);
  expect(many.outcomes.filter((outcome) => outcome === 'PICKED')).toHaveLength(8);
  expect(many.pages).toBeLessThan(9 * MAX_READ_PAGES_PER_JOB);
}, 120_000);
