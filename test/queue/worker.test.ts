import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { ImageUnavailable } from '../../src/core/errors.js';
import { type JobName } from '../../src/core/primitives/jobs.js';
import { Database } from '../../src/db/postgres/database.js';
import { InstanceRepository } from '../../src/db/instances/instance-repository.js';
import { Heartbeat } from '../../src/queue/heartbeat.js';
import { type JobHandlers, type JobContext } from '../../src/queue/job-runs.js';
import { Worker, type WorkerOptions } from '../../src/queue/worker.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const silent = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
const stops: (() => Promise<void>)[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  // Without idle timers, because a test counts the timers of the process.
  sql = new pg.Pool({ connectionString: database.url, max: 2, idleTimeoutMillis: 0 });
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await sql.query('DELETE FROM graphile_worker._private_jobs');
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

interface Run extends JobContext {
  name: JobName;
  taskId?: string;
}

/** Starts the worker of one instance and records its runs. `work` may throw. */
async function startWorker(
  work: (run: Run) => Promise<void> | void = () => undefined,
  recurring: Partial<Record<JobName, number>> = {},
  forbiddenFlags: () => string[] = () => [],
  {
    maxConnections = 5,
    ...bounds
  }: Pick<WorkerOptions, 'concurrency' | 'maxRunningByFlag'> & { maxConnections?: number } = {
    concurrency: 4,
  },
) {
  const runs: Run[] = [];
  const createHandler = (name: JobName) => async (payload: { taskId?: string }, run: JobContext) => {
    runs.push({ ...run, name, taskId: payload.taskId });
    await work({ ...run, name, taskId: payload.taskId });
  };
  const handlers: JobHandlers = {
    'submit-task': createHandler('submit-task'),
    'ingest-images': createHandler('ingest-images'),
    'queue-due-ingests': createHandler('queue-due-ingests'),
    'expire-tasks': createHandler('expire-tasks'),
    'reconcile-tasks': createHandler('reconcile-tasks'),
    'deliver-webhook': createHandler('deliver-webhook'),
    'deliver-due-webhooks': createHandler('deliver-due-webhooks'),
    'delete-old-callbacks': createHandler('delete-old-callbacks'),
    'delete-old-records': createHandler('delete-old-records'),
    'delete-old-images': createHandler('delete-old-images'),
    'delete-unused-blobs': createHandler('delete-unused-blobs'),
    'analyze-grown-tables': createHandler('analyze-grown-tables'),
  };
  const db = new Database({ url: database.url, maxConnections, log: silent });
  const instances = new InstanceRepository(db);
  const heartbeat = new Heartbeat(instances, silent);
  const worker = new Worker({
    heartbeat,
    instances,
    pool: db.pool,
    handlers,
    recurringIntervalsMs: recurring,
    ...bounds,
    forbiddenFlags,
    log: silent,
  });
  await worker.start();
  let queueStopped: Promise<void> | null = null;
  const stopQueue = () => (queueStopped ??= worker.stop());
  let stopped: Promise<void> | null = null;
  const stop = () => (stopped ??= stopQueue().then(() => db.close()));
  stops.push(stop);
  return { runs, worker, heartbeat, pool: db.pool, stopQueue, stop };
}

async function addJob(name: JobName, taskId: string, maxAttempts = 25): Promise<void> {
  await sql.query('SELECT graphile_worker.add_job($1, $2, max_attempts := $3)', [
    name,
    { taskId },
    maxAttempts,
  ]);
}
async function readJobs(): Promise<
  { attempts: number; last_error: string | null; locked_by: string | null }[]
> {
  const text = 'SELECT attempts, last_error, locked_by FROM graphile_worker.jobs';
  return (await sql.query<{ attempts: number; last_error: string | null; locked_by: string | null }>(text))
    .rows;
}
const makeJobsDue = () => sql.query('UPDATE graphile_worker._private_jobs SET run_at = now()');

describe('a job', () => {
  test('runs once with its payload and is then deleted', async () => {
    const { runs } = await startWorker();
    await addJob('submit-task', 'a');
    await waitFor('the job to finish', async () => runs.length === 1 && (await readJobs()).length === 0);
    expect(runs).toMatchObject([{ name: 'submit-task', taskId: 'a', runNumber: 1 }]);
  });

  test('that throws is retried later with the next run number', async () => {
    const { runs } = await startWorker(() => {
      throw new Error('not now');
    });
    await addJob('ingest-images', 'b', 2);
    await waitFor('the first failure', async () => (await readJobs())[0]?.last_error?.includes('not now'));
    await makeJobsDue();
    await waitFor('the second run', () => runs.length === 2);
    expect(runs.map(({ runNumber }) => runNumber)).toEqual([1, 2]);
  });

  test('that submits tasks runs even after 25 runs that ended with their processes', async () => {
    await addJob('submit-task', 'a');
    await sql.query('UPDATE graphile_worker._private_jobs SET attempts = max_attempts');
    const { runs } = await startWorker();
    await waitFor('the job to finish', async () => (await readJobs()).length === 0);
    expect(runs).toMatchObject([{ name: 'submit-task', taskId: 'a', runNumber: 26 }]);
  });

  test('that throws a permanent error is not retried', async () => {
    const { runs } = await startWorker(() => {
      throw new ImageUnavailable('hopeless', { retryable: false });
    });
    await addJob('ingest-images', 'c');
    await waitFor('the job to finish', async () => runs.length === 1 && (await readJobs()).length === 0);
  });

  test('that throws a retryable error stays queued', async () => {
    await startWorker(() => {
      throw new ImageUnavailable('later', { retryable: true });
    });
    await addJob('ingest-images', 'd');
    await waitFor('the failure', async () => (await readJobs())[0]?.last_error?.includes('later'));
  });
});

describe('an orphaned job, locked by the queue but not running', () => {
  /** Creates an orphaned job, as when the response to fetching a job is lost. */
  async function createOrphanedJob(taskId: string): Promise<string> {
    const queueId = await waitFor('the first heartbeat', async () => {
      const { rows } = await sql.query<{ id: string }>('SELECT id FROM instances');
      return rows[0]?.id;
    });
    const flagged = `SELECT graphile_worker.add_job('submit-task', $1, flags := ARRAY['upstream'])`;
    await sql.query(flagged, [{ taskId }]);
    const lock = `UPDATE graphile_worker._private_jobs SET locked_at = now() - interval '1 minute', locked_by = $1`;
    await sql.query(lock, [queueId]);
    return queueId;
  }

  test('is run in the end by the same queue', async () => {
    await sql.query('DELETE FROM instances');
    let forbidden = ['upstream'];
    const { runs } = await startWorker(undefined, {}, () => forbidden);
    const queueId = await createOrphanedJob('g');
    forbidden = [];
    await waitFor('the orphaned job', () => runs.some((run) => run.taskId === 'g'), { timeoutMs: 50_000 });
    expect((await sql.query('SELECT id FROM instances')).rows).toEqual([{ id: queueId }]);
  });
});

describe('a queue that could not record finished jobs', () => {
  const countTimers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const TASKS = ['i', 'j', 'k', 'l'];
  beforeEach(async () => {
    // The queue prints these errors to the console.
    jest.spyOn(console, 'error').mockImplementation(() => undefined);
    // A sequence also counts rolled-back attempts.
    await sql.query('CREATE SEQUENCE refusals');
    await sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN PERFORM nextval('refusals'); RAISE EXCEPTION 'not now'; END $$`);
    await sql.query(`CREATE TRIGGER refuse BEFORE DELETE ON graphile_worker._private_jobs
                     FOR EACH ROW EXECUTE FUNCTION refuse()`);
  });
  const allowWrites = () => sql.query('DROP FUNCTION IF EXISTS refuse CASCADE');
  afterEach(async () => {
    await allowWrites();
    await sql.query('DROP SEQUENCE refusals');
  });
  async function refusals(): Promise<number> {
    const text = 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS count FROM refusals';
    return (await sql.query<{ count: number }>(text)).rows[0]?.count ?? 0;
  }

  /** Starts a worker whose jobs run until `finishJobs` finishes them one by one. */
  async function startWithRunningJobs() {
    const finishers: (() => void)[] = [];
    const started = await startWorker(async ({ runNumber }) => {
      if (runNumber === 1) await new Promise<void>((resolve) => finishers.push(resolve));
    });
    for (const taskId of TASKS) await addJob('submit-task', taskId);
    await waitFor('the runs', () => finishers.length === TASKS.length);
    const finishJobs = async (count = finishers.length) => {
      // Each in a batch of its own, because with this many batches the queue waits forever for the last one.
      for (const end of finishers.splice(0, count)) {
        const before = await refusals();
        end();
        await waitFor('the refused write', async () => (await refusals()) > before);
      }
    };
    return { ...started, finishJobs };
  }

  test('is replaced, and its jobs run again without leaving anything behind', async () => {
    const timersBefore = countTimers();
    const { runs, worker, stop, finishJobs } = await startWithRunningJobs();
    await finishJobs();
    await waitFor('the queue to give up', () => !worker.isRunning);
    await allowWrites();
    await waitFor('the jobs to finish', async () => (await readJobs()).length === 0, { timeoutMs: 50_000 });
    expect(runs.map(({ taskId }) => taskId).sort()).toEqual([...TASKS, ...TASKS].sort());
    await stop();
    await waitFor('the timers to end', () => countTimers() <= timersBefore);
  }, 60_000);

  test('leaves nothing running if the worker is stopped in the middle of the replacement', async () => {
    const { heartbeat, worker, stop, finishJobs } = await startWithRunningJobs();
    await finishJobs();
    await waitFor('the queue to give up', () => !worker.isRunning);
    const startHeartbeat = heartbeat.start.bind(heartbeat);
    // The replacement queue was just created. It uses the pool's connections, which the pool waits for when it closes.
    const stopped = new Promise<void>((resolve, reject) => {
      heartbeat.start = (queueId) => {
        startHeartbeat(queueId);
        stop().then(resolve, reject);
      };
    });
    await allowWrites();
    await stopped;
  }, 60_000);

  test('can be stopped before it is replaced, once its running jobs have finished', async () => {
    const { runs, worker, stopQueue, finishJobs } = await startWithRunningJobs();
    await finishJobs(TASKS.length - 1);
    await waitFor('the queue to give up', () => !worker.isRunning);
    const steps: string[] = [];
    const stopped = stopQueue().then(() => steps.push('stopped'));
    // A worker that did not wait would stop long before this many queries finish.
    for (let count = 0; count < 50; count += 1) await sql.query('SELECT 1');
    steps.push('the last job finishes');
    await finishJobs();
    await stopped;
    expect(steps).toEqual(['the last job finishes', 'stopped']);
    expect(runs).toHaveLength(TASKS.length);
  });

  test('can be stopped, and is removed from the list of live instances', async () => {
    await sql.query('DELETE FROM instances');
    const { stop, finishJobs } = await startWithRunningJobs();
    await waitFor(
      'the first heartbeat',
      async () => (await sql.query('SELECT FROM instances')).rowCount === 1,
    );
    const stopped = stop();
    await finishJobs();
    await stopped;
    expect((await sql.query('SELECT FROM instances')).rowCount).toBe(0);
  });
});

describe('a job with a flag', () => {
  test('waits while its flag is forbidden', async () => {
    let forbidden = ['upstream'];
    const { runs } = await startWorker(undefined, {}, () => forbidden);
    const flagged = `SELECT graphile_worker.add_job('submit-task', '{"taskId":"e"}', flags := ARRAY['upstream'])`;
    await sql.query(flagged);
    await addJob('ingest-images', 'f');
    await waitFor('the job without a flag', () => runs.length === 1);
    expect(runs).toMatchObject([{ taskId: 'f' }]);
    forbidden = [];
    await waitFor('the job with the flag', () => runs.length === 2);
  });
});

describe('the free slots of a queue', () => {
  type Query = (this: pg.Client, ...args: unknown[]) => unknown;
  const { query: send } = pg.Client.prototype as unknown as { query: Query };
  const query = jest.spyOn(pg.Client.prototype, 'query');
  const isFetch = (args: unknown[]) => JSON.stringify(args[0]).includes('with j as');
  const countFetches = () => query.mock.calls.filter(isFetch).length;
  /** What each fetch waits for before it is sent to PostgreSQL. */
  let delayFetch: (() => Promise<unknown>) | null;
  /** Fetches that have not been answered. */
  let [open, mostOpen] = [0, 0];
  const fetchLater = async (client: pg.Client, args: unknown[], wait: () => Promise<unknown>) => {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    try {
      await wait();
      return await (send.apply(client, args) as Promise<unknown>);
    } finally {
      open -= 1;
    }
  };
  const intercept: Query = function (...args) {
    return delayFetch && isFetch(args) ? fetchLater(this, args, delayFetch) : send.apply(this, args);
  };
  query.mockImplementation(intercept);
  beforeEach(() => {
    query.mockClear();
    delayFetch = null;
    [open, mostOpen] = [0, 0];
  });
  afterAll(() => query.mockRestore());

  test('fetch four times a second in all while there is nothing to do', async () => {
    await startWorker(undefined, {}, () => [], { concurrency: 20 });
    await waitFor('the first fetch of each slot', () => countFetches() >= 20);
    const [before, startedAt] = [countFetches(), performance.now()];
    await waitFor('eight more', () => countFetches() >= before + 8);
    // Seven intervals, less what timers are early.
    expect(performance.now() - startedAt).toBeGreaterThan(1_700);
  });

  test('do not fetch more often when PostgreSQL is slow', async () => {
    await startWorker(undefined, {}, () => [], { concurrency: 20 });
    await waitFor('the first fetch of each slot', () => countFetches() >= 20);
    delayFetch = () => delay(350);
    const [before, startedAt] = [countFetches(), performance.now()];
    await waitFor('eight more', () => countFetches() >= before + 8);
    expect(performance.now() - startedAt).toBeGreaterThan(1_700);
    expect(mostOpen).toBeLessThanOrEqual(2);
  });

  test('fetch once more, however often jobs may have been added while one is fetching', async () => {
    const { worker } = await startWorker(undefined, {}, () => [], { concurrency: 20 });
    await waitFor('the first fetch of each slot', () => countFetches() >= 20);
    let answer = () => {};
    const answered = new Promise<void>((resolve) => (answer = resolve));
    delayFetch = () => answered;
    worker.lookForJobs();
    await waitFor('a fetch', () => open === 1);
    const before = countFetches();
    for (let count = 0; count < 8; count += 1) worker.lookForJobs();
    delayFetch = null;
    answer();
    await waitFor('another fetch', () => countFetches() > before);
    await waitFor('all answers', () => open === 0);
    // Some may poll. With the library's own `nudge`, seven fetch again.
    expect(countFetches()).toBeLessThanOrEqual(before + 3);
  });

  test('take a job although the fetch of one of them hangs', async () => {
    await sql.query(
      `SELECT graphile_worker.add_job('ingest-images', '{}', run_at := now() + interval '1 hour')`,
    );
    const { runs } = await startWorker(undefined, {}, () => [], { concurrency: 20 });
    await waitFor('the first fetch of each slot', () => countFetches() >= 20);
    let isFirst = true;
    let answer = () => {};
    delayFetch = async () => {
      if (!isFirst) return;
      isFirst = false;
      await new Promise<void>((resolve) => (answer = resolve));
    };
    await waitFor('a fetch that hangs', () => open === 1);
    await makeJobsDue();
    await waitFor('the job', () => runs.length === 1).finally(answer);
  });

  test('look for jobs again at once when PostgreSQL has refused connections', async () => {
    let fetches = 0;
    const { runs, pool } = await startWorker(
      undefined,
      {},
      () => {
        fetches += 1;
        return [];
      },
      { concurrency: 1 },
    );
    const connect = pool.connect.bind(pool);
    const refusal = Object.assign(new Error('the database system is starting up'), { code: '57P03' });
    const refuse = (done?: (error: Error) => void) => (done ? done(refusal) : Promise.reject(refusal));
    Object.assign(pool, { connect: refuse });
    const before = fetches;
    // The queue's library would wait for more than a minute between so many.
    await waitFor('eight fetches', () => fetches >= before + 8, { timeoutMs: 15_000 }).finally(() =>
      Object.assign(pool, { connect }),
    );
    await addJob('submit-task', 'a');
    await waitFor('the job', () => runs.length === 1);
  });

  test('all take jobs when many become due at the same time', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    // Before the worker starts, so that no notification wakes its slots.
    await sql.query(
      `SELECT graphile_worker.add_job('ingest-images', '{}', run_at := now() + interval '1 hour')
       FROM generate_series(1, 40)`,
    );
    const { runs } = await startWorker(
      () => finished,
      {},
      () => [],
      { concurrency: 40 },
    );
    await waitFor('the first fetch of each slot', () => countFetches() >= 42);
    await makeJobsDue();
    // A slot for each poll would take ten seconds.
    await waitFor('all jobs to run', () => runs.length === 40, { timeoutMs: 6_000 }).finally(finish);
  });
});

describe('jobs that hang', () => {
  const bounds = { concurrency: 12, maxRunningByFlag: { ingest: 3, upstream: 5 } };
  const addJobs = (name: JobName, flag: string, count: number) =>
    sql.query(
      `SELECT enqueue_job($1, json_build_object('taskId', $2::text), 0, ARRAY[$2]) FROM generate_series(1, $3)`,
      [name, flag, count],
    );

  test('take no more slots than those of their flag, even if all slots fetch at once', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const hang = ({ taskId }: Run) => (taskId === 'other' ? undefined : finished);
    const { runs } = await startWorker(hang, {}, () => [], bounds);
    const countOf = (taskId: string) => runs.filter((run) => run.taskId === taskId).length;
    await addJobs('ingest-images', 'ingest', 30);
    await addJobs('submit-task', 'upstream', 30);
    await waitFor('the slots to fill', () => countOf('ingest') >= 3 && countOf('upstream') >= 5);
    // Each slot that is left fetches again and again meanwhile.
    for (let count = 1; count <= 20; count += 1) {
      await addJob('deliver-webhook', 'other');
      await waitFor('a job without a flag', () => countOf('other') === count);
    }
    expect([countOf('ingest'), countOf('upstream')]).toEqual([3, 5]);
    finish();
    await waitFor('all jobs', () => countOf('ingest') === 30 && countOf('upstream') === 30);
  });

  test('do not delay recurring jobs', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const hang = ({ taskId }: Run) => (taskId === undefined ? undefined : finished);
    const { runs, worker } = await startWorker(hang, { 'reconcile-tasks': 50 }, () => [], bounds);
    await addJobs('ingest-images', 'ingest', 30);
    await addJobs('submit-task', 'upstream', 30);
    await waitFor('the slots to fill', () => runs.filter((run) => run.taskId !== undefined).length >= 8);
    const before = runs.length;
    await waitFor('ten more runs', () => runs.length >= before + 10);
    expect(worker.stalledMs.recurringJobs).toBeLessThan(5_000);
    finish();
  });
});

describe('a recurring job', () => {
  test('repeats even after a failure, and two instances do not run it twice as often', async () => {
    const fail = () => {
      throw new Error('not this time');
    };
    const [first, second] = [
      await startWorker(fail, { 'reconcile-tasks': 50 }),
      await startWorker(fail, { 'reconcile-tasks': 50 }),
    ];
    await waitFor('five runs', () => first.runs.length + second.runs.length >= 5);
    const queued = (await readJobs()).filter((job) => job.locked_by === null);
    expect(queued.length).toBeLessThanOrEqual(1);
  });
});

describe('a worker', () => {
  test('sends heartbeats again after they have stopped for an unknown reason', async () => {
    const { heartbeat } = await startWorker();
    await waitFor('a heartbeat', () => heartbeat.progress.ageMs < 1_000);
    heartbeat.stop();
    await waitFor('a long time without one', () => heartbeat.progress.ageMs > 5_000);
    await waitFor('the next heartbeat', () => heartbeat.progress.ageMs < 1_000);
  }, 60_000);

  test('that is stopped lets its running job finish, and keeps no other job locked', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const { runs, worker, stop } = await startWorker(() => finished);
    await addJob('submit-task', 'e');
    await waitFor('the run', () => runs.length === 1);
    expect(worker.isRunning).toBe(true);
    const stopped = stop();
    await addJob('submit-task', 'f');
    finish();
    await stopped;
    expect(worker.isRunning).toBe(false);
    const left = await readJobs();
    expect(left.length + runs.length).toBe(2);
    expect(left.every((job) => job.attempts === 0 && job.locked_by === null)).toBe(true);
  });

  test('takes over the jobs of a killed instance', async () => {
    await addJob('submit-task', 'g');
    await sql.query(
      "INSERT INTO instances (id, last_heartbeat_at) VALUES ('dead', now() - interval '1 minute')",
    );
    await sql.query(
      "UPDATE graphile_worker._private_jobs SET locked_by = 'dead', locked_at = now() - interval '1 minute', attempts = 1",
    );
    const { runs } = await startWorker();
    await waitFor('the job', () => runs.length === 1);
    expect(runs[0]).toMatchObject({ taskId: 'g', runNumber: 2 });
  });

  test('leaves the jobs of a live instance alone', async () => {
    await addJob('submit-task', 'h');
    await sql.query(
      "INSERT INTO instances (id, last_heartbeat_at) VALUES ('alive', now() + interval '1 minute')",
    );
    await sql.query(
      "UPDATE graphile_worker._private_jobs SET locked_by = 'alive', locked_at = now(), attempts = 1",
    );
    await sql.query(
      "INSERT INTO instances (id, last_heartbeat_at) VALUES ('dead', now() - interval '1 minute')",
    );
    const { runs } = await startWorker();
    await waitFor('the dead instance to be noticed', async () => {
      const { rows } = await sql.query("SELECT FROM instances WHERE id = 'dead'");
      return rows.length === 0;
    });
    expect(runs).toEqual([]);
    expect((await readJobs())[0]?.locked_by).toBe('alive');
    await sql.query("DELETE FROM instances WHERE id = 'alive'");
  });
});
