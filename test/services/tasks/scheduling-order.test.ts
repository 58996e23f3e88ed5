import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Task, TASK_PRIORITIES } from '../../../src/core/tasks/task.js';
import {
  type TaskOwner,
  type SchedulerInstance,
  SchedulerFixture,
} from '../../support/tasks/scheduler-fixture.js';

/** Limits how long fast-check shrinks a failing case. */
const SHRINK_LIMIT = { interruptAfterTimeLimit: 20_000 };
/** Submission slots of one instance. */
const SLOTS = 24;

let fixture: SchedulerFixture;
let instance: SchedulerInstance;
beforeAll(async () => {
  fixture = await SchedulerFixture.open();
  instance = fixture.addInstance();
});
beforeEach(() => fixture.reset());
afterAll(() => fixture.close());

/** Claims up to `count` tasks one after the other, and returns them in that order. */
async function claimInOrder(count = Infinity): Promise<Task[]> {
  const tasks: Task[] = [];
  while (tasks.length < count) {
    const task = await fixture.runNextJob(instance);
    if (!task) break;
    tasks.push(task);
  }
  return tasks;
}
/** Claims all tasks with every slot of these instances busy, and returns them in the order of the claims. */
async function claimConcurrently(instances: readonly SchedulerInstance[]): Promise<Task[]> {
  const countBefore = fixture.submittedTasks.length;
  const runSlot = async (claimer: SchedulerInstance) => {
    while (await fixture.runNextJob(claimer));
  };
  await Promise.all(instances.flatMap((claimer) => Array.from({ length: SLOTS }, () => runSlot(claimer))));
  return fixture.submittedTasks.slice(countBefore);
}
function countOf<Key>(tasks: readonly Task[], keyOf: (task: Task) => Key): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const task of tasks) counts.set(keyOf(task), (counts.get(keyOf(task)) ?? 0) + 1);
  return counts;
}
/**
 * Expects equal shares, within 10 %, of the tasks that were claimed while every owner still had queued ones. `least`
 * is the number of tasks of the owner with the fewest.
 */
function expectEqualShares(tasks: readonly Task[], keyOf: (task: Task) => unknown, least: number): void {
  const totals = countOf(tasks, keyOf);
  const contested = tasks.slice(0, totals.size * least);
  const shares = [...countOf(contested, keyOf).values()];
  expect(shares).toHaveLength(totals.size);
  for (const share of shares) expect(Math.abs(share - least)).toBeLessThanOrEqual(least / 10);
}

describe('workspaces', () => {
  test.each([1, 2])(
    'with very different demand get equal shares from %i instances',
    async (count) => {
      const owners = [newId(), newId(), newId()].map((workspaceId) => ({ workspaceId }));
      for (const [index, owner] of owners.entries())
        await fixture.enqueueMany([300, 60, 30][index] ?? 0, owner);
      const tasks = await claimConcurrently([instance, ...(count === 2 ? [fixture.addInstance()] : [])]);
      expect(new Set(tasks.map(({ id }) => id)).size).toBe(390);
      expectEqualShares(tasks, (task) => task.workspaceId, 30);
    },
    60_000,
  );

  test('with one task are next, even when another workspace has a hundred', async () => {
    const [a, b] = [newId(), newId()];
    await fixture.enqueueMany(100, { workspaceId: a });
    await claimInOrder(10);
    const id = await fixture.enqueue({ workspaceId: b });
    await expect(claimInOrder(2)).resolves.toMatchObject([{ id }, { workspaceId: a }]);
  });

  test('that were idle do not get more than an equal share afterwards', async () => {
    const [a, b] = [newId(), newId()];
    await fixture.enqueueMany(40, { workspaceId: a });
    await fixture.enqueue({ workspaceId: b });
    await claimInOrder(20);
    await fixture.enqueueMany(10, { workspaceId: b });
    const counts = countOf(await claimInOrder(10), (task) => task.workspaceId);
    expect([counts.get(a), counts.get(b)]).toEqual([5, 5]);
  });

  test('do not overtake others by the priority of their tasks', async () => {
    const [a, b] = [newId(), newId()];
    await fixture.enqueueMany(6, { workspaceId: a, priority: 'HIGH' });
    await fixture.enqueueMany(6, { workspaceId: b, priority: 'LOW' });
    const order = (await claimInOrder()).map(({ workspaceId }) => workspaceId === a);
    expect(order.filter((isA, index) => isA === order[index + 1])).toEqual([]);
  });
});

describe('end users of one workspace', () => {
  test('with very different demand get equal shares, and tasks without an end user count as one more', async () => {
    const workspaceId = newId();
    await fixture.enqueueMany(240, { workspaceId, endUserId: 'heavy' });
    await fixture.enqueueMany(80, { workspaceId });
    await fixture.enqueueMany(40, { workspaceId, endUserId: 'light' });
    expectEqualShares(
      await claimConcurrently([instance, fixture.addInstance()]),
      (task) => task.endUserId,
      40,
    );
  }, 60_000);

  test('do not increase the share of their workspace by their number', async () => {
    const [many, one] = [newId(), newId()];
    for (let user = 0; user < 20; user += 1) {
      await fixture.enqueue({ workspaceId: many, endUserId: `user ${user}` });
    }
    await fixture.enqueueMany(10, { workspaceId: one });
    const counts = countOf(await claimInOrder(20), (task) => task.workspaceId);
    expect([counts.get(many), counts.get(one)]).toEqual([10, 10]);
  });

  test('do not overtake each other by the priority of their tasks', async () => {
    const workspaceId = newId();
    await fixture.enqueueMany(4, { workspaceId, endUserId: 'urgent', priority: 'HIGH' });
    await fixture.enqueueMany(4, { workspaceId, endUserId: 'patient', priority: 'LOW' });
    const order = (await claimInOrder()).map(({ endUserId }) => endUserId);
    expect(order).toEqual(Array.from({ length: 4 }, () => ['patient', 'urgent']).flat());
  });
});

describe('the tasks of one end user', () => {
  test('are claimed by priority, and then in the order of their requests', async () => {
    const owner = { workspaceId: newId(), endUserId: 'one' };
    const ids: Record<string, string[]> = {};
    for (const priority of ['LOW', 'HIGH', 'NORMAL'] as const) {
      ids[priority] = await fixture.enqueueMany(2, { ...owner, priority });
    }
    const order = (await claimInOrder()).map(({ id }) => id);
    expect(order).toEqual([ids.HIGH, ids.NORMAL, ids.LOW].flat());
  });
});

describe('the queue position', () => {
  const workspaces = [newId(), newId(), newId()];
  const owner: fc.Arbitrary<TaskOwner> = fc.record({
    workspaceId: fc.constantFrom(...workspaces),
    endUserId: fc.constantFrom(null, 'a', 'B', 'ä'),
    priority: fc.constantFrom(...TASK_PRIORITIES),
  });

  test('is the order in which tasks are claimed when no new ones arrive', async () => {
    const fewOwners = fc.array(owner, { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fewOwners, fc.nat(6), fewOwners, async (before, claimCount, after) => {
        await fixture.reset();
        for (const each of before) await fixture.enqueue(each);
        await claimInOrder(claimCount);
        for (const each of after) await fixture.enqueue(each);
        const { rows } = await fixture.sql.query<{ id: string }>(
          `SELECT id FROM tasks WHERE status = 'QUEUED'`,
        );
        const ids = rows.map(({ id }) => id);
        const positions = new Map<string, number>();
        for (const workspace of workspaces) {
          for (const [id, position] of await instance.tasks.queuePositions(workspace, ids))
            positions.set(id, position);
        }
        const order = (await claimInOrder()).map(({ id }) => id);
        expect(order.map((id) => positions.get(id))).toEqual(order.map((_, index) => index + 1));
      }),
      { numRuns: 60, ...SHRINK_LIMIT },
    );
  }, 60_000);

  test.each([1, 2, 3, 4, 7])(
    'is the same with a maximum of %i, which stands for that position and all later ones',
    async (maxPosition) => {
      const owners = fc.array(owner, { maxLength: 14 });
      await fc.assert(
        fc.asyncProperty(owners, fc.nat(4), async (before, claimCount) => {
          await fixture.reset();
          for (const each of before) await fixture.enqueue(each);
          await claimInOrder(claimCount);
          await fixture.sql.query(
            `UPDATE tasks SET not_before = now() + interval '1 h' WHERE status = 'QUEUED' AND id::text ~ '[0-3]$'`,
          );
          const { rows } = await fixture.sql.query<{ id: string }>(
            `SELECT id FROM tasks WHERE status = 'QUEUED'`,
          );
          const ids = rows.map(({ id }) => id);
          for (const workspace of workspaces) {
            const exact = await instance.tasks.queuePositions(workspace, ids);
            const capped = await instance.tasks.queuePositions(workspace, ids, maxPosition);
            const expected = [...exact].map(
              ([id, position]) => [id, Math.min(position, maxPosition)] as const,
            );
            expect(capped).toEqual(new Map(expected));
          }
        }),
        { numRuns: 25, ...SHRINK_LIMIT },
      );
    },
    60_000,
  );

  test('of a task that waits for a retry is the one that it would have now, and other tasks do not count it', async () => {
    const workspaceId = newId();
    const [first = '', second = '', third = ''] = await fixture.enqueueMany(3, { workspaceId });
    await fixture.sql.query(`UPDATE tasks SET not_before = now() + interval '1 minute' WHERE id = $1`, [
      first,
    ]);
    const positions = await instance.tasks.queuePositions(workspaceId, [first, second, third]);
    expect([first, second, third].map((id) => positions.get(id))).toEqual([1, 1, 2]);
  });

  test('is found for a task that is named twice, as a document can', async () => {
    const workspaceId = newId();
    const id = await fixture.enqueue({ workspaceId });
    const positions = await instance.tasks.queuePositions(workspaceId, [id, id]);
    expect([...positions.keys()]).toEqual([id]);
  });

  test('is visible only to the workspace of the task', async () => {
    const id = await fixture.enqueue({ workspaceId: newId() });
    await expect(instance.tasks.queuePositions(newId(), [id])).resolves.toEqual(new Map());
  });
});
