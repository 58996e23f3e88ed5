import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type JobName } from '../../src/core/primitives/jobs.js';
import { Database } from '../../src/db/postgres/database.js';
import { InstanceRepository } from '../../src/db/instances/instance-repository.js';
import { Heartbeat } from '../../src/queue/heartbeat.js';
import { type JobContext, type JobHandlers } from '../../src/queue/job-runs.js';
import { Worker } from '../../src/queue/worker.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { createTestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

/** Longer than the queue needs to give up, to be replaced, and to fail again. */
const OUTAGE_MS = 4_000;
/** A deaf queue never recovers. The chaos run measures how long a recovery takes. */
const MAX_WAIT_MS = 40_000;

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A worker behind a proxy, with a recurring job that runs all the time, and a connection that sees no fault. */
async function startWorkerBehindProxy() {
  const database = await createTestDatabase();
  stops.push(() => database.drop());
  const { proxy, url } = await TcpProxy.inFrontOf(database.url);
  stops.push(() => proxy.cut());
  const admin = new pg.Pool({ connectionString: adminUrl(database.url), max: 1 });
  stops.push(() => admin.end());
  const log = pino({ level: 'silent' });
  const db = new Database({ url, maxConnections: 10, log });
  const runs: JobName[] = [];
  let finishRunning = () => {};
  const finished = new Promise<void>((resolve) => (finishRunning = resolve));
  const handlers = Object.fromEntries(
    JOB_NAMES.map((name) => [
      name,
      async (_payload: unknown, { runNumber }: JobContext) => {
        runs.push(name);
        // The queue gives up when it cannot record that a job has finished.
        if (name === 'submit-task' && runNumber === 1) await finished;
      },
    ]),
  ) as unknown as JobHandlers;
  const instances = new InstanceRepository(db);
  const worker = new Worker({
    heartbeat: new Heartbeat(instances, log),
    instances,
    pool: db.pool,
    handlers,
    recurringIntervalsMs: { 'reconcile-tasks': 20 },
    concurrency: 4,
    forbiddenFlags: () => [],
    log,
  });
  await worker.start();
  stops.push(async () => {
    await worker.stop();
    await db.close();
  });
  const sql = new pg.Pool({ connectionString: database.url, max: 1 });
  sql.on('error', () => undefined);
  await sql.query(`SELECT graphile_worker.add_job('submit-task', '{}')`);
  stops.push(() => sql.end());
  const countJobs = async (name: JobName) => {
    const text = 'SELECT FROM graphile_worker.jobs WHERE task_identifier = $1';
    return (await sql.query(text, [name]).catch(() => null))?.rowCount;
  };
  await waitFor('the first runs', () => runs.length >= 3 && runs.includes('submit-task'));
  const name = new URL(database.url).pathname.slice(1);
  return { proxy, admin, name, runs, worker, finishRunning, countJobs };
}

type Started = Awaited<ReturnType<typeof startWorkerBehindProxy>>;
const JOB_NAMES = [
  ...([
    'submit-task',
    'ingest-images',
    'reconcile-tasks',
    'deliver-webhook',
    'deliver-due-webhooks',
  ] as const),
  ...(['delete-old-callbacks', 'delete-old-images', 'delete-unused-blobs'] as const),
] satisfies JobName[];

function adminUrl(url: string): string {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  return admin.href;
}

const terminate = ({ admin, name }: Started) =>
  admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);

/** Each fault begins, and returns what ends it. */
const OUTAGES: Record<string, (started: Started) => Promise<() => Promise<unknown>>> = {
  'is read-only, as a demoted primary is': async (started) => {
    const { admin, name } = started;
    await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await terminate(started);
    return () => admin.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
  },
  'ends every session': (started) => {
    const timer = setInterval(() => void terminate(started), 50);
    return Promise.resolve(() => Promise.resolve(clearInterval(timer)));
  },
  'refuses connections': async ({ proxy }) => {
    await proxy.cut();
    return () => proxy.restore();
  },
  'accepts no connection': async (started) => {
    const { admin, name } = started;
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await terminate(started);
    return () => admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  },
  'answers nothing': ({ proxy }) => {
    proxy.freeze();
    return Promise.resolve(() => proxy.cut().then(() => proxy.restore()));
  },
};

describe('jobs run again after PostgreSQL', () => {
  test.each(Object.keys(OUTAGES))(
    '%s',
    async (outage) => {
      const started = await startWorkerBehindProxy();
      const end = await OUTAGES[outage]?.(started);
      started.finishRunning();
      await delay(OUTAGE_MS);
      await end?.();
      const { runs } = started;
      const before = runs.length;
      await waitFor('the next runs', () => runs.length >= before + 5, { timeoutMs: MAX_WAIT_MS });
      await waitFor(
        'the job that was running to finish',
        async () => (await started.countJobs('submit-task')) === 0,
      );
      expect(started.worker.isRunning).toBe(true);
    },
    60_000,
  );
});
