import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { UpstreamError } from '../../../src/core/tasks/upstream-error.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type LeaseRepository } from '../../../src/db/instances/lease-repository.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { type AceDataClient } from '../../../src/upstreams/acedata-client.js';
import { type UpstreamResult } from '../../../src/upstreams/acedata-results.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { Expiry } from '../../../src/services/tasks/expiry/expiry.js';
import { Reconciliation } from '../../../src/services/tasks/reconciliation.js';
import { Results } from '../../../src/services/tasks/results.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 2, log });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

test('does not expire a task as unconfirmed when its response arrives in the meantime', async () => {
  const tasks = new TaskRepository(db);
  const id = await insertOverdueTask(tasks);

  // The response arrives after the overdue tasks were read and before this one is expired.
  const withResponse = new TaskRepository(db);
  withResponse.findOverdue = async (filter) => {
    const overdue = await tasks.findOverdue(filter);
    await tasks.transitionTo(id, 'RUNNING');
    return overdue;
  };
  await expireOverdue(createExpiry(withResponse));
  expect(await tasks.find(id)).toMatchObject({ status: 'RUNNING' });

  await expireOverdue(createExpiry(tasks));
  expect(await tasks.find(id)).toMatchObject({ status: 'EXPIRED', failure: { code: 'DEADLINE_EXCEEDED' } });
});

describe('an overdue task that the upstream has accepted', () => {
  const image = {
    upstreamUrl: 'http://127.0.0.1:1/missed.png',
    seed: null,
    inferenceSeconds: null,
    upstreamMetadata: { seed: undefined, timings: undefined },
  };
  const ids = { upstreamTaskId: null, upstreamTraceId: null };
  const answers = (result: UpstreamResult | null): AceDataClient['readTasks'] => {
    return (upstreamIds) =>
      Promise.resolve(new Map(upstreamIds.flatMap((id) => (result ? [[id, result]] : []))));
  };
  const unreadable: AceDataClient['readTasks'] = () => {
    const failure = { code: 'UPSTREAM_FAILED', message: 'why', retryable: true } as const;
    const details = { ...failure, upstreamCode: null, upstreamTraceId: null };
    return Promise.reject(new UpstreamError('refused', details, { retryDelaysMs: [] }));
  };

  test('is read before it expires, so a result that was missed while the service was down completes it', async () => {
    const tasks = new TaskRepository(db);
    const id = await insertOverdueTask(tasks, 'RUNNING');
    await expireOverdue(createExpiry(tasks, answers({ kind: 'succeeded', images: [image], ...ids })));
    expect(await tasks.find(id)).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1, failure: null });
  });

  test.each<[string, UpstreamResult | null, string]>([
    ['the upstream is still working on it', { kind: 'running', ...ids }, 'had not finished'],
    ['the upstream does not know it any more', null, 'did not know the task'],
  ])('expires when %s, and does not advise to pay again', async (_what, result, message) => {
    const tasks = new TaskRepository(db);
    const id = await insertOverdueTask(tasks, 'RUNNING');
    await expireOverdue(createExpiry(tasks, answers(result)));
    const task = await tasks.find(id);
    expect(task).toMatchObject({
      status: 'EXPIRED',
      failure: { code: 'DEADLINE_EXCEEDED', retryable: false },
    });
    expect(task?.failure?.message).toContain(message);
  });

  test('waits for the upstream while it cannot be read, but not forever', async () => {
    const tasks = new TaskRepository(db);
    const id = await insertOverdueTask(tasks, 'RUNNING');
    const expiry = createExpiry(tasks, unreadable);
    for (let time = 1; time <= 3; time += 1) await expireOverdue(expiry);
    expect(await tasks.find(id)).toMatchObject({ status: 'RUNNING' });

    await expireOverdue(createExpiry(tasks, unreadable, { overdueReadLimitMs: 0 }));
    const task = await tasks.find(id);
    expect(task).toMatchObject({ status: 'EXPIRED', failure: { retryable: false } });
    expect(task?.failure?.message).toContain('could not be asked');
  });

  test('does not keep tasks that cannot be read from expiring', async () => {
    const tasks = new TaskRepository(db);
    const accepted = await insertOverdueTask(tasks, 'RUNNING');
    const unconfirmed = await insertOverdueTask(tasks);
    await expireOverdue(createExpiry(tasks, unreadable));
    expect(await tasks.find(unconfirmed)).toMatchObject({
      status: 'EXPIRED',
      failure: { code: 'SUBMIT_UNCONFIRMED', retryable: false },
    });
    expect(await tasks.find(accepted)).toMatchObject({ status: 'RUNNING' });
  });
});

describe('a task that cannot be changed', () => {
  const image = {
    ...{ upstreamUrl: 'http://127.0.0.1:1/one.png', seed: null, inferenceSeconds: null },
    upstreamMetadata: { seed: undefined, timings: undefined },
  };
  const succeeds: AceDataClient['readTasks'] = (upstreamIds) => {
    const ids = { upstreamTaskId: null, upstreamTraceId: null };
    return Promise.resolve(
      new Map(upstreamIds.map((id) => [id, { kind: 'succeeded' as const, images: [image], ...ids }])),
    );
  };
  beforeEach(async () => {
    await db.query(
      statement<object>(
        'no-tasks-before',
        "UPDATE tasks SET deadline_at = now() + interval '1 day', submitted_at = NULL",
      ),
      {},
    );
    await sql(`
      CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'index row too large'; END $$;
      CREATE TRIGGER poison BEFORE UPDATE OF status ON tasks FOR EACH ROW WHEN (NEW.prompt = 'poison') EXECUTE FUNCTION fail()`);
  });
  afterEach(async () => {
    await sql('DROP TRIGGER poison ON tasks');
    await sql("UPDATE tasks SET upstream_task_id = NULL, deadline_at = now() + interval '1 day'");
  });

  test('does not keep others from expiring, however many there are', async () => {
    const tasks = new TaskRepository(db);
    await sql(`
      INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
      SELECT gen_random_uuid(), gen_random_uuid(), 'GENERATE', 'poison', 'flux-dev', 1, '', now() - interval '1 hour'
      FROM generate_series(1, 250)`);
    const id = await insertOverdueTask(tasks);
    const expiry = createExpiry(tasks);
    await expireOverdue(expiry);
    await expireOverdue(expiry);
    expect(await tasks.find(id)).toMatchObject({ status: 'EXPIRED' });
    await sql("UPDATE tasks SET prompt = 'mended' WHERE prompt = 'poison'");
    await waitFor('the poisoned tasks to expire', async () => {
      await expireOverdue(expiry);
      return (await tasks.findOverdue({ hasUpstreamId: false, limit: 1, excludedIds: [] })).length === 0;
    });
  });

  test('does not keep overdue tasks that were read from ending', async () => {
    const tasks = new TaskRepository(db);
    const poisoned = await insertOverdueTask(tasks, 'RUNNING');
    await sql(
      `UPDATE tasks SET prompt = 'poison', deadline_at = now() - interval '1 hour' WHERE id = '${poisoned}'`,
    );
    const id = await insertOverdueTask(tasks, 'RUNNING');
    await expireOverdue(createExpiry(tasks, succeeds));
    expect(await tasks.find(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await tasks.find(poisoned)).toMatchObject({ status: 'RUNNING' });
  });

  test('does not keep the results of others from being applied', async () => {
    const tasks = new TaskRepository(db);
    const ids = [];
    for (let n = 0; n < 3; n += 1) ids.push(await insertOverdueTask(tasks, 'RUNNING'));
    await sql(`UPDATE tasks SET submitted_at = now() - interval '1 hour', deadline_at = now() + interval '1 hour'
               WHERE id IN ('${ids.join("','")}')`);
    await sql(`UPDATE tasks SET prompt = 'poison' WHERE id = '${ids[0]}'`);
    await createReconciliation(tasks, succeeds).reconcile();
    const statuses = [];
    for (const id of ids) statuses.push((await tasks.find(id))?.status);
    expect(statuses).toEqual(['RUNNING', 'SUCCEEDED', 'SUCCEEDED']);
  });

  test('whose row another session has locked does not keep others from expiring', async () => {
    const tasks = new TaskRepository(db);
    const locked = await insertOverdueTask(tasks);
    await sql(`UPDATE tasks SET deadline_at = now() - interval '1 hour' WHERE id = '${locked}'`);
    const id = await insertOverdueTask(tasks);
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    try {
      await locker.query(`BEGIN; SELECT FROM tasks WHERE id = '${locked}' FOR UPDATE`);
      await expireOverdue(createExpiry(tasks));
      expect(await tasks.find(id)).toMatchObject({ status: 'EXPIRED' });
    } finally {
      await locker.end();
    }
  }, 60_000);
});

describe('overdue tasks that the upstream cannot answer for', () => {
  const TASK_COUNT = 20;
  const failure = { code: 'UPSTREAM_FAILED', message: 'why', retryable: true } as const;
  const details = { ...failure, upstreamCode: null, upstreamTraceId: null };
  let tasks: TaskRepository;
  let ids: string[];
  let readSizes: number[];
  beforeEach(async () => {
    await sql(`UPDATE tasks SET deadline_at = now() + interval '1 day'`);
    tasks = new TaskRepository(db);
    ids = [];
    readSizes = [];
    for (let n = 0; n < TASK_COUNT; n += 1) ids.push(await insertOverdueTask(tasks, 'RUNNING'));
  });
  afterEach(async () => {
    await sql('UPDATE tasks SET upstream_task_id = NULL');
  });

  /** Fails for every batch with one of these tasks. The others are still running. */
  function answersExceptFor(unreadableIds: readonly string[]): AceDataClient['readTasks'] {
    return (upstreamIds) => {
      readSizes.push(upstreamIds.length);
      if (unreadableIds.some((id) => upstreamIds.includes(`upstream-${id}`)))
        return Promise.reject(new UpstreamError('unknown', details, { retryDelaysMs: [] }));
      const result = { kind: 'running', upstreamTaskId: null, upstreamTraceId: null } as const;
      return Promise.resolve(new Map(upstreamIds.map((id) => [id, result])));
    };
  }
  /** What the tasks that have expired say about their reason, by index. */
  async function findReasons(): Promise<('read' | 'unreadable' | null)[]> {
    const found = await Promise.all(ids.map((id) => tasks.find(id)));
    return found.map((task) => {
      if (task?.status !== 'EXPIRED') return null;
      return task.failure?.message.includes('could not be asked') ? 'unreadable' : 'read';
    });
  }
  const reasons = (unreadable: readonly number[], reason: 'unreadable' | null = 'unreadable') =>
    ids.map((_, n) => (unreadable.includes(n) ? reason : 'read'));

  test('do not keep the others from being read', async () => {
    const expiry = createExpiry(tasks, answersExceptFor(ids.slice(0, 1)));
    for (let run = 0; run < 12; run += 1) await expiry.settleAccepted();
    expect(await findReasons()).toEqual(reasons([0], null));
    // Reading it alone does not keep running tasks from being polled.
    extendedLeases.length = 0;
    await expiry.settleAccepted();
    expect(extendedLeases).toEqual(['overdue-reading']);
  });

  test('do not let others expire unread that failed together with them, however many they are', async () => {
    const unreadable = [0, 3, 4, 11, 19];
    const unreadableIds = unreadable.map((n) => ids[n] ?? '');
    const expiry = createExpiry(tasks, answersExceptFor(unreadableIds), { overdueReadLimitMs: 0 });
    for (let run = 0; run < 40; run += 1) await expiry.settleAccepted();
    expect(await findReasons()).toEqual(reasons(unreadable));
  });

  test('are read alone once they are known, and expire although there are always others to read', async () => {
    const expiry = createExpiry(tasks, answersExceptFor(ids.slice(0, 2)), { overdueReadLimitMs: 300 });
    const others = [];
    const first = performance.now();
    while ((await findReasons()).slice(0, 2).some((reason) => reason === null)) {
      others.push(await insertOverdueTask(tasks, 'RUNNING'));
      await expiry.settleAccepted();
      expect(performance.now() - first).toBeLessThan(30_000);
    }
    expect(await findReasons()).toEqual(reasons([0, 1]));
    for (const id of others.slice(0, -2))
      expect((await tasks.find(id))?.failure?.message).toContain('had not finished');
  }, 60_000);

  test('expire together while the upstream answers for no task at all', async () => {
    const expiry = createExpiry(tasks, answersExceptFor(ids), { overdueReadLimitMs: 0 });
    for (let run = 0; run < 5; run += 1) await expiry.settleAccepted();
    expect((await findReasons()).every((reason) => reason === null)).toBe(true);
    for (let run = 0; run < 11; run += 1) await expiry.settleAccepted();
    expect(await findReasons()).toEqual(ids.map(() => 'unreadable'));
    expect(readSizes.slice(0, 7)).toEqual([20, 10, 5, 3, 2, 1, 1]);
  });

  test('expire together while the upstream cannot be reached', async () => {
    const expiry = createExpiry(
      tasks,
      () => Promise.reject(new UpstreamError('not-sent', details, { retryDelaysMs: [] })),
      { overdueReadLimitMs: 0 },
    );
    await expiry.settleAccepted();
    expect(await findReasons()).toEqual(ids.map(() => 'unreadable'));
  });
});

test('polls an expired task for late images, at growing intervals', async () => {
  const tasks = new TaskRepository(db);
  const ages = { tooRecent: '5 seconds', due: '20 seconds', tooOld: '61 minutes' };
  const ids = { tooRecent: '', due: '', tooOld: '' };
  for (const [name, time] of Object.entries(ages) as [keyof typeof ages, string][]) {
    ids[name] = await insertExpiredTask(time);
  }
  const polledIds: string[][] = [];
  const poller = createReconciliation(tasks, (upstreamIds) => {
    polledIds.push([...upstreamIds]);
    const image = {
      upstreamUrl: 'http://127.0.0.1:1/late.png',
      seed: null,
      inferenceSeconds: null,
      upstreamMetadata: { seed: undefined, timings: undefined },
    };
    const result: UpstreamResult =
      polledIds.length === 1
        ? { kind: 'running', upstreamTaskId: null, upstreamTraceId: null }
        : { kind: 'succeeded', images: [image], upstreamTaskId: null, upstreamTraceId: null };
    return Promise.resolve(new Map(upstreamIds.map((id) => [id, result])));
  });
  await poller.reconcile();
  expect(polledIds).toEqual([[ids.due]]);
  await poller.reconcile();
  expect(polledIds).toHaveLength(1);

  const makeDue = statement<{ id: string }>(
    'checked-long-ago',
    `UPDATE tasks SET checked_at = now() - interval '16 seconds' WHERE id = :id`,
  );
  await db.query(makeDue, { id: ids.due });
  await poller.reconcile();
  expect(polledIds).toEqual([[ids.due], [ids.due]]);
  expect(await tasks.find(ids.due)).toMatchObject({ status: 'EXPIRED' });
  const lateImages = statement<{ id: string }>('late-images', 'SELECT late FROM images WHERE task_id = :id');
  expect(await db.query(lateImages, { id: ids.due })).toEqual([{ late: true }]);

  await db.query(makeDue, { id: ids.due });
  await poller.reconcile();
  expect(polledIds).toHaveLength(2);
});

test('reads an unconfirmed task again after a read that failed', async () => {
  await sql("UPDATE tasks SET deadline_at = now() + interval '1 day', upstream_task_id = NULL");
  const tasks = new TaskRepository(db);
  const id = await insertOverdueTask(tasks);
  await tasks.transitionTo(id, 'UNCONFIRMED', { upstreamTaskId: id });
  await db.pool.query(
    "UPDATE tasks SET checked_at = now() - interval '11 seconds', created_at = created_at - interval '11 seconds'",
  );
  const reads: string[][] = [];
  const failure = { code: 'UPSTREAM_UNREACHABLE', message: 'why', retryable: true } as const;
  const details = { ...failure, upstreamCode: null, upstreamTraceId: null };
  const failing = createReconciliation(tasks, (upstreamIds) => {
    reads.push([...upstreamIds]);
    return Promise.reject(new UpstreamError('not-sent', details, { retryDelaysMs: [] }));
  });
  for (let time = 1; time <= 3; time += 1) await expect(failing.reconcile()).rejects.toThrow('why');
  expect(reads).toEqual([[id], [id], [id]]);
});

test('reads a task whose upstream ID became known long after its end, for an hour', async () => {
  await sql('UPDATE tasks SET upstream_task_id = NULL');
  const tasks = new TaskRepository(db);
  const id = await insertExpiredTask('3 hours');
  await sql('UPDATE tasks SET upstream_task_id = NULL');
  await tasks.setUpstreamTaskId(id, { upstreamTaskId: id, upstreamTraceId: null, isAccepted: true });
  const reads: string[][] = [];
  const poller = createReconciliation(tasks, (upstreamIds) => {
    reads.push([...upstreamIds]);
    return Promise.resolve(new Map());
  });
  await poller.reconcile();
  expect(reads).toEqual([]);
  await sql("UPDATE tasks SET submitted_at = now() - interval '16 seconds' WHERE submitted_at IS NOT NULL");
  await poller.reconcile();
  expect(reads).toEqual([[id]]);
  await sql(
    "UPDATE tasks SET submitted_at = now() - interval '61 minutes', checked_at = NULL WHERE submitted_at IS NOT NULL",
  );
  await poller.reconcile();
  expect(reads).toEqual([[id]]);
});

describe.each(['SUCCEEDED', 'CANCELED'])('a task that is %s with fewer images than requested', (status) => {
  test('is read again a few times, until the upstream reports the rest', async () => {
    await db.query(statement<object>('no-other-tasks', 'UPDATE tasks SET upstream_task_id = NULL'), {});
    const tasks = new TaskRepository(db);
    const id = await insertExpiredTask('1 second');
    const image = (n: number) => ({
      ...{ upstreamUrl: `http://127.0.0.1:1/${n}.png`, seed: null, inferenceSeconds: null },
      upstreamMetadata: { seed: undefined, timings: undefined },
    });
    const ids = { upstreamTaskId: null, upstreamTraceId: null };
    let reportedCount = 2;
    const readAt: number[] = [];
    let second = 1;
    const poller = createReconciliation(tasks, (upstreamIds) => {
      readAt.push(second);
      const images = Array.from({ length: reportedCount }, (_, n) => image(n));
      return Promise.resolve(
        new Map(
          upstreamIds.map((upstreamId) => [upstreamId, { kind: 'succeeded' as const, images, ...ids }]),
        ),
      );
    });
    const makeIncomplete = statement<{ id: string; status: string }>(
      'incomplete',
      `UPDATE tasks SET requested_count = 4, delivered_count = CASE WHEN :status = 'SUCCEEDED' THEN 2 ELSE 0 END,
         late_image_count = CASE WHEN :status = 'SUCCEEDED' THEN 0 ELSE 2 END, status = :status::task_status WHERE id = :id`,
    );
    await db.query(makeIncomplete, { id, status });
    const insertImages = statement<{ id: string }>(
      'images',
      `INSERT INTO images (id, workspace_id, task_id, index, upstream_url)
       SELECT gen_random_uuid(), :id::uuid, :id::uuid, n, 'http://127.0.0.1:1/' || n || '.png?signature=old' FROM generate_series(0, 1) n`,
    );
    await db.query(insertImages, { id });
    // Times move back instead of the clock forward. The last read is as long after the end of the task as it was.
    const moveTo = statement<{ id: string; second: number; checkedAt: number | null }>(
      'move-back',
      `UPDATE tasks SET finished_at = now() - make_interval(secs => :second::int),
         checked_at = now() - make_interval(secs => :second::int - :checkedAt::int) WHERE id = :id`,
    );
    for (second = 1; second < 3_700; second += second < 100 ? 1 : 20) {
      await db.query(moveTo, { id, second, checkedAt: readAt.at(-1) ?? null });
      await poller.reconcile();
    }
    expect(readAt).toHaveLength(4);
    expect(readAt[0]).toBeLessThanOrEqual(16);
    expect(await tasks.find(id)).toMatchObject({ status });

    reportedCount = 4;
    second = 1_900;
    await db.query(moveTo, { id, second, checkedAt: null });
    await poller.reconcile();
    const late = statement<{ id: string }, { count: number }>(
      'late-count',
      'SELECT (delivered_count + late_image_count)::int AS count FROM tasks WHERE id = :id',
    );
    await expect(db.query(late, { id })).resolves.toEqual([{ count: 4 }]);
    await db.query(moveTo, { id, second, checkedAt: null });
    await poller.reconcile();
    expect(readAt).toHaveLength(5);
  });
});

async function sql(text: string): Promise<void> {
  await db.pool.query(text);
}

/** Inserts a task that expired `ago`. Its upstream ID equals its ID. */
async function insertExpiredTask(ago: string): Promise<string> {
  const id = newId();
  const insert = statement<{ id: string; ago: string; upstreamTaskId: string }>(
    'expired-task',
    `
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                       finished_at, upstream_task_id)
    VALUES (:id, :id, 'GENERATE', 'EXPIRED', 'a cat', 'flux-dev', 1, '', now() - :ago::interval,
            now() - :ago::interval, :upstreamTaskId)`,
  );
  await db.query(insert, { id, ago, upstreamTaskId: id });
  return id;
}

/** Inserts a task whose deadline has passed. A running one has an upstream ID. */
async function insertOverdueTask(
  tasks: TaskRepository,
  status: 'SUBMITTING' | 'RUNNING' = 'SUBMITTING',
): Promise<string> {
  const id = newId();
  const insert = statement<{ id: string; status: string }>(
    'overdue-task',
    `
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                       upstream_task_id)
    VALUES (:id, :id, 'GENERATE', :status::task_status, 'a cat', 'flux-dev', 1, '', now() - interval '1 second',
            CASE WHEN :status = 'RUNNING' THEN 'upstream-' || (:id::uuid)::text END)`,
  );
  await db.query(insert, { id, status });
  expect(await tasks.find(id)).toMatchObject({ status });
  return id;
}

/** The leases that pause after failed reads, since a test has emptied the list. */
const extendedLeases: string[] = [];

/** Without `readTasks`, the upstream must not be polled. */
function dependencies(tasks: TaskRepository, readTasks?: AceDataClient['readTasks']) {
  const eventLog = { requestSeal: () => undefined } as EventLog;
  const leases = {
    acquire: () => Promise.resolve(true),
    extend: (name: string) => Promise.resolve(void extendedLeases.push(name)),
  } as unknown as LeaseRepository;
  const upstream = { readTasks } as AceDataClient;
  const submissionPace = new SubmissionPaceRepository(db);
  const backPressure = new BackPressure({ submissionPace, log });
  const results = new Results({ tasks, eventLog, backPressure, log });
  const readIntervalMs = 1_000;
  return { tasks, submissionPace, backPressure, leases, results, eventLog, upstream, log, readIntervalMs };
}

function createReconciliation(tasks: TaskRepository, readTasks?: AceDataClient['readTasks']): Reconciliation {
  return new Reconciliation({ ...dependencies(tasks, readTasks), readAfterMs: 10_000 });
}

function createExpiry(
  tasks: TaskRepository,
  readTasks?: AceDataClient['readTasks'],
  options: { overdueReadLimitMs?: number } = {},
): Expiry {
  return new Expiry({ ...dependencies(tasks, readTasks), ...options });
}

async function expireOverdue(expiry: Expiry): Promise<void> {
  await expiry.expireUnread();
  await expiry.settleAccepted();
}
