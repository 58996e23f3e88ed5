import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Task, TASK_PRIORITIES } from '../../../src/core/tasks/task.js';
import { findQueuePositions } from '../../../src/db/tasks/queue-positions.js';
import { type Asker, type Instance, WaitingLine } from '../../support/tasks/scheduler-fixture.js';

/** A failing run is shortened for so long at most. */
const LIMIT = { interruptAfterTimeLimit: 20_000 };
/** As many slots as an instance has. */
const SLOTS = 24;

let line: WaitingLine;
let instance: Instance;
beforeAll(async () => {
  line = await WaitingLine.open();
  instance = line.instance();
});
beforeEach(() => line.clear());
afterAll(() => line.close());

/** The tasks in the order in which they are sent, one after the other, at most `count` of them. */
async function sent(count = Infinity): Promise<Task[]> {
  const tasks: Task[] = [];
  while (tasks.length < count) {
    const task = await line.runTicket(instance);
    if (!task) break;
    tasks.push(task);
  }
  return tasks;
}
/** The same with every slot of these instances busy. */
async function sentAtOnce(instances: readonly Instance[]): Promise<Task[]> {
  const before = line.sent.length;
  const slot = async (of: Instance) => {
    while (await line.runTicket(of));
  };
  await Promise.all(instances.flatMap((of) => Array.from({ length: SLOTS }, () => slot(of))));
  return line.sent.slice(before);
}
function countOf<Key>(tasks: readonly Task[], keyOf: (task: Task) => Key): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const task of tasks) counts.set(keyOf(task), (counts.get(keyOf(task)) ?? 0) + 1);
  return counts;
}
/** Of those that were sent while everybody had something waiting, everybody had the same share, give or take a tenth. */
function expectEqualShares(tasks: readonly Task[], keyOf: (task: Task) => unknown, least: number): void {
  const all = countOf(tasks, keyOf);
  const fair = tasks.slice(0, all.size * least);
  const shares = [...countOf(fair, keyOf).values()];
  expect(shares).toHaveLength(all.size);
  for (const share of shares) expect(Math.abs(share - least)).toBeLessThanOrEqual(least / 10);
}

describe('workspaces', () => {
  test.each([1, 2])(
    'of very different appetite get equal shares from %i instances',
    async (count) => {
      const askers = [newId(), newId(), newId()].map((workspaceId) => ({ workspaceId }));
      for (const [index, asker] of askers.entries()) await line.queueMany([300, 60, 30][index] ?? 0, asker);
      const tasks = await sentAtOnce([instance, ...(count === 2 ? [line.instance()] : [])]);
      expect(new Set(tasks.map(({ id }) => id)).size).toBe(390);
      expectEqualShares(tasks, (task) => task.workspaceId, 30);
    },
    60_000,
  );

  test('that ask for one while another asks for a hundred are next', async () => {
    const [a, b] = [newId(), newId()];
    await line.queueMany(100, { workspaceId: a });
    await sent(10);
    const id = await line.queue({ workspaceId: b });
    await expect(sent(2)).resolves.toMatchObject([{ id }, { workspaceId: a }]);
  });

  test('that were idle have saved nothing up', async () => {
    const [a, b] = [newId(), newId()];
    await line.queueMany(40, { workspaceId: a });
    await line.queue({ workspaceId: b });
    await sent(20);
    await line.queueMany(10, { workspaceId: b });
    const counts = countOf(await sent(10), (task) => task.workspaceId);
    expect([counts.get(a), counts.get(b)]).toEqual([5, 5]);
  });

  test('do not come before others by their priority', async () => {
    const [a, b] = [newId(), newId()];
    await line.queueMany(6, { workspaceId: a, priority: 'HIGH' });
    await line.queueMany(6, { workspaceId: b, priority: 'LOW' });
    const order = (await sent()).map(({ workspaceId }) => workspaceId === a);
    expect(order.filter((isA, index) => isA === order[index + 1])).toEqual([]);
  });
});

describe('end users of one workspace', () => {
  test('of very different appetite get equal shares, and the workspace for itself is one of them', async () => {
    const workspaceId = newId();
    await line.queueMany(240, { workspaceId, endUserId: 'eager' });
    await line.queueMany(80, { workspaceId });
    await line.queueMany(40, { workspaceId, endUserId: 'modest' });
    expectEqualShares(await sentAtOnce([instance, line.instance()]), (task) => task.endUserId, 40);
  }, 60_000);

  test('get no more for their workspace by being many', async () => {
    const [many, one] = [newId(), newId()];
    for (let user = 0; user < 20; user += 1) {
      await line.queue({ workspaceId: many, endUserId: `user ${user}` });
    }
    await line.queueMany(10, { workspaceId: one });
    const counts = countOf(await sent(20), (task) => task.workspaceId);
    expect([counts.get(many), counts.get(one)]).toEqual([10, 10]);
  });

  test('do not come before each other by their priority', async () => {
    const workspaceId = newId();
    await line.queueMany(4, { workspaceId, endUserId: 'urgent', priority: 'HIGH' });
    await line.queueMany(4, { workspaceId, endUserId: 'patient', priority: 'LOW' });
    const order = (await sent()).map(({ endUserId }) => endUserId);
    expect(order).toEqual(Array.from({ length: 4 }, () => ['patient', 'urgent']).flat());
  });
});

describe('the tasks of one end user', () => {
  test('go by their priority, and then in the order of asking', async () => {
    const asker = { workspaceId: newId(), endUserId: 'one' };
    const ids: Record<string, string[]> = {};
    for (const priority of ['LOW', 'HIGH', 'NORMAL'] as const) {
      ids[priority] = await line.queueMany(2, { ...asker, priority });
    }
    const order = (await sent()).map(({ id }) => id);
    expect(order).toEqual([ids.HIGH, ids.NORMAL, ids.LOW].flat());
  });
});

describe('the position in the queue', () => {
  const workspaces = [newId(), newId(), newId()];
  const asker: fc.Arbitrary<Asker> = fc.record({
    workspaceId: fc.constantFrom(...workspaces),
    endUserId: fc.constantFrom(null, 'a', 'B', 'ä'),
    priority: fc.constantFrom(...TASK_PRIORITIES),
  });

  test('is the turn in which a task is sent, when nothing new is queued', async () => {
    const few = fc.array(asker, { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(few, fc.nat(6), few, async (before, turns, after) => {
        await line.clear();
        for (const each of before) await line.queue(each);
        await sent(turns);
        for (const each of after) await line.queue(each);
        const { rows } = await line.sql.query<{ id: string }>(`SELECT id FROM tasks WHERE status = 'QUEUED'`);
        const ids = rows.map(({ id }) => id);
        const told = new Map<string, number>();
        for (const workspace of workspaces) {
          for (const [id, position] of await findQueuePositions(instance.db, workspace, ids))
            told.set(id, position);
        }
        const order = (await sent()).map(({ id }) => id);
        expect(order.map((id) => told.get(id))).toEqual(order.map((_, index) => index + 1));
      }),
      { numRuns: 60, ...LIMIT },
    );
  }, 60_000);

  test('of a task that waits for its next attempt is the one that it would have now, and others do not count it', async () => {
    const workspaceId = newId();
    const [first = '', second = '', third = ''] = await line.queueMany(3, { workspaceId });
    await line.sql.query(`UPDATE tasks SET not_before = now() + interval '1 minute' WHERE id = $1`, [first]);
    const positions = await findQueuePositions(instance.db, workspaceId, [first, second, third]);
    expect([first, second, third].map((id) => positions.get(id))).toEqual([1, 1, 2]);
  });

  test('is told to nobody but the workspace', async () => {
    const id = await line.queue({ workspaceId: newId() });
    await expect(findQueuePositions(instance.db, newId(), [id])).resolves.toEqual(new Map());
  });
});
