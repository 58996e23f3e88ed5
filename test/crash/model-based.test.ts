import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type EventType } from '../../src/core/events/task-event.js';
import { isEnd, TRANSITIONS, type TaskStatus } from '../../src/core/tasks/task.js';
import { type Command, REPLIES, type Reply, type Result, World } from '../support/crash/model-fixture.js';

/** A failing run is shortened for so long at most; then fast-check tells its seed. */
const LIMIT = { interruptAfterTimeLimit: 40_000 };
const TIMEOUT_MS = 240_000;

let world: World;
beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());

const on = fc.nat(5);
const result = fc.constantFrom<Result[]>(0, 1, 2, 3);
const plain = (...names: Extract<Command, { on: number; result?: never; attempt?: never }>['do'][]) =>
  fc.record({ do: fc.constantFrom(...names), on }) as fc.Arbitrary<Command>;
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: plain('run-ticket') },
  {
    weight: 5,
    arbitrary: plain(
      'run-ticket-unreachable',
      'run-ticket-paused',
      'die-with-ticket',
      'die-submitting',
      'run-ticket-twice',
      'let-time-pass',
      'cancel',
      'retry',
      'replay',
      'pass-deadline',
      'expire',
    ),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('call-back' as const, 'call-back-twice' as const, 'reconcile' as const),
      on,
      result,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      on,
      attempt: fc.constantFrom(1 as const, 8 as const),
    }),
  },
);
const replies = fc.array(fc.constantFrom<Reply[]>(...REPLIES), { maxLength: 6 });

/** What some events say, of all that they can say. */
interface EventFacts {
  imageIds?: string[];
  outcome?: string;
  error?: { code: string };
}
interface TaskRow {
  id: string;
  status: TaskStatus;
  delivered: number;
  pending: number;
  retry_of_id: string | null;
  overdue: boolean;
  path: { from: TaskStatus; to: TaskStatus; overdue: boolean }[];
  events: { type: EventType; settles: boolean; data: EventFacts }[];
  images: { id: string; index: number; late: boolean; settled: boolean }[];
  callbacks: { verdict: string; success: boolean }[];
  wants_callback: boolean;
  outgoing: ('RESULT' | 'LATE_RESULT')[];
}

async function readTasks(): Promise<TaskRow[]> {
  const { rows } = await world.sql.query<TaskRow>(
    `SELECT task.id, task.status, task.delivered_count AS delivered, task.pending_images AS pending, task.retry_of_id,
       task.deadline_at <= now() AS overdue,
       (SELECT coalesce(json_agg(change ORDER BY seq), '[]') FROM status_changes change WHERE task_id = task.id) AS path,
       (SELECT json_agg(json_build_object('type', type, 'settles', settles, 'data', data) ORDER BY seq)
        FROM task_events WHERE task_id = task.id) AS events,
       (SELECT coalesce(json_agg(json_build_object('id', id, 'index', index, 'late', late,
                 'settled', stored_at IS NOT NULL OR lost_at IS NOT NULL) ORDER BY index), '[]')
        FROM images WHERE task_id = task.id) AS images,
       (SELECT coalesce(json_agg(json_build_object('verdict', verdict,
                 'success', convert_from(body, 'UTF8')::json->'success') ORDER BY id), '[]')
        FROM callbacks WHERE task_id = task.id) AS callbacks,
       task.callback_url IS NOT NULL AS wants_callback,
       (SELECT coalesce(json_agg(kind ORDER BY seq), '[]') FROM outgoing_callbacks WHERE task_id = task.id) AS outgoing
     FROM tasks task WHERE task.id = ANY($1) ORDER BY task.id`,
    [world.ids],
  );
  return rows;
}

/** Where an event says that its task is; null for events that do not change it. */
const STATUS_OF: Partial<Record<EventType, TaskStatus>> = {
  TASK_SUBMITTED: 'RUNNING',
  SUBMIT_REJECTED: 'QUEUED',
  SUBMIT_UNCONFIRMED: 'UNCONFIRMED',
  TASK_SUCCEEDED: 'SUCCEEDED',
  TASK_FAILED: 'FAILED',
  TASK_CANCELED: 'CANCELED',
  TASK_EXPIRED: 'EXPIRED',
};

/** What holds of a task at any moment when nothing is under way. */
function check(task: TaskRow): void {
  const told = task.events.flatMap(({ type }) => STATUS_OF[type] ?? []);
  const types = task.events.map(({ type }) => type);
  const seen = { told, path: task.path.map(({ from, to }) => `${from} -> ${to}`), types };

  // One end at most, and the status is what was told last.
  expect({ ...seen, ends: told.filter(isEnd).length <= 1 }).toEqual({ ...seen, ends: true });
  expect(types.filter((type) => type === 'TASK_REQUESTED')).toHaveLength(1);
  expect(task.path.filter(({ to }) => to !== 'SUBMITTING').map(({ to }) => to)).toEqual(told);
  expect(task.status).toBe(task.path.at(-1)?.to ?? 'QUEUED');

  // Every step is one that may happen, and nothing overdue is sent.
  let status: TaskStatus = 'QUEUED';
  for (const { from, to, overdue } of task.path) {
    expect(from).toBe(status);
    expect(TRANSITIONS[from]).toContain(to);
    if (to === 'SUBMITTING') expect(overdue).toBe(false);
    status = to;
  }

  // Who is told that it was taken back or is overdue is told where it was then.
  const before = task.path.at(-1)?.from;
  const last = task.events.find(({ type }) => STATUS_OF[type] === task.status)?.data;
  if (task.status === 'CANCELED')
    expect(last?.outcome).toBe(before === 'QUEUED' ? 'NOT_SENT' : 'ALREADY_SENT');
  if (task.status === 'EXPIRED') {
    const mayHaveArrived = before === 'SUBMITTING' || before === 'UNCONFIRMED';
    expect(last?.error?.code).toBe(mayHaveArrived ? 'SUBMIT_UNCONFIRMED' : 'DEADLINE_EXCEEDED');
  }

  // Each picture once; those that came in time belong to a success, and the others to another end.
  const inTime = task.images.filter(({ late }) => !late);
  expect(task.images.map(({ index }) => index)).toEqual(task.images.map((_, index) => index));
  expect(task.delivered).toBe(inTime.length);
  expect(inTime.length > 0).toBe(task.status === 'SUCCEEDED');
  if (task.status === 'SUCCEEDED' || !isEnd(task.status)) expect(task.images).toEqual(inTime);
  expect(task.pending).toBe(inTime.filter(({ settled }) => !settled).length);
  const announced = task.events.flatMap(({ data }) => data.imageIds ?? []);
  expect([...announced].sort()).toEqual(task.images.map(({ id }) => id).sort());
  const fates = types.filter((type) => type === 'IMAGE_STORED' || type === 'IMAGE_LOST').length;
  expect(fates).toBe(task.images.filter(({ settled }) => settled).length);

  // Settled once, when it has ended and no picture is awaited.
  const isSettled = isEnd(task.status) && task.pending === 0;
  expect(task.events.filter(({ settles }) => settles)).toHaveLength(isSettled ? 1 : 0);

  // Its result is to be posted once when it is settled, and late pictures after that, when they are all settled.
  const [first, ...others] = task.outgoing;
  expect(first).toBe(isSettled && task.wants_callback ? 'RESULT' : undefined);
  expect(others.every((kind) => kind === 'LATE_RESULT')).toBe(true);
  const late = task.images.filter(({ late: isLate }) => isLate);
  if (late.length === 0) expect(others).toEqual([]);
  else if (late.every(({ settled }) => settled)) expect(others.length > 0).toBe(task.wants_callback);

  // What was paid for is not paid for again: only what was refused is sent again.
  const arrived = world.arrivals.get(task.id) ?? [];
  expect(arrived.slice(0, -1).filter((kind) => kind !== 'refused')).toEqual([]);

  // A callback is taken once at most, and pictures that came are there.
  const verdicts = task.callbacks.map(({ verdict }) => verdict);
  expect(
    verdicts.filter((verdict) => verdict === 'APPLIED' || verdict === 'EARLY').length,
  ).toBeLessThanOrEqual(1);
  if (task.callbacks.some(({ success }) => success)) expect(task.images).not.toEqual([]);
}

/** What nothing waits for when no ticket is left: every queued task has had a turn, and every one that was sent is told of. */
function checkDry(task: TaskRow): void {
  expect({ id: task.id, status: task.status, overdue: task.overdue }).not.toMatchObject({
    ...{ status: expect.stringMatching(/^(QUEUED|SUBMITTING)$/), overdue: false },
  });
}

/** Lets the run end, and checks it before and after. */
async function checkAll(): Promise<void> {
  for (const task of await readTasks()) check(task);
  await world.runDry();
  for (const task of await readTasks()) {
    check(task);
    checkDry(task);
  }
  await checkMoney();
  await world.finish();
  const tasks = await readTasks();
  expect(tasks).toHaveLength(world.ids.length);
  for (const task of tasks) {
    check(task);
    expect(isEnd(task.status)).toBe(true);
    expect(task.pending).toBe(0);
    const retried = tasks.find(({ id }) => id === task.retry_of_id);
    if (task.retry_of_id) expect(retried).toBeDefined();
  }
  const { rows } = await world.sql.query<{ gaps: string }>(
    'SELECT max(position) - count(*) AS gaps FROM task_events',
  );
  expect(rows).toEqual([{ gaps: '0' }]);
  await checkMoney();
}

async function checkMoney(): Promise<void> {
  expect(await world.ledgerDrift()).toEqual({ drift: 0, first: null });
}

describe('whatever happens to some tasks, they keep their promises', () => {
  test(
    'when several things happen at once, again and again',
    async () => {
      const rounds = fc.array(fc.array(command, { minLength: 1, maxLength: 5 }), {
        minLength: 3,
        maxLength: 9,
      });
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 4 }), replies, rounds, async (count, answers, all) => {
          await world.begin(count, answers);
          for (const round of all) {
            await Promise.all(round.map((each) => world.perform(each)));
            await checkMoney();
          }
          await checkAll();
        }),
        { numRuns: 60, ...LIMIT },
      );
    },
    TIMEOUT_MS,
  );

  test(
    'in whatever order their statements and the replies go',
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
          async (count, answers, all, s) => {
            await world.begin(count, answers);
            const pause = async (what: string) => s.schedule(Promise.resolve(), what);
            await world.paused(pause, () =>
              s.waitFor(
                Promise.all(
                  all.map(async (commands) => {
                    for (const each of commands) await world.perform(each);
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
