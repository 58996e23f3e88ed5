import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { UpstreamError } from '../../../src/core/tasks/upstream-error.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { SubmitOutcomes } from '../../../src/services/tasks/submit-outcomes.js';
import { Results } from '../../../src/services/tasks/results.js';
import { Spool } from '../../../src/storage/spool.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { HungFile } from '../../support/storage/hung-file.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const reply = { kind: 'accepted', upstreamTaskId: 'upstream-1', upstreamTraceId: 'trace-1' } as const;
const taskId = newId();

let database: TestDatabase;
let proxy: TcpProxy;
let url: string;
let sql: pg.Client;
let directory: string;
const databases: Database[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
  ({ proxy, url } = await TcpProxy.inFrontOf(database.url));
  directory = await mkdtemp(join(tmpdir(), 'darkroom-spool-'));
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at, status, attempts)
     VALUES ($1, gen_random_uuid(), 'GENERATE', 'a prompt', 'flux-dev', 1, '', now() + interval '1 hour', 'SUBMITTING', 1)`,
    [taskId],
  );
});
afterEach(async () => {
  await Promise.all(databases.splice(0).map((db) => db.close()));
  await proxy.cut();
  await sql.end();
  await database.drop();
  await rm(directory, { recursive: true });
});

/** The outcomes of one process. */
function startProcess({ errors = [] as string[], maxFiles = Infinity } = {}): SubmitOutcomes {
  const log = pino({ level: 'error' }, { write: (line: string) => errors.push(line) });
  const db = new Database({ url, maxConnections: 2, log });
  databases.push(db);
  const tasks = new TaskRepository(db);
  const eventLog = new EventLog(new EventRepository(db), url, log);
  const backPressure = new BackPressure({ log, submissionPace: new SubmissionPaceRepository(db) });
  return new SubmitOutcomes({
    log,
    backPressure,
    results: new Results({ tasks, eventLog, backPressure, log }),
    spool: new Spool(directory, { maxFiles }),
  });
}
const task = { id: taskId, attempts: 1, uncountedAttempts: 0 } as Parameters<
  SubmitOutcomes['applyResponse']
>[0];
const readTask = async () =>
  (await sql.query('SELECT status, upstream_task_id AS "upstreamTaskId" FROM tasks')).rows[0] as object;
const isSpooled = async () => (await readdir(directory)).some((name) => name.endsWith('.json'));

const failure = { message: 'why', retryable: true, upstreamCode: null, upstreamTraceId: null } as const;
/** Nothing was made for these submissions. */
const refusals = {
  'a refusal of the request': new UpstreamError(
    'refused',
    { ...failure, code: 'UPSTREAM_BAD_REQUEST' },
    { retryDelaysMs: [] },
  ),
  'a refusal because of the load': new UpstreamError(
    'refused',
    { ...failure, code: 'UPSTREAM_RATE_LIMITED' },
    { retryDelaysMs: [], backPressure: { kind: 'RATE', retryAfterMs: null } },
  ),
  'a request that was not sent': new UpstreamError(
    'not-sent',
    { ...failure, code: 'UPSTREAM_UNREACHABLE' },
    { retryDelaysMs: [1] },
  ),
};
const statusAfter = (error: UpstreamError) =>
  error.failure.code === 'UPSTREAM_BAD_REQUEST' ? 'FAILED' : 'QUEUED';

describe.each(Object.entries(refusals))('%s', (_name, error) => {
  test('waits on the disk during an outage, and is applied when it ends', async () => {
    await proxy.cut();
    const applied = startProcess().applyFailure(task, error, performance.now());
    await waitFor('the file', isSpooled);
    await proxy.restore();
    await applied;
    expect(await readTask()).toMatchObject({ status: statusAfter(error) });
    expect(await readdir(directory)).toEqual([]);
  });

  test.each([
    ['SUBMITTING', statusAfter(error)],
    // Another instance has found it without an owner.
    ['UNCONFIRMED', statusAfter(error)],
    ['CANCELED', 'CANCELED'],
    ['EXPIRED', 'EXPIRED'],
  ])('is applied by the next process to a task that is %s by then', async (status, expected) => {
    await proxy.cut();
    const lost = startProcess().applyFailure(task, error, performance.now());
    await waitFor('the file', isSpooled);
    await sql.query(
      `UPDATE tasks SET status = $1::task_status, unit_price = 0.1, currency = 'USD', spent = 0,
         uncertain = CASE WHEN $2 THEN 0.1 ELSE 0 END, finished_at = CASE WHEN $2 THEN now() END`,
      [status, status === 'CANCELED' || status === 'EXPIRED'],
    );
    await proxy.restore();
    await startProcess().applySpooled();
    await lost;
    expect(await readTask()).toMatchObject({ status: expected });
    const { rows } = await sql.query('SELECT uncertain::float FROM tasks');
    expect(rows).toEqual([{ uncertain: 0 }]);
    expect(await isSpooled()).toBe(false);
  });
});

describe('a task that waits for the upstream', () => {
  const unreachable = new UpstreamError(
    'not-sent',
    { ...failure, code: 'UPSTREAM_UNREACHABLE' },
    { retryDelaysMs: [30_000] },
  );
  const failWithDeadlineIn = async (seconds: number, error = unreachable) => {
    await sql.query(`UPDATE tasks SET deadline_at = now() + make_interval(secs => $1)`, [seconds]);
    await startProcess().applyFailure(task, error, performance.now());
  };

  test('is sent once more, a second before its deadline, if its wait would end later', async () => {
    await failWithDeadlineIn(20);
    const { rows } = await sql.query(
      `SELECT status, deadline_at - not_before = interval '1 second' AS "isLast",
              (SELECT run_at >= not_before FROM graphile_worker._private_jobs) AS "isJobDue" FROM tasks`,
    );
    expect(rows).toEqual([{ status: 'QUEUED', isLast: true, isJobDue: true }]);
  });

  test('waits as long as intended if its deadline is later', async () => {
    await failWithDeadlineIn(60);
    const { rows } = await sql.query(
      `SELECT status, deadline_at - not_before > interval '15 seconds' AS "isLater" FROM tasks`,
    );
    expect(rows).toEqual([{ status: 'QUEUED', isLater: true }]);
  });

  test('fails if less than a second is left', async () => {
    await failWithDeadlineIn(0.9);
    expect(await readTask()).toMatchObject({ status: 'FAILED' });
  });

  test('stays in the queue until its deadline if less than a second is left and every submission is refused', async () => {
    await failWithDeadlineIn(0.9, refusals['a refusal because of the load']);
    const { rows } = await sql.query('SELECT status, not_before = deadline_at AS "isOver" FROM tasks');
    expect(rows).toEqual([{ status: 'QUEUED', isOver: true }]);
  });
});

describe('a reply that the upstream bills', () => {
  test('is applied at once, without a file, while PostgreSQL responds', async () => {
    await startProcess().applyResponse(task, reply);
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('waits on the disk during an outage, and is applied when it ends', async () => {
    await proxy.cut();
    const applied = startProcess().applyResponse(task, reply);
    await waitFor('the file', isSpooled);
    await proxy.restore();
    await applied;
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('is applied by the next process when this one ends during the outage', async () => {
    await proxy.cut();
    const lost = startProcess().applyResponse(task, reply);
    await waitFor('the file', isSpooled);
    // What a kill leaves behind: the file, and a task that another instance has found without an owner.
    await sql.query(`UPDATE tasks SET status = 'UNCONFIRMED'`);
    await proxy.restore();
    await startProcess().applySpooled();
    expect(await readTask()).toMatchObject({ upstreamTaskId: 'upstream-1' });
    expect(await isSpooled()).toBe(false);
    await lost;
  });

  test('is applied when the outage ends, even if the disk takes no file', async () => {
    await rm(directory, { recursive: true });
    await writeFile(directory, 'a file where the folder should be');
    await proxy.cut();
    const errors: string[] = [];
    const applied = startProcess({ errors }).applyResponse(task, reply);
    await waitFor('the failed write', () => errors.join().includes('could not be written to the spool'));
    await proxy.restore();
    await applied;
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
  });

  test('is applied when the outage ends, even if the disk never answers the write', async () => {
    const hung = HungFile.create(join(directory, `${taskId}-1.json.tmp`));
    try {
      await proxy.cut();
      const applied = startProcess().applyResponse(task, reply);
      await waitFor('the write', async () => (await readdir(directory)).length === 1);
      await proxy.restore();
      await applied;
      expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    } finally {
      hung.release();
    }
    await waitFor('the end of the write', async () => (await readdir(directory)).length === 0);
  });

  test('of an earlier process is applied, also beside a file that the disk never delivers', async () => {
    await new Spool(directory).write(`${taskId}-1`, {
      task: { id: taskId, attempts: 1, uncountedAttempts: 0 },
      result: reply,
    });
    const hung = HungFile.create(join(directory, '0-hung.json'));
    try {
      await startProcess().applySpooled();
      expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    } finally {
      hung.release();
    }
  });

  test('that PostgreSQL rejects is kept, and applied when the cause is gone', async () => {
    await sql.query('ALTER TABLE tasks ADD CONSTRAINT reject CHECK (upstream_task_id IS NULL)');
    const errors: string[] = [];
    const outcomes = startProcess({ errors });
    await expect(outcomes.applyResponse(task, reply)).rejects.toThrow('reject');
    expect(await isSpooled()).toBe(true);
    expect(outcomes.spoolState).toEqual({ waiting: 0, failed: 1 });
    expect(errors.join()).toContain('a file in the spool could not be applied');
    // The job runs again, and finds the task in the middle of its submission.
    await sql.query(`UPDATE tasks SET status = 'UNCONFIRMED'`);
    await sql.query('ALTER TABLE tasks DROP CONSTRAINT reject');
    await waitFor('the file to be applied', async () => !(await isSpooled()));
    expect(await readTask()).toMatchObject({ upstreamTaskId: 'upstream-1' });
    await outcomes.stop();
  });

  /** PostgreSQL rejects the reply, and the disk takes no file. Returns what has to be applied when PostgreSQL accepts it. */
  async function rejectedWithoutFile() {
    await sql.query('ALTER TABLE tasks ADD CONSTRAINT reject CHECK (upstream_task_id IS NULL)');
    const errors: string[] = [];
    const outcomes = startProcess({ errors, maxFiles: 0 });
    await expect(outcomes.applyResponse(task, reply)).rejects.toThrow('reject');
    expect(await isSpooled()).toBe(false);
    expect(outcomes.spoolState).toEqual({ waiting: 0, failed: 1 });
    // The job runs again, and finds the task in the middle of its submission.
    await sql.query(`UPDATE tasks SET status = 'UNCONFIRMED'`);
    return { outcomes, errors };
  }
  const acceptAgain = () => sql.query('ALTER TABLE tasks DROP CONSTRAINT reject');

  test('that PostgreSQL rejects is applied when the cause is gone, even if the disk takes no file', async () => {
    const { outcomes } = await rejectedWithoutFile();
    await acceptAgain();
    await waitFor('the reply to be applied', () => outcomes.spoolState.failed === 0);
    expect(await readTask()).toMatchObject({ upstreamTaskId: 'upstream-1' });
    await outcomes.stop();
  });

  test('that is only in memory is tried once more when the process stops', async () => {
    const { outcomes, errors } = await rejectedWithoutFile();
    // The next one would follow after ten seconds.
    await waitFor('the second failure', () => errors.join().includes('"failures":2'));
    await acceptAgain();
    await outcomes.stop();
    expect(await readTask()).toMatchObject({ upstreamTaskId: 'upstream-1' });
  });

  test('that PostgreSQL rejects is applied when the cause is gone, even if the disk never answers the write', async () => {
    const hung = HungFile.create(join(directory, `${taskId}-1.json.tmp`));
    try {
      await sql.query('ALTER TABLE tasks ADD CONSTRAINT reject CHECK (upstream_task_id IS NULL)');
      const outcomes = startProcess();
      await expect(outcomes.applyResponse(task, reply)).rejects.toThrow('reject');
      await acceptAgain();
      await waitFor('the reply to be applied', () => outcomes.spoolState.failed === 0);
      await outcomes.stop();
      expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    } finally {
      hung.release();
    }
    await waitFor('the end of the write', async () => (await readdir(directory)).length === 0);
  });

  test('that cannot be read from the disk is kept and logged, and the others are applied', async () => {
    await new Spool(directory).write(`${taskId}-1`, {
      task: { id: taskId, attempts: 1, uncountedAttempts: 0 },
      result: reply,
    });
    await writeFile(join(directory, '0-broken.json'), '{"task":');
    const errors: string[] = [];
    await startProcess({ errors }).applySpooled();
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual(['0-broken.json']);
    expect(errors.join()).toContain('0-broken');
  });
});
