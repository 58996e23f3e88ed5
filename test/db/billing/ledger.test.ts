import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import { INSERT_TASK } from '../../../src/db/tasks/task-statements.js';
import { insertValues } from '../../../src/db/tasks/task-repository.js';
import { waitFor } from '../../support/wait-for.js';
import { KEY, END_USER, MoneyWorld, WORKSPACE } from '../../support/billing/ledger-fixture.js';

let world: MoneyWorld;
beforeAll(async () => {
  world = await MoneyWorld.open();
});
afterAll(() => world.close());

const RESERVED = ['RESERVE budget -0.3', 'RESERVE reserved 0.3'];

describe('the ledger of a task of three pictures at 0.1', () => {
  /** What follows the reservation, and the final cost. */
  const stories: [string, (id: string) => Promise<unknown>, string[], string | null][] = [
    ['has reserved what it could cost while it runs', async (id) => world.send(id), [], null],
    [
      'is settled by what was delivered, and the rest is free again',
      async (id) => world.succeed(id, 2),
      ['SETTLE budget 0.1', 'SETTLE reserved -0.3', 'SETTLE spent 0.2'],
      '0.2',
    ],
    [
      'is settled by what was delivered, also when that is more than was asked for',
      async (id) => world.succeed(id, 4),
      ['SETTLE budget -0.1', 'SETTLE reserved -0.3', 'SETTLE spent 0.4'],
      '0.4',
    ],
    [
      'is free again when it failed',
      async (id) => [await world.send(id), await world.fail(id)],
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'is free again when it was taken back before it was sent',
      async (id) => world.cancel(id),
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'is free again when it expired in the queue',
      async (id) => world.expire(id),
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'is held when it was taken back after it was sent: nobody knows what is billed',
      async (id) => [await world.send(id), await world.cancel(id)],
      ['HOLD reserved -0.3', 'HOLD held 0.3'],
      null,
    ],
    [
      'is held when it expired after it was sent',
      async (id) => [await world.send(id), await world.accept(id), await world.expire(id)],
      ['HOLD reserved -0.3', 'HOLD held 0.3'],
      null,
    ],
    [
      'turns what was held into what late pictures cost',
      async (id) => [await world.send(id), await world.cancel(id), await world.late(id, 2)],
      [
        ...['HOLD reserved -0.3', 'HOLD held 0.3'],
        ...['ADJUST budget 0.1', 'ADJUST spent 0.2', 'ADJUST held -0.3'],
      ],
      '0.2',
    ],
    [
      'frees what was held when the upstream tells that it failed',
      async (id) => [await world.send(id), await world.expire(id), await world.tellFailed(id)],
      ['HOLD reserved -0.3', 'HOLD held 0.3', 'ADJUST budget 0.3', 'ADJUST held -0.3'],
      '0',
    ],
    [
      'takes from the budget what late pictures of a failed task cost',
      async (id) => [await world.send(id), await world.fail(id), await world.late(id, 1)],
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3', 'ADJUST budget -0.1', 'ADJUST spent 0.1'],
      '0.1',
    ],
    [
      'changes nothing by what comes twice',
      async (id) => [
        ...[await world.send(id), await world.cancel(id), await world.cancel(id), await world.expire(id)],
        ...[await world.late(id, 3), await world.late(id, 3), await world.tellFailed(id)],
        await world.succeed(id, 3),
      ],
      ['HOLD reserved -0.3', 'HOLD held 0.3', 'ADJUST spent 0.3', 'ADJUST held -0.3'],
      '0.3',
    ],
  ];

  test.each(stories)('%s', async (_what, happens, entries, finalCost) => {
    const id = await world.requested(3);
    await happens(id);
    const told = await world.entries(id);
    expect([...told].sort()).toEqual([...RESERVED, ...entries].sort());
    expect(told.slice(0, 2)).toEqual(RESERVED);
    expect(await world.costs(id)).toEqual({ estimatedCost: '0.3', finalCost, currency: 'USD' });
    expect(await world.drift()).toBe(0);
  });
});

describe('the ledger', () => {
  test('has nothing of a task without a price, and says nothing about its cost', async () => {
    const id = await world.requested(2, { unitPrice: null, currency: null });
    await world.succeed(id, 2);
    expect(await world.entries(id)).toEqual([]);
    expect(await world.costs(id)).toEqual({ estimatedCost: null, finalCost: null, currency: null });
  });

  test('knows a price of zero from none', async () => {
    const id = await world.requested(2, { unitPrice: '0' });
    await world.succeed(id, 2);
    expect(await world.costs(id)).toEqual({ estimatedCost: '0', finalCost: '0', currency: 'USD' });
  });

  test('adds decimals up exactly', async () => {
    const id = await world.requested(3, { unitPrice: '999999.99999999' });
    await world.succeed(id, 3);
    expect((await world.costs(id))?.finalCost).toBe('2999999.99999997');
  });

  test.each([
    'UPDATE ledger_entries SET amount = 0',
    'DELETE FROM ledger_entries',
    'TRUNCATE ledger_entries',
  ])('is append-only: %s is refused', async (text) => {
    await expect(world.sql.query(text)).rejects.toThrow('ledger_entries is append-only');
  });

  test('balances whatever happens to some tasks in whatever order, also at the same time', async () => {
    await budget('1000000000');
    const step = fc.record({
      on: fc.nat(2),
      count: fc.integer({ min: 1, max: 4 }),
      what: fc.constantFrom('send', 'accept', 'succeed', 'fail', 'cancel', 'expire', 'late', 'tellFailed'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 8 }),
        async (all) => {
          const ids = await Promise.all([1, 2, 3].map((count) => world.requested(count)));
          for (const together of all) {
            await Promise.all(
              together.map(({ on, count, what }) => {
                const id = ids[on] ?? '';
                return what === 'succeed' || what === 'late' ? world[what](id, count) : world[what](id);
              }),
            );
            expect(await world.drift()).toBe(0);
          }
        },
      ),
      { numRuns: 60, interruptAfterTimeLimit: 30_000 },
    );
    const { rows } = await world.sql.query(`SELECT DISTINCT kind::text FROM ledger_entries ORDER BY kind`);
    expect(rows.map(({ kind }: { kind: string }) => kind)).toEqual([
      ...['ADJUST', 'HOLD', 'RELEASE', 'RESERVE', 'SETTLE'],
    ]);
  }, 60_000);
});

describe('the look for drift', () => {
  test.each([
    [
      'an entry without its other side',
      `INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
      SELECT workspace_id, id, 'spent', 0.1, 'USD', 'ADJUST' FROM tasks WHERE id = $1`,
    ],
    [
      'a movement that belongs to nothing',
      `INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
      SELECT workspace_id, gen_random_uuid(), account::ledger_account, amount, 'USD', 'ADJUST'
      FROM tasks, (VALUES ('spent', 1), ('budget', -1)) leg (account, amount) WHERE id = $1`,
    ],
    ['a task that tells another cost', `UPDATE tasks SET spent = spent + 1 WHERE id = $1`],
    [
      'a picture that nobody paid for',
      `INSERT INTO images (id, workspace_id, task_id, index) SELECT gen_random_uuid(), workspace_id, id, 9 FROM tasks WHERE id = $1`,
    ],
    [
      'a counter that is not what its tasks come to',
      `UPDATE budget_counters SET reserved = reserved + 0.1
      WHERE $1::uuid IS NOT NULL AND scope = 'KEY'`,
    ],
    ['a task that its budget does not know of', `UPDATE tasks SET counted_in = counted_in - 4 WHERE id = $1`],
  ])('finds %s', async (_what, text) => {
    const own = await MoneyWorld.open();
    try {
      await own.budgets.set({ workspaceId: WORKSPACE, scope: 'KEY', subject: KEY }, '10', 'USD');
      await own.budgets.set({ workspaceId: WORKSPACE, scope: 'END_USER', subject: END_USER }, '10', 'USD');
      const id = await own.requested(2);
      await own.succeed(id, 2);
      expect(await own.drift()).toBe(0);
      await own.sql.query(text, [id]);
      expect(await own.drift()).toBeGreaterThan(0);
    } finally {
      await own.close();
    }
  });
});

describe('budgets of all three scopes', () => {
  test('bind a request together: the tightest decides, and none is moved by what another refuses', async () => {
    const [workspaceId, keyId, endUserId] = [newId(), newId(), 'somebody'];
    const keys = [
      { workspaceId, scope: 'WORKSPACE', subject: workspaceId, amount: '0.5' },
      { workspaceId, scope: 'KEY', subject: keyId, amount: '0.4' },
      { workspaceId, scope: 'END_USER', subject: endUserId, amount: '0.1' },
    ] as const;
    for (const { amount, ...key } of keys) await world.budgets.set(key, amount, 'USD');
    const ask = async (whose: { keyId?: string; endUserId: string | null }, count = 1) =>
      (await world.request(count, { workspaceId, keyId, ...whose })) !== null;
    const all = await Promise.all(Array.from({ length: 20 }, () => ask({ endUserId })));
    expect(all.filter((passed) => passed)).toHaveLength(1);
    expect(await ask({ endUserId: null }, 4)).toBe(false);
    expect(await ask({ endUserId: null }, 3)).toBe(true);
    expect(await ask({ endUserId: 'another', keyId: newId() }, 2)).toBe(false);
    expect(await ask({ endUserId: 'another', keyId: newId() }, 1)).toBe(true);
    const reserved = await Promise.all(keys.map(async (key) => (await world.budgets.find(key))?.reserved));
    expect(reserved).toEqual(['0.5', '0.4', '0.1']);
    expect(await world.drift()).toBe(0);
  });
});

describe('a budget with room for one', () => {
  test('has none for a request that comes while another is being written', async () => {
    const [workspaceId, keyId] = [newId(), newId()];
    await world.budgets.set({ workspaceId, scope: 'KEY', subject: keyId }, '0.2', 'USD');
    await world.requested(1, { workspaceId, keyId });
    const client = await world.sql.connect();
    try {
      await client.query('BEGIN');
      const first = world.newTask(1, { workspaceId, keyId });
      expect(await client.query({ ...INSERT_TASK, values: insertValues(first, 'test') })).toHaveProperty(
        'rowCount',
        1,
      );
      const second = world.request(1, { workspaceId, keyId });
      await waitFor('the second to wait', async () => {
        const { rowCount } = await world.sql.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        return rowCount === 1;
      });
      await client.query('COMMIT');
      expect(await second).toBeNull();
    } finally {
      client.release();
    }
    expect(await world.drift()).toBe(0);
  });
});

describe('a budget that is set in the middle of a month', () => {
  test('counts what was asked for before, while that goes on', async () => {
    const endUserId = `user ${newId()}`;
    const ids = await Promise.all(Array.from({ length: 40 }, () => world.requested(1, { endUserId })));
    const key = { workspaceId: WORKSPACE, scope: 'END_USER', subject: endUserId } as const;
    await Promise.all([
      world.budgets.set(key, '5', 'USD'),
      ...ids.slice(0, 20).map((id) => world.succeed(id, 1)),
      ...ids.slice(20, 30).map((id) => world.fail(id)),
    ]);
    expect(await world.budgets.find(key)).toMatchObject({
      ...{ limit: '5', spent: '2', reserved: '1', held: '0', remaining: '2', currency: 'USD' },
    });
    expect(await world.drift()).toBe(0);
  });

  test('counts nothing twice when it is removed and set again', async () => {
    const endUserId = `user ${newId()}`;
    const key = { workspaceId: WORKSPACE, scope: 'END_USER', subject: endUserId } as const;
    await world.budgets.set(key, '5', 'USD');
    await world.budgets.remove(key);
    expect(await world.budgets.find(key)).toBeNull();
    await world.succeed(await world.requested(3, { endUserId }), 3);
    await world.budgets.set(key, '6', 'USD');
    await world.budgets.set(key, '7', 'USD');
    expect(await world.budgets.find(key)).toMatchObject({ limit: '7', spent: '0.3', remaining: '6.7' });
    expect(await world.drift()).toBe(0);
  });
});

/** Budgets that everything in this file counts in. */
async function budget(amount: string): Promise<void> {
  await world.budgets.set({ workspaceId: WORKSPACE, scope: 'WORKSPACE', subject: WORKSPACE }, amount, 'USD');
  await world.budgets.set({ workspaceId: WORKSPACE, scope: 'KEY', subject: KEY }, amount, 'USD');
  await world.budgets.set({ workspaceId: WORKSPACE, scope: 'END_USER', subject: END_USER }, amount, 'USD');
}
