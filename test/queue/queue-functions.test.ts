import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';

let database: TestDatabase;
let sql: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
});
afterEach(() => sql.query('DELETE FROM graphile_worker._private_jobs'));
afterAll(async () => {
  await sql.end();
  await database.drop();
});

interface Job {
  name: string;
  key: string | null;
  flags: object | null;
  payload: object;
  dueInMs: number;
  isLocked: boolean;
}

async function readJobs(): Promise<Job[]> {
  const { rows } = await sql.query<Job>(`
    SELECT t.identifier AS name, j.key, j.flags, j.payload, j.locked_at IS NOT NULL AS "isLocked",
           (extract(epoch FROM j.run_at - now()) * 1000)::float8 AS "dueInMs"
    FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id ORDER BY j.id`);
  return rows;
}
/** Values that were taken from each 32-bit sequence of the database. */
async function readNarrowSequences(): Promise<Record<string, string | null>> {
  const { rows } = await sql.query<{ name: string; value: string | null }>(
    `SELECT schemaname || '.' || sequencename AS name, last_value AS value FROM pg_sequences WHERE max_value < 2^32`,
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}
const ensure = async (names: string[], intervalsMs: number[]) =>
  (await sql.query<{ lag: number }>('SELECT ensure_recurring_jobs($1, $2) AS lag', [names, intervalsMs]))
    .rows[0]?.lag;
const lockAll = () =>
  sql.query(
    `UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'a', attempts = attempts + 1`,
  );

test('no function that a writing transaction calls notifies, because such transactions commit one after another', async () => {
  const { rows } = await sql.query<{ name: string }>(
    `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~* 'notify'`,
  );
  expect(rows).toEqual([{ name: 'seal_events' }]);
});

describe('enqueue_job', () => {
  test('adds a job as graphile_worker.add_job does', async () => {
    for (const call of [
      `enqueue_job('submit-task', '{"a": 1}', 60000, ARRAY['upstream'])`,
      `graphile_worker.add_job('submit-task', '{"a": 1}', run_at := now() + interval '1 min', flags := ARRAY['upstream'])`,
    ])
      await sql.query(`SELECT ${call}`);
    const { rows } = await sql.query<{ job: Record<string, unknown> }>(
      `SELECT to_jsonb(j) - '{id,run_at,created_at,updated_at}'::text[] AS job FROM graphile_worker._private_jobs j`,
    );
    expect(rows).toHaveLength(2);
    expect(rows[0]).toEqual(rows[1]);
    for (const { dueInMs } of await readJobs()) expect(dueInMs).toBeGreaterThan(50_000);
  });

  test('adds the first job of a name as well', async () => {
    await sql.query(`SELECT enqueue_job('a-new-name', '{}')`);
    await expect(readJobs()).resolves.toMatchObject([{ name: 'a-new-name', flags: null, payload: {} }]);
  });

  test('takes no value of a 32-bit sequence, in 1,000 jobs of each kind', async () => {
    await sql.query(`SELECT enqueue_job('submit-task', '{}')`);
    await ensure(['reconcile-tasks'], [1_000]);
    const before = await readNarrowSequences();
    await sql.query(`SELECT enqueue_job('submit-task', '{}') FROM generate_series(1, 1000)`);
    for (let n = 0; n < 1_000; n += 1) {
      await ensure(['reconcile-tasks'], [1_000]);
      await sql.query(
        `SELECT queue_next_run(id, 'reconcile-tasks', 1000) FROM graphile_worker._private_jobs WHERE key IS NOT NULL`,
      );
    }
    expect(await readNarrowSequences()).toEqual(before);
  });
});

describe('a recurring job', () => {
  test('has one row, and is due at once at first', async () => {
    await Promise.all(
      Array.from({ length: 8 }, () => ensure(['reconcile-tasks', 'delete-old-images'], [1_000, 5_000])),
    );
    const jobs = await readJobs();
    expect(jobs.map(({ key }) => key).sort()).toEqual(['delete-old-images', 'reconcile-tasks']);
    for (const { dueInMs } of jobs) expect(dueInMs).toBeLessThanOrEqual(0);
  });

  test('is not added again while it runs, however long that takes', async () => {
    await ensure(['delete-unused-blobs'], [1_000]);
    await lockAll();
    await ensure(['delete-unused-blobs'], [1_000]);
    await expect(readJobs()).resolves.toMatchObject([{ key: 'delete-unused-blobs', isLocked: true }]);
  });

  test('hands its key to the next run when it ends', async () => {
    await ensure(['reconcile-tasks'], [1_000]);
    await lockAll();
    await sql.query(`SELECT queue_next_run(id, 'reconcile-tasks', 60000) FROM graphile_worker._private_jobs`);
    const jobs = await readJobs();
    expect(jobs).toMatchObject([
      { key: null, isLocked: true },
      { key: 'reconcile-tasks', isLocked: false },
    ]);
    expect(jobs[1]?.dueInMs).toBeGreaterThan(50_000);
  });

  test('that fails at every run counts as one that makes no progress', async () => {
    const intervals = { 'reconcile-tasks': 1_000, 'delete-old-images': 3_600_000 };
    const endRuns = (hasFailed: boolean) =>
      sql.query(
        'SELECT queue_next_run(id, key, 1000, $1) FROM graphile_worker._private_jobs WHERE key IS NOT NULL',
        [hasFailed],
      );
    await ensure(Object.keys(intervals), Object.values(intervals));
    await endRuns(true);
    // Time passes by moving the start of the failures back.
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET payload = json_build_object('failingSince', now() - interval '20 s')
       WHERE key IS NOT NULL`,
    );
    await endRuns(true);
    expect(await ensure(Object.keys(intervals), Object.values(intervals))).toBeGreaterThan(19_000);
    // A job that runs once an hour does not count.
    await sql.query(`DELETE FROM graphile_worker._private_jobs WHERE key = 'reconcile-tasks'`);
    expect(await ensure(Object.keys(intervals), Object.values(intervals))).toBeLessThan(10_000);
    await endRuns(false);
    expect(await ensure(Object.keys(intervals), [1_000, 1_000])).toBeLessThan(10_000);
  });

  test('that was put far into the future, or that the queue has given up, is due again', async () => {
    await ensure(['reconcile-tasks', 'delete-old-images'], [1_000, 5_000]);
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET run_at = now() + interval '10 min' WHERE key = 'reconcile-tasks'`,
    );
    await sql.query(
      `UPDATE graphile_worker._private_jobs SET attempts = max_attempts WHERE key = 'delete-old-images'`,
    );
    await ensure(['reconcile-tasks', 'delete-old-images'], [1_000, 5_000]);
    const { rows } = await sql.query(
      'SELECT FROM graphile_worker._private_jobs WHERE is_available AND run_at <= now() AND attempts = 0',
    );
    expect(rows).toHaveLength(2);
  });

  test('reports for how long it has been due', async () => {
    await ensure(['reconcile-tasks'], [1_000]);
    await sql.query(`UPDATE graphile_worker._private_jobs SET run_at = now() - interval '20 s'`);
    expect(await ensure(['reconcile-tasks'], [1_000])).toBeGreaterThan(19_000);
  });
});

describe('a job that has failed often', () => {
  const sweep = () => sql.query('SELECT handle_failed_jobs()');
  const isAvailable = async () =>
    (await sql.query<{ is: boolean }>('SELECT is_available AS is FROM graphile_worker._private_jobs')).rows[0]
      ?.is;

  test.each(['submit-task', 'ingest-images'])(
    '%s is due within a minute, although the queue would wait for hours',
    async (name) => {
      await sql.query('SELECT enqueue_job($1, $2)', [name, '{}']);
      await sql.query(
        `UPDATE graphile_worker._private_jobs SET attempts = 9, run_at = now() + exp(9) * interval '1 s'`,
      );
      await sweep();
      const [job] = await readJobs();
      expect(job?.dueInMs).toBeGreaterThan(50_000);
      expect(job?.dueInMs).toBeLessThanOrEqual(60_000);
    },
  );

  test('submit-task is never given up, and the numbers of its runs go on', async () => {
    await sql.query(`SELECT enqueue_job('submit-task', '{}')`);
    await sql.query('UPDATE graphile_worker._private_jobs SET attempts = max_attempts');
    expect(await isAvailable()).toBe(false);
    await sweep();
    expect(await isAvailable()).toBe(true);
    const { rows } = await sql.query('SELECT attempts FROM graphile_worker._private_jobs');
    expect(rows).toEqual([{ attempts: 25 }]);
  });

  test('stays as it is while it runs, and so do other jobs', async () => {
    await sql.query(`SELECT enqueue_job('submit-task', '{}'), enqueue_job('deliver-webhook', '{}')`);
    await sql.query(
      `UPDATE graphile_worker._private_jobs j SET attempts = 25, run_at = now() + interval '6 h',
         locked_at = CASE WHEN t.identifier = 'submit-task' THEN now() END
       FROM graphile_worker._private_tasks t WHERE t.id = j.task_id`,
    );
    await sweep();
    expect((await readJobs()).every(({ dueInMs }) => dueInMs > 3_600_000)).toBe(true);
  });
});

test('jobs of other names that the queue has given up are deleted after a week, and recurring ones are kept', async () => {
  await ensure(['reconcile-tasks'], [1_000]);
  await sql.query(`SELECT enqueue_job('ingest-images', json_build_object('age', age), -86400000 * age)
    FROM unnest(ARRAY[8, 6]) age`);
  await sql.query('UPDATE graphile_worker._private_jobs SET attempts = max_attempts');
  await sql.query(
    `UPDATE graphile_worker._private_jobs SET run_at = now() - interval '8 days' WHERE key IS NOT NULL`,
  );
  await sql.query(`SELECT enqueue_job('ingest-images', '{"age": 9}', -86400000 * 9)`);
  await sql.query('SELECT handle_failed_jobs()');
  expect((await readJobs()).map(({ name, payload }) => [name, payload])).toEqual([
    ['reconcile-tasks', {}],
    ['ingest-images', { age: 6 }],
    ['ingest-images', { age: 9 }],
  ]);
});
