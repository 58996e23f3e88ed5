import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { PictureUnavailable } from '../../src/core/errors.js';
import { type JobName } from '../../src/core/jobs.js';
import { Database } from '../../src/db/postgres/database.js';
import { Instances } from '../../src/db/postgres/instance-repository.js';
import { Heartbeat } from '../../src/queue/heartbeat.js';
import { type JobHandlers, type JobRun, Worker } from '../../src/queue/worker.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const silent = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
const stops: (() => Promise<void>)[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  // Without timers of its own.
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

interface Run extends JobRun {
  name: JobName;
  taskId?: string;
}

/** A queue of an instance, and the runs that it has begun. `work` may fail. */
async function startWorker(
  work: (run: Run) => Promise<void> | void = () => undefined,
  recurring: Partial<Record<JobName, number>> = {},
  skip: () => string[] = () => [],
) {
  const runs: Run[] = [];
  const handle = (name: JobName) => async (payload: { taskId?: string }, run: JobRun) => {
    runs.push({ ...run, name, taskId: payload.taskId });
    await work({ ...run, name, taskId: payload.taskId });
  };
  const handlers: JobHandlers = {
    'submit-task': handle('submit-task'),
    'store-images': handle('store-images'),
    'reconcile-tasks': handle('reconcile-tasks'),
    'deliver-callback': handle('deliver-callback'),
    'deliver-callbacks': handle('deliver-callbacks'),
    'forget-callbacks': handle('forget-callbacks'),
    'forget-pictures': handle('forget-pictures'),
    'sweep-store': handle('sweep-store'),
  };
  const db = new Database({ url: database.url, maxConnections: 5, log: silent });
  const instances = new Instances(db);
  const heartbeat = new Heartbeat(instances, silent);
  const worker = new Worker({
    heartbeat,
    instances,
    pool: db.pool,
    handlers,
    recurring,
    concurrency: 4,
    skip,
    log: silent,
  });
  await worker.start();
  let queueStopped: Promise<void> | null = null;
  const stopQueue = () => (queueStopped ??= worker.stop());
  let stopped: Promise<void> | null = null;
  const stop = () => (stopped ??= stopQueue().then(() => db.close()));
  stops.push(stop);
  return { runs, worker, heartbeat, stopQueue, stop };
}

async function addJob(name: JobName, taskId: string, maxAttempts = 25): Promise<void> {
  await sql.query('SELECT graphile_worker.add_job($1, $2, max_attempts := $3)', [
    name,
    { taskId },
    maxAttempts,
  ]);
}
async function jobs(): Promise<{ attempts: number; last_error: string | null; locked_by: string | null }[]> {
  const text = 'SELECT attempts, last_error, locked_by FROM graphile_worker.jobs';
  return (await sql.query<{ attempts: number; last_error: string | null; locked_by: string | null }>(text))
    .rows;
}
const runNow = () => sql.query('UPDATE graphile_worker._private_jobs SET run_at = now()');

describe('a job', () => {
  test('is run once with its payload, and is gone', async () => {
    const { runs } = await startWorker();
    await addJob('submit-task', 'a');
    await waitFor('the end of the job', async () => runs.length === 1 && (await jobs()).length === 0);
    expect(runs).toMatchObject([{ name: 'submit-task', taskId: 'a', attempt: 1 }]);
  });

  test('that throws is run again later, and is told which time it is', async () => {
    const { runs } = await startWorker(() => {
      throw new Error('not now');
    });
    await addJob('store-images', 'b', 2);
    await waitFor('the first failure', async () => (await jobs())[0]?.last_error?.includes('not now'));
    await runNow();
    await waitFor('the second run', () => runs.length === 2);
    expect(runs.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test('that throws what trying again cannot mend is not run again', async () => {
    const { runs } = await startWorker(() => {
      throw new PictureUnavailable('hopeless', false);
    });
    await addJob('store-images', 'c');
    await waitFor('the end of the job', async () => runs.length === 1 && (await jobs()).length === 0);
  });

  test('that throws what trying again may mend is kept', async () => {
    await startWorker(() => {
      throw new PictureUnavailable('later', true);
    });
    await addJob('store-images', 'd');
    await waitFor('the failure', async () => (await jobs())[0]?.last_error?.includes('later'));
  });
});

describe('a job that the queue has locked and forgotten', () => {
  /** Leaves one behind, as the fetching of a job does when its answer is lost. */
  async function forgetJob(taskId: string): Promise<void> {
    const queueId = await waitFor('the first beat', async () => {
      const { rows } = await sql.query<{ id: string }>('SELECT id FROM instances');
      return rows[0]?.id;
    });
    const flagged = `SELECT graphile_worker.add_job('submit-task', $1, flags := ARRAY['upstream'])`;
    await sql.query(flagged, [{ taskId }]);
    const lock = `UPDATE graphile_worker._private_jobs SET locked_at = now() - interval '1 minute', locked_by = $1`;
    await sql.query(lock, [queueId]);
  }

  test('is run all the same', async () => {
    await sql.query('DELETE FROM instances');
    let skipped = ['upstream'];
    const { runs } = await startWorker(undefined, {}, () => skipped);
    await forgetJob('g');
    skipped = [];
    await waitFor('the forgotten job', () => runs.some((run) => run.taskId === 'g'), { timeoutMs: 50_000 });
  });

  test('has the queue replaced, and a stop in the middle of that leaves nothing running', async () => {
    await sql.query('DELETE FROM instances');
    const { heartbeat, stop } = await startWorker(
      () => undefined,
      {},
      () => ['upstream'],
    );
    await forgetJob('h');
    const begin = heartbeat.start.bind(heartbeat);
    // The next queue has just been made. Its connections are the pool's, which waits for them at its end.
    await new Promise<void>((resolve, reject) => {
      heartbeat.start = (queueId) => {
        begin(queueId);
        stop().then(resolve, reject);
      };
    });
  });
});

describe('a queue that could not write down that jobs had ended', () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const TASKS = ['i', 'j', 'k', 'l'];
  beforeEach(async () => {
    // The refusals are printed past every logger.
    jest.spyOn(console, 'error').mockImplementation(() => undefined);
    // A sequence counts what was rolled back, too.
    await sql.query('CREATE SEQUENCE refusals');
    await sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN PERFORM nextval('refusals'); RAISE EXCEPTION 'not now'; END $$`);
    await sql.query(`CREATE TRIGGER refuse BEFORE DELETE ON graphile_worker._private_jobs
                     FOR EACH ROW EXECUTE FUNCTION refuse()`);
  });
  const writeAgain = () => sql.query('DROP FUNCTION IF EXISTS refuse CASCADE');
  afterEach(async () => {
    await writeAgain();
    await sql.query('DROP SEQUENCE refusals');
  });
  async function refusals(): Promise<number> {
    const text = 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS count FROM refusals';
    return (await sql.query<{ count: number }>(text)).rows[0]?.count ?? 0;
  }

  /** A queue whose jobs run until `endAll`, which ends one after the other. */
  async function startRunning() {
    const ends: (() => void)[] = [];
    const started = await startWorker(async ({ attempt }) => {
      if (attempt === 1) await new Promise<void>((resolve) => ends.push(resolve));
    });
    for (const taskId of TASKS) await addJob('submit-task', taskId);
    await waitFor('the runs', () => ends.length === TASKS.length);
    const endAll = async (count = ends.length) => {
      // In batches of their own: with as many it waits for ever for the last.
      for (const end of ends.splice(0, count)) {
        const before = await refusals();
        end();
        await waitFor('the refusal', async () => (await refusals()) > before);
      }
    };
    return { ...started, endAll };
  }

  test('is replaced, runs them again, and leaves nothing behind', async () => {
    const timersBefore = timers();
    const { runs, worker, stop, endAll } = await startRunning();
    await endAll();
    await waitFor('the queue to give up', () => !worker.isRunning);
    await writeAgain();
    await waitFor('the jobs to end', async () => (await jobs()).length === 0, { timeoutMs: 50_000 });
    expect(runs.map(({ taskId }) => taskId).sort()).toEqual([...TASKS, ...TASKS].sort());
    await stop();
    await waitFor('the timers to end', () => timers() <= timersBefore);
  }, 60_000);

  test('can be stopped before it is replaced, when the jobs that still run have ended', async () => {
    const { runs, worker, stopQueue, endAll } = await startRunning();
    await endAll(TASKS.length - 1);
    await waitFor('the queue to give up', () => !worker.isRunning);
    const steps: string[] = [];
    const stopped = stopQueue().then(() => steps.push('stopped'));
    // One that did not wait would be stopped long before so many answers.
    for (let answers = 0; answers < 50; answers += 1) await sql.query('SELECT 1');
    steps.push('the last job ends');
    await endAll();
    await stopped;
    expect(steps).toEqual(['the last job ends', 'stopped']);
    expect(runs).toHaveLength(TASKS.length);
  });

  test('can be stopped, and is out of the list of those that are alive', async () => {
    await sql.query('DELETE FROM instances');
    const { stop, endAll } = await startRunning();
    await waitFor('the first beat', async () => (await sql.query('SELECT FROM instances')).rowCount === 1);
    const stopped = stop();
    await endAll();
    await stopped;
    expect((await sql.query('SELECT FROM instances')).rowCount).toBe(0);
  });
});

describe('a job with a flag', () => {
  test('waits while the flag is skipped', async () => {
    let skipped = ['upstream'];
    const { runs } = await startWorker(undefined, {}, () => skipped);
    const flagged = `SELECT graphile_worker.add_job('submit-task', '{"taskId":"e"}', flags := ARRAY['upstream'])`;
    await sql.query(flagged);
    await addJob('store-images', 'f');
    await waitFor('the job without a flag', () => runs.length === 1);
    expect(runs).toMatchObject([{ taskId: 'f' }]);
    skipped = [];
    await waitFor('the job with the flag', () => runs.length === 2);
  });
});

describe('a recurring job', () => {
  test('comes round again, also after a failure, and two instances do not run it twice as often', async () => {
    const fail = () => {
      throw new Error('this time not');
    };
    const [first, second] = [
      await startWorker(fail, { 'reconcile-tasks': 50 }),
      await startWorker(fail, { 'reconcile-tasks': 50 }),
    ];
    await waitFor('five rounds', () => first.runs.length + second.runs.length >= 5);
    const waiting = (await jobs()).filter((job) => job.locked_by === null);
    expect(waiting.length).toBeLessThanOrEqual(1);
  });
});

describe('a worker', () => {
  test('that is stopped lets its running job end, and holds on to no other', async () => {
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
    const left = await jobs();
    expect(left.length + runs.length).toBe(2);
    expect(left.every((job) => job.attempts === 0 && job.locked_by === null)).toBe(true);
  });

  test('takes over the jobs of an instance that was killed', async () => {
    await addJob('submit-task', 'g');
    await sql.query("INSERT INTO instances (id, beat_at) VALUES ('dead', now() - interval '1 minute')");
    await sql.query(
      "UPDATE graphile_worker._private_jobs SET locked_by = 'dead', locked_at = now() - interval '1 minute', attempts = 1",
    );
    const { runs } = await startWorker();
    await waitFor('the job', () => runs.length === 1);
    expect(runs[0]).toMatchObject({ taskId: 'g', attempt: 2 });
  });

  test('leaves the jobs of an instance alone that is alive', async () => {
    await addJob('submit-task', 'h');
    await sql.query("INSERT INTO instances (id, beat_at) VALUES ('alive', now() + interval '1 minute')");
    await sql.query(
      "UPDATE graphile_worker._private_jobs SET locked_by = 'alive', locked_at = now(), attempts = 1",
    );
    await sql.query("INSERT INTO instances (id, beat_at) VALUES ('dead', now() - interval '1 minute')");
    const { runs } = await startWorker();
    await waitFor('the dead one to be noticed', async () => {
      const { rows } = await sql.query("SELECT FROM instances WHERE id = 'dead'");
      return rows.length === 0;
    });
    expect(runs).toEqual([]);
    expect((await jobs())[0]?.locked_by).toBe('alive');
    await sql.query("DELETE FROM instances WHERE id = 'alive'");
  });
});
