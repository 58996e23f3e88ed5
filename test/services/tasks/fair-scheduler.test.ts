import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { UpstreamGate } from '../../../src/upstreams/upstream-gate.js';
import { Generation, type GenerationDependencies } from '../../../src/services/tasks/generation.js';
import { type Results } from '../../../src/services/tasks/results.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type SubmitJob } from '../../../src/core/primitives/jobs.js';
import { type Task } from '../../../src/core/tasks/task.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { waitFor } from '../../support/wait-for.js';
import {
  MAX_SUBMITTING,
  type SchedulerInstance,
  SchedulerFixture,
} from '../../support/tasks/scheduler-fixture.js';

let fixture: SchedulerFixture;
let instance: SchedulerInstance;
beforeAll(async () => {
  fixture = await SchedulerFixture.open();
  instance = fixture.addInstance();
});
beforeEach(() => fixture.reset());
afterAll(() => fixture.close());

const owner = { workspaceId: newId() };
const supersededError = { message: 'The queue has given this job to another run.' };

/** Claims the next task. */
async function claimNextTask(): Promise<Task> {
  const task = await fixture.runNextJob(instance);
  if (!task) throw new Error('There is no task to claim.');
  return task;
}
function rejectedEvent({ attempts: attempt }: Task) {
  const data = { attempt, code: 'too_many_requests', message: 'later' };
  return { type: 'SUBMIT_REJECTED', actor: 'test', data } as const;
}

/** Routes the first claim of this instance through `claim` instead of directly to PostgreSQL. */
function interceptClaim(
  { db }: SchedulerInstance,
  claim: (run: () => Promise<unknown>) => Promise<never>,
): void {
  const query = db.query.bind(db);
  let isFirst = true;
  db.query = async <Parameters extends object, Row extends object>(
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> => {
    if (statement.name !== 'claim-next-tasks' || !isFirst) return query(statement, parameters);
    isFirst = false;
    return claim(() => query(statement, parameters));
  };
}

describe('a run of a submit job', () => {
  test('claims the next task by fair scheduling, not the task that its job was created with', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    const job = await fixture.jobQueue.lockNextJob(1);
    expect(job?.taskId).toBe(second);
    const { task } = await instance.scheduler.claimNext(job ?? (await fixture.takeJob()));
    expect(task).toMatchObject({ id: first, status: 'SUBMITTING', attempts: 1 });
  });

  test('claims another task when the task of its job was canceled, and nothing when no task is left', async () => {
    const [first = '', second] = await fixture.enqueueMany(2, owner);
    await instance.tasks.transitionTo(first, 'CANCELED');
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: second });
    const { task, interruptedTaskId } = await instance.scheduler.claimNext(await fixture.takeJob());
    expect([task, interruptedTaskId]).toEqual([undefined, undefined]);
  });

  test('claims no overdue task', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    await fixture.sql.query(`UPDATE tasks SET deadline_at = now() WHERE id = $1`, [first]);
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: second });
    await expect(fixture.runNextJob(instance)).resolves.toBeNull();
    await expect(fixture.statuses([first ?? ''])).resolves.toEqual(['QUEUED']);
  });

  test('claims a requeued task only when its retry is due, and then at its old position', async () => {
    const [first = '', second, third] = await fixture.enqueueMany(3, owner);
    const task = await claimNextTask();
    expect(task.id).toBe(first);
    await instance.tasks.requeue(task, 60_000, { event: rejectedEvent(task) });
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: second });
    await fixture.jobQueue.makeAllDue();
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: first, attempts: 2 });
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: third });
  });

  test('requeues its task once, and not again while the next attempt is being submitted', async () => {
    const [id = ''] = await fixture.enqueueMany(1, owner);
    const task = await claimNextTask();
    await expect(instance.tasks.requeue(task, 0, { event: rejectedEvent(task) })).resolves.toBe(true);
    await fixture.jobQueue.makeAllDue();
    await expect(claimNextTask()).resolves.toMatchObject({ id, attempts: 2 });
    await expect(instance.tasks.requeue(task, 0, { event: rejectedEvent(task) })).resolves.toBe(false);
    await expect(fixture.statuses([id])).resolves.toEqual(['SUBMITTING']);
    await expect(fixture.jobQueue.lockNextJob(0)).resolves.toBeNull();
  });

  test('reports the task that an earlier run was submitting when it died, and claims no other one', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    const job = await fixture.takeJob();
    await instance.scheduler.claimNext(job);
    await fixture.jobQueue.release(job);
    const nextRun = await fixture.takeJob();
    expect(nextRun).toMatchObject({ id: job.id, runNumber: 2 });
    await expect(fixture.addInstance().scheduler.claimNext(nextRun)).resolves.toEqual({
      interruptedTaskId: first,
    });
    await expect(fixture.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('claims the next task when an earlier run died before it claimed one', async () => {
    const [first] = await fixture.enqueueMany(1, owner);
    await fixture.jobQueue.release(await fixture.takeJob());
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: first });
  });

  test('leaves a SUBMITTING task alone that its job does not hold', async () => {
    const [first = '', second] = await fixture.enqueueMany(2, owner);
    const job = await fixture.takeJob();
    expect(job.taskId).toBe(first);
    await instance.tasks.transitionTo(first, 'SUBMITTING');
    await expect(instance.scheduler.claimNext(job)).resolves.toMatchObject({ task: { id: second } });
    await expect(fixture.statuses([first])).resolves.toEqual(['SUBMITTING']);
  });

  test('leaves a task alone that another job is submitting', async () => {
    const [first] = await fixture.enqueueMany(2, owner);
    const [one, other] = [await fixture.takeJob(), await fixture.takeJob()];
    await instance.scheduler.claimNext(one);
    expect(one.taskId).toBe(first);
    const { task, interruptedTaskId } = await instance.scheduler.claimNext({ ...other, taskId: one.taskId });
    expect(interruptedTaskId).toBeUndefined();
    expect(task?.id).not.toBe(first);
  });

  test('throws and claims nothing when its job was given to another run', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    const firstRun = await fixture.takeJob();
    await fixture.jobQueue.release(firstRun);
    const secondRun = await fixture.takeJob();
    await expect(instance.scheduler.claimNext(firstRun)).rejects.toMatchObject(supersededError);
    await expect(instance.scheduler.claimNext(secondRun)).resolves.toMatchObject({ task: { id: first } });
    await expect(instance.scheduler.claimNext(firstRun)).rejects.toMatchObject(supersededError);
    await expect(fixture.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('in one batch with two runs of one job still claims one task for each other job', async () => {
    const ids = await fixture.enqueueMany(4, owner);
    const firstRun = await fixture.takeJob();
    await fixture.jobQueue.release(firstRun);
    const jobs = [firstRun, await fixture.takeJob(), await fixture.takeJob(), await fixture.takeJob()];
    const results = await instance.tasks.claimNextTasks(
      jobs.map((job) => ({ ...job, submissionId: newId() })),
      MAX_SUBMITTING,
    );
    const outcomes = results.map((result) =>
      result.outcome === 'PICKED' ? result.task?.id : result.outcome,
    );
    expect(outcomes).toEqual(['SUPERSEDED', ...ids.slice(0, 3)]);
  });

  test('claims nothing while as many tasks are being submitted as may be, not counting runs that have ended', async () => {
    const [first, second] = await fixture.enqueueMany(3, owner);
    const [firstJob, secondJob] = [await fixture.takeJob(), await fixture.takeJob()];
    const claim = (job: SubmitJob) => instance.tasks.claimNextTasks([{ ...job, submissionId: newId() }], 1);
    await expect(claim(firstJob)).resolves.toMatchObject([{ outcome: 'PICKED', task: { id: first } }]);
    await expect(claim(secondJob)).resolves.toEqual([{ outcome: 'PAUSED' }]);
    await fixture.jobQueue.release(firstJob);
    await expect(claim(secondJob)).resolves.toMatchObject([{ outcome: 'PICKED', task: { id: second } }]);
  });

  test('claims nothing when its job is no longer in the queue', async () => {
    const [first] = await fixture.enqueueMany(1, owner);
    const job = await fixture.takeJob();
    await fixture.jobQueue.complete(job);
    await expect(instance.scheduler.claimNext(job)).resolves.toEqual({});
    await expect(fixture.statuses([first ?? ''])).resolves.toEqual(['QUEUED']);
  });
});

describe('a submit job that is replaced', () => {
  test('is followed by one that is due later and claims a task as well', async () => {
    const [first] = await fixture.enqueueMany(1, owner);
    const job = await fixture.takeJob();
    await expect(instance.tasks.replaceSubmitJob(job, 60_000)).resolves.toBe(true);
    await fixture.jobQueue.complete(job);
    await expect(fixture.jobQueue.lockNextJob(0)).resolves.toBeNull();
    await fixture.jobQueue.makeAllDue();
    await expect(fixture.runNextJob(instance)).resolves.toMatchObject({ id: first });
  });

  test('is not duplicated while another run has it', async () => {
    await fixture.enqueueMany(1, owner);
    const job = await fixture.takeJob();
    await fixture.jobQueue.release(job);
    await fixture.takeJob();
    await expect(instance.tasks.replaceSubmitJob(job, 0)).resolves.toBe(false);
    await expect(fixture.jobQueue.lockNextJob(0)).resolves.toBeNull();
  });
});

describe('when PostgreSQL goes away before it has answered', () => {
  test('a claim that was committed is found again, and its task is submitted', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    const cutOff = fixture.addInstance();
    interceptClaim(cutOff, async (run) => {
      await run();
      throw new DatabaseUnavailable(new Error('cut'));
    });
    await expect(cutOff.scheduler.claimNext(await fixture.takeJob())).resolves.toMatchObject({
      task: { id: first },
    });
    await expect(fixture.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('a claim that is executed late after all takes no second task', async () => {
    const [first, second] = await fixture.enqueueMany(2, owner);
    const cutOff = fixture.addInstance();
    let lateStatement: (() => Promise<unknown>) | undefined;
    interceptClaim(cutOff, (run) => {
      lateStatement = run;
      return Promise.reject(new DatabaseUnavailable(new Error('cut')));
    });
    await expect(cutOff.scheduler.claimNext(await fixture.takeJob())).resolves.toMatchObject({
      task: { id: first },
    });
    await lateStatement?.();
    await expect(fixture.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('all claims of the same statement are made again', async () => {
    const ids = await fixture.enqueueMany(10, owner);
    const cutOff = fixture.addInstance();
    interceptClaim(cutOff, async (run) => {
      await run();
      throw new DatabaseUnavailable(new Error('cut'));
    });
    const jobs: SubmitJob[] = [];
    while (jobs.length < ids.length) jobs.push(await fixture.takeJob());
    const claims = await Promise.all(jobs.map((job) => cutOff.scheduler.claimNext(job)));
    expect(claims.map(({ task }) => task?.id).sort()).toEqual([...ids].sort());
  });
});

describe('a claim that waits for the lock of another instance', () => {
  test('sees what was queued while it waited', async () => {
    const client = await fixture.sql.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM scheduler_head FOR UPDATE');
      const canceledId = await fixture.enqueue(owner);
      const claim = instance.scheduler.claimNext(await fixture.takeJob());
      await waitFor('the claim to wait', async () => {
        const { rows } = await fixture.sql.query(
          `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
        );
        return rows.length > 0;
      });
      await instance.tasks.transitionTo(canceledId, 'CANCELED');
      const id = await fixture.enqueue({ workspaceId: newId() });
      await client.query('COMMIT');
      await expect(claim).resolves.toMatchObject({ task: { id } });
    } finally {
      client.release();
    }
  });
});

test('a later run of a job meets an upstream that is down at the usual pace, and frees the task of the earlier run', async () => {
  const [first = '', second = ''] = await fixture.enqueueMany(2, owner);
  const job = await fixture.takeJob();
  await instance.scheduler.claimNext(job);
  await fixture.jobQueue.release(job);
  const nextRun = await fixture.takeJob();
  expect(nextRun).toMatchObject({ id: job.id, runNumber: 2 });

  const log = pino({ level: 'silent' });
  const upstreamGate = new UpstreamGate(MAX_SUBMITTING, log);
  for (let failures = 1; failures <= 5; failures += 1)
    await upstreamGate.run(() => Promise.resolve('unreachable'));
  const results = {
    markUnconfirmed: ({ id }: Task) => instance.tasks.transitionTo(id, 'UNCONFIRMED'),
  } as unknown as Results;
  const eventLog = { requestSeal: () => undefined };
  const dependencies = { tasks: instance.tasks, upstreamGate, results, eventLog, log };
  const generation = new Generation(dependencies as unknown as GenerationDependencies);
  const before = await countWaitingJobs();
  // A job that fails is delayed by e^n seconds after its n-th run.
  await generation.submit(nextRun);
  await expect(fixture.statuses([first, second])).resolves.toEqual(['UNCONFIRMED', 'QUEUED']);
  expect(await countWaitingJobs()).toBe(before + 1);
});

/** Submit jobs that are due within the time after which an upstream that is down is probed. */
async function countWaitingJobs(): Promise<number> {
  const { rows } = await fixture.sql.query<{ count: number }>(
    `SELECT count(*)::int FROM graphile_worker.jobs
     WHERE task_identifier = 'submit-task' AND attempts = 0 AND run_at BETWEEN now() AND now() + interval '3 seconds'`,
  );
  return rows[0]?.count ?? NaN;
}
