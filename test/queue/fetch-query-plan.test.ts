import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { INGEST_JOB_FLAG, UPSTREAM_JOB_FLAG } from '../../src/core/primitives/jobs.js';
import { Database } from '../../src/db/postgres/database.js';
import { InstanceRepository } from '../../src/db/instances/instance-repository.js';
import { Heartbeat } from '../../src/queue/heartbeat.js';
import { type JobHandlers } from '../../src/queue/job-runs.js';
import { Worker } from '../../src/queue/worker.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const QUEUED_COUNT = 200_000;
/** Each slot looks for jobs twice a second. A prepared statement would get a plan for any flags at the sixth time. */
const FETCH_COUNT = 40;
/** By then, each connection keeps its plans of the statements that run every few seconds. */
const FETCHES_WHILE_EMPTY = 15;
/** Far more than the work of this many fetches from an index. One scan of the queued jobs reads all of them. */
const MAX_ROWS_PER_FETCH = 100;

let database: TestDatabase;
let sql: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 1 });
}, 120_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

/** Empties the queue, so that its statistics say that there is nothing to read. */
async function emptyQueue(): Promise<void> {
  await sql.query('TRUNCATE graphile_worker._private_jobs');
  await sql.query('VACUUM ANALYZE graphile_worker._private_jobs');
}

/** Queues as many jobs of each of these flags, with their names. */
async function fillQueue(flags: readonly string[]): Promise<void> {
  await sql.query('DELETE FROM graphile_worker._private_jobs');
  for (const flag of flags) await sql.query(`SELECT enqueue_job($1, '{}', 0, ARRAY[$1])`, [flag]);
  await sql.query(
    `INSERT INTO graphile_worker._private_jobs (task_id, payload, flags)
     SELECT task_id, payload, flags FROM graphile_worker._private_jobs, generate_series(1, $1::int)`,
    [QUEUED_COUNT / flags.length],
  );
}

/** Rows that sequential scans and index scans of the jobs have read. */
async function rowsRead(): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `SELECT (seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::int AS count
     FROM pg_stat_user_tables t WHERE relname = '_private_jobs'`,
  );
  return rows[0]?.count ?? 0;
}

test.each([
  ['its gate is shut', [UPSTREAM_JOB_FLAG], false],
  ['its slots for images are taken', [INGEST_JOB_FLAG], false],
  ['both', [UPSTREAM_JOB_FLAG, INGEST_JOB_FLAG], false],
  ['its gate is shut, and its plans were made while nothing waited', [UPSTREAM_JOB_FLAG], true],
  ['its slots for images are taken, and its plans were made while nothing waited', [INGEST_JOB_FLAG], true],
  ['both, and its plans were made while nothing waited', [UPSTREAM_JOB_FLAG, INGEST_JOB_FLAG], true],
])(
  'a queue finds other jobs without reading those that wait: %s',
  async (_name, flags, isEmptyAtStart) => {
    if (isEmptyAtStart) await emptyQueue();
    else {
      await fillQueue(flags);
      await sql.query('VACUUM ANALYZE graphile_worker._private_jobs');
    }
    const log = pino({ level: 'silent' });
    const db = new Database({ url: database.url, maxConnections: 5, log });
    const instances = new InstanceRepository(db);
    let fetches = 0;
    const runs: string[] = [];
    const handler = (name: string) => () => Promise.resolve(void runs.push(name));
    const worker = new Worker({
      heartbeat: new Heartbeat(instances, log),
      instances,
      pool: db.pool,
      handlers: {
        [UPSTREAM_JOB_FLAG]: handler('waits for the upstream'),
        [INGEST_JOB_FLAG]: handler('waits for an image'),
        'deliver-webhook': handler('other'),
      } as unknown as JobHandlers,
      recurringIntervalsMs: {},
      concurrency: 2,
      maxRunningByFlag: Object.fromEntries(flags.map((flag) => [flag, 0])),
      forbiddenFlags: () => {
        fetches += 1;
        return [];
      },
      log,
    });
    let before = await rowsRead();
    await worker.start();
    try {
      if (isEmptyAtStart) {
        await waitFor('the first fetches', () => fetches >= FETCHES_WHILE_EMPTY, { timeoutMs: 60_000 });
        await fillQueue(flags);
        before = await rowsRead();
        fetches = 0;
      }
      await waitFor('the fetches', () => fetches >= FETCH_COUNT, { timeoutMs: 60_000 });
      await sql.query(`SELECT enqueue_job('deliver-webhook', '{}')`);
      await waitFor('the other job', () => runs.length > 0);
    } finally {
      await worker.stop();
      await db.close();
    }
    expect(runs).toEqual(['other']);
    // A session reports what it has read when it ends, or after a second.
    await waitFor('the statistics', async () => (await rowsRead()) > before);
    expect(await rowsRead()).toBeLessThan(before + fetches * MAX_ROWS_PER_FETCH);
  },
  120_000,
);
