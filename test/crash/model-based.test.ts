import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type EventType } from '../../src/core/events/task-event.js';
import { isFinal, TRANSITIONS, type TaskStatus } from '../../src/core/tasks/task.js';
import {
  type Command,
  UPSTREAM_REPLIES,
  type UpstreamReply,
  type ImageCount,
  SystemUnderTest,
} from '../support/crash/system-under-test.js';

/** Longest time that fast-check shrinks a failing run before it reports the seed. */
const LIMIT = { interruptAfterTimeLimit: 40_000 };
const TIMEOUT_MS = 240_000;

let system: SystemUnderTest;
beforeAll(async () => {
  system = await SystemUnderTest.open();
});
afterAll(() => system.close());

const index = fc.nat(5);
const imageCount = fc.constantFrom<ImageCount[]>(0, 1, 2, 3);
const plain = (
  ...types: Extract<Command, { index: number; imageCount?: never; attempt?: never }>['type'][]
) => fc.record({ type: fc.constantFrom(...types), index }) as fc.Arbitrary<Command>;
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: plain('run-job') },
  {
    weight: 5,
    arbitrary: plain(
      'run-job-unreachable',
      'run-job-paused',
      'crash-with-job',
      'crash-while-submitting',
      'run-job-twice',
      'make-jobs-due',
      'cancel',
      'retry',
      'replay-callback',
      'pass-deadline',
      'expire',
    ),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constantFrom('post-callback' as const, 'post-callback-twice' as const, 'reconcile' as const),
      index,
      imageCount,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('ingest-images' as const),
      index,
      attempt: fc.constantFrom(1 as const, 8 as const),
    }),
  },
);
const replies = fc.array(fc.constantFrom<UpstreamReply[]>(...UPSTREAM_REPLIES), { maxLength: 6 });

/** The event data that this test reads. */
interface EventData {
  imageIds?: string[];
  outcome?: string;
  error?: { code: string; retryable: boolean };
}
interface TaskRow {
  id: string;
  status: TaskStatus;
  requested: number;
  delivered: number;
  pending: number;
  retry_of_id: string | null;
  overdue: boolean;
  path: { from: TaskStatus; to: TaskStatus; overdue: boolean }[];
  events: { type: EventType; settlesTask: boolean; data: EventData }[];
  images: { id: string; index: number; late: boolean; settled: boolean }[];
  callbacks: { verdict: string; images: number }[];
  wants_callback: boolean;
  outgoing: ('RESULT' | 'LATE_RESULT')[];
}

async function readTasks(): Promise<TaskRow[]> {
  const { rows } = await system.sql.query<TaskRow>(
    `SELECT task.id, task.status, task.requested_count AS requested, task.delivered_count AS delivered, task.pending_images AS pending, task.retry_of_id,
       task.deadline_at <= now() AS overdue,
       (SELECT coalesce(json_agg(change ORDER BY seq), '[]') FROM status_changes change WHERE task_id = task.id) AS path,
       (SELECT json_agg(json_build_object('type', type, 'settlesTask', settles_task, 'data', data) ORDER BY seq)
        FROM task_events WHERE task_id = task.id) AS events,
       (SELECT coalesce(json_agg(json_build_object('id', id, 'index', index, 'late', late,
                 'settled', stored_at IS NOT NULL OR lost_at IS NOT NULL) ORDER BY index), '[]')
        FROM images WHERE task_id = task.id) AS images,
       (SELECT coalesce(json_agg(json_build_object('verdict', verdict,
                 'images', coalesce(json_array_length(convert_from(body, 'UTF8')::json->'data'), 0)) ORDER BY id), '[]')
        FROM callbacks WHERE task_id = task.id) AS callbacks,
       task.webhook_url IS NOT NULL AS wants_callback,
       (SELECT coalesce(json_agg(kind ORDER BY seq), '[]') FROM webhook_deliveries WHERE task_id = task.id) AS outgoing
     FROM tasks task WHERE task.id = ANY($1) ORDER BY task.id`,
    [system.taskIds],
  );
  return rows;
}

/** The status that an event puts its task in. Events that do not change the status are absent. */
const STATUS_AFTER: Partial<Record<EventType, TaskStatus>> = {
  TASK_SUBMITTED: 'RUNNING',
  SUBMIT_REJECTED: 'QUEUED',
  SUBMIT_UNCONFIRMED: 'UNCONFIRMED',
  TASK_SUCCEEDED: 'SUCCEEDED',
  TASK_FAILED: 'FAILED',
  TASK_CANCELED: 'CANCELED',
  TASK_EXPIRED: 'EXPIRED',
};

/** Checks what must hold for a task whenever no action is in progress. */
function checkTask(task: TaskRow): void {
  const statuses = task.events.flatMap(({ type }) => STATUS_AFTER[type] ?? []);
  const types = task.events.map(({ type }) => type);
  const context = { statuses, path: task.path.map(({ from, to }) => `${from} -> ${to}`), types };

  // A task ends at most once, and its status is the one that the last event reported.
  expect({ ...context, endsAtMostOnce: statuses.filter(isFinal).length <= 1 }).toEqual({
    ...context,
    endsAtMostOnce: true,
  });
  expect(types.filter((type) => type === 'TASK_REQUESTED')).toHaveLength(1);
  expect(task.path.filter(({ to }) => to !== 'SUBMITTING').map(({ to }) => to)).toEqual(statuses);
  expect(task.status).toBe(task.path.at(-1)?.to ?? 'QUEUED');

  // Every transition is allowed, and no overdue task is submitted.
  let status: TaskStatus = 'QUEUED';
  for (const { from, to, overdue } of task.path) {
    expect(from).toBe(status);
    expect(TRANSITIONS[from]).toContain(to);
    if (to === 'SUBMITTING') expect(overdue).toBe(false);
    status = to;
  }

  // The event of a cancellation or an expiry says whether the upstream may have received the request.
  const before = task.path.at(-1)?.from;
  const last = task.events.find(({ type }) => STATUS_AFTER[type] === task.status)?.data;
  if (task.status === 'CANCELED')
    expect(last?.outcome).toBe(before === 'QUEUED' ? 'NOT_SENT' : 'ALREADY_SENT');
  if (task.status === 'EXPIRED') {
    const mayHaveArrived = before === 'SUBMITTING' || before === 'UNCONFIRMED';
    expect(last?.error?.code).toBe(mayHaveArrived ? 'SUBMIT_UNCONFIRMED' : 'DEADLINE_EXCEEDED');
    // Whoever follows the advice must not pay twice.
    expect(last?.error?.retryable).toBe(before === 'QUEUED');
  }

  // There is one image per index. A task that succeeded has images in time, and only a task that has ended has late images.
  const inTime = task.images.filter(({ late }) => !late);
  expect(task.images.map(({ index }) => index)).toEqual(task.images.map((_, index) => index));
  expect(task.delivered).toBe(inTime.length);
  expect(inTime.length > 0).toBe(task.status === 'SUCCEEDED');
  if (!isFinal(task.status)) expect(task.images).toEqual([]);
  expect(task.pending).toBe(inTime.filter(({ settled }) => !settled).length);
  const announced = task.events.flatMap(({ data }) => data.imageIds ?? []);
  expect([...announced].sort()).toEqual(task.images.map(({ id }) => id).sort());
  const settledImages = types.filter((type) => type === 'IMAGE_STORED' || type === 'IMAGE_LOST').length;
  expect(settledImages).toBe(task.images.filter(({ settled }) => settled).length);

  // A task is settled once, when it has ended and no image is pending.
  const isSettled = isFinal(task.status) && task.pending === 0;
  expect(task.events.filter(({ settlesTask }) => settlesTask)).toHaveLength(isSettled ? 1 : 0);

  // The result is due for delivery once, when the task is settled. Late images are due after that, when all are settled.
  const [first, ...others] = task.outgoing;
  expect(first).toBe(isSettled && task.wants_callback ? 'RESULT' : undefined);
  expect(others.every((kind) => kind === 'LATE_RESULT')).toBe(true);
  const late = task.images.filter(({ late: isLate }) => isLate);
  if (late.length === 0) expect(others).toEqual([]);
  else if (isSettled && late.every(({ settled }) => settled))
    expect(others.length > 0).toBe(task.wants_callback);

  // No generation is paid for twice: only a submission that the upstream refused is sent again.
  const upstreamReplies = system.repliesByTask.get(task.id) ?? [];
  expect(upstreamReplies.slice(0, -1).filter((upstreamReply) => upstreamReply !== 'refused')).toEqual([]);

  // At most one callback is applied, and no image that a callback brought is missing.
  const verdicts = task.callbacks.map(({ verdict }) => verdict);
  expect(
    verdicts.filter((verdict) => verdict === 'APPLIED' || verdict === 'EARLY').length,
  ).toBeLessThanOrEqual(1);
  const reportedCount = Math.max(0, ...task.callbacks.map(({ images }) => images));
  expect(task.images.length).toBeGreaterThanOrEqual(Math.min(task.requested, reportedCount));
}

/** Checks that no job was lost: when none is left, only overdue tasks can still be queued or in submission. */
function checkNoTaskIsStuck(task: TaskRow): void {
  expect({ id: task.id, status: task.status, overdue: task.overdue }).not.toMatchObject({
    ...{ status: expect.stringMatching(/^(QUEUED|SUBMITTING)$/), overdue: false },
  });
}

/** Checks the tasks, ends the run, and checks the tasks again. */
async function checkAll(): Promise<void> {
  for (const task of await readTasks()) checkTask(task);
  await system.runAllJobs();
  for (const task of await readTasks()) {
    checkTask(task);
    checkNoTaskIsStuck(task);
  }
  await checkLedger();
  await system.finish();
  const tasks = await readTasks();
  expect(tasks).toHaveLength(system.taskIds.length);
  for (const task of tasks) {
    checkTask(task);
    expect(isFinal(task.status)).toBe(true);
    expect(task.pending).toBe(0);
    const retriedTask = tasks.find(({ id }) => id === task.retry_of_id);
    if (task.retry_of_id) expect(retriedTask).toBeDefined();
  }
  const { rows } = await system.sql.query<{ gaps: string }>(
    'SELECT max(position) - count(*) AS gaps FROM task_events',
  );
  expect(rows).toEqual([{ gaps: '0' }]);
  await checkLedger();
}

async function checkLedger(): Promise<void> {
  expect(await system.ledgerDrift()).toMatchObject({ count: 0, examples: null });
}

describe('every task keeps its promises', () => {
  test(
    'when several actions run at the same time, round after round',
    async () => {
      const rounds = fc.array(fc.array(command, { minLength: 1, maxLength: 5 }), {
        minLength: 3,
        maxLength: 9,
      });
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 4 }),
          replies,
          rounds,
          async (taskCount, upstreamReplies, commandRounds) => {
            await system.startRun(taskCount, upstreamReplies);
            for (const commands of commandRounds) {
              await Promise.all(commands.map((action) => system.perform(action)));
              await checkLedger();
            }
            await checkAll();
          },
        ),
        { numRuns: 60, ...LIMIT },
      );
    },
    TIMEOUT_MS,
  );

  test(
    'in any order of SQL statements and upstream replies',
    async () => {
      const actors = fc.array(fc.array(command, { minLength: 3, maxLength: 7 }), {
        minLength: 2,
        maxLength: 4,
      });
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 3 }),
          replies,
          actors,
          fc.scheduler(),
          async (taskCount, upstreamReplies, commandsByActor, scheduler) => {
            await system.startRun(taskCount, upstreamReplies);
            const pause = async (label: string) => scheduler.schedule(Promise.resolve(), label);
            await system.withPauseHook(pause, () =>
              scheduler.waitFor(
                Promise.all(
                  commandsByActor.map(async (commands) => {
                    for (const action of commands) await system.perform(action);
                  }),
                ),
              ),
            );
            await checkAll();
          },
        ),
        { numRuns: 120, ...LIMIT },
      );
    },
    TIMEOUT_MS,
  );
});
