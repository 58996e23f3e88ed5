import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import { bind } from '../../../src/db/postgres/statement.js';
import { INSERT_TASK, insertTaskParameters } from '../../../src/db/tasks/task-row.js';
import { waitFor } from '../../support/wait-for.js';
import { KEY_ID, END_USER_ID, LedgerFixture, WORKSPACE_ID } from '../../support/billing/ledger-fixture.js';

let world: LedgerFixture;
beforeAll(async () => {
  world = await LedgerFixture.open();
});
afterAll(() => world.close());

const RESERVED = ['RESERVE budget -0.3', 'RESERVE reserved 0.3'];

describe('the ledger of a task for three images at 0.1 USD each', () => {
  /** The entries after the reservation, and the final cost. */
  const cases: [string, (id: string) => Promise<unknown>, string[], string | null][] = [
    ['reserves the highest cost while the task runs', async (id) => world.send(id), [], null],
    [
      'settles the cost of the delivered images and releases the rest',
      async (id) => world.succeed(id, 2),
      ['SETTLE budget 0.1', 'SETTLE reserved -0.3', 'SETTLE spent 0.2'],
      '0.2',
    ],
    [
      'settles the cost of the delivered images even if there are more than requested',
      async (id) => world.succeed(id, 4),
      ['SETTLE budget -0.1', 'SETTLE reserved -0.3', 'SETTLE spent 0.4'],
      '0.4',
    ],
    [
      'releases everything when the task fails',
      async (id) => [await world.send(id), await world.fail(id)],
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'releases everything when the task is canceled before it was submitted',
      async (id) => world.cancel(id),
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'releases everything when the task expires in the queue',
      async (id) => world.expire(id),
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3'],
      '0',
    ],
    [
      'becomes uncertain when the task is canceled after it was submitted',
      async (id) => [await world.send(id), await world.cancel(id)],
      ['MARK_UNCERTAIN reserved -0.3', 'MARK_UNCERTAIN uncertain 0.3'],
      null,
    ],
    [
      'becomes uncertain when the task expires after it was submitted',
      async (id) => [await world.send(id), await world.accept(id), await world.expire(id)],
      ['MARK_UNCERTAIN reserved -0.3', 'MARK_UNCERTAIN uncertain 0.3'],
      null,
    ],
    [
      'replaces the uncertain amount by the cost of late images',
      async (id) => [await world.send(id), await world.cancel(id), await world.late(id, 2)],
      [
        ...['MARK_UNCERTAIN reserved -0.3', 'MARK_UNCERTAIN uncertain 0.3'],
        ...['ADJUST budget 0.1', 'ADJUST spent 0.2', 'ADJUST uncertain -0.3'],
      ],
      '0.2',
    ],
    [
      'releases the uncertain amount when the upstream reports a failure',
      async (id) => [await world.send(id), await world.expire(id), await world.reportFailed(id)],
      [
        'MARK_UNCERTAIN reserved -0.3',
        'MARK_UNCERTAIN uncertain 0.3',
        'ADJUST budget 0.3',
        'ADJUST uncertain -0.3',
      ],
      '0',
    ],
    [
      'charges the budget for late images of a failed task',
      async (id) => [await world.send(id), await world.fail(id), await world.late(id, 1)],
      ['RELEASE budget 0.3', 'RELEASE reserved -0.3', 'ADJUST budget -0.1', 'ADJUST spent 0.1'],
      '0.1',
    ],
    [
      'charges the rest of a result whose first images made the task succeed',
      async (id) => [await world.succeed(id, 1), await world.late(id, 3), await world.late(id, 2)],
      [
        ...['SETTLE budget 0.2', 'SETTLE reserved -0.3', 'SETTLE spent 0.1'],
        ...['ADJUST budget -0.2', 'ADJUST spent 0.2'],
      ],
      '0.3',
    ],
    [
      'does not change when something happens twice',
      async (id) => [
        ...[await world.send(id), await world.cancel(id), await world.cancel(id), await world.expire(id)],
        ...[await world.late(id, 3), await world.late(id, 3), await world.reportFailed(id)],
        await world.succeed(id, 3),
      ],
      [
        'MARK_UNCERTAIN reserved -0.3',
        'MARK_UNCERTAIN uncertain 0.3',
        'ADJUST spent 0.3',
        'ADJUST uncertain -0.3',
      ],
      '0.3',
    ],
  ];

  test.each(cases)('%s', async (_what, act, entries, finalCost) => {
    const id = await world.requestOrThrow(3);
    await act(id);
    const written = await world.ledgerEntries(id);
    expect([...written].sort()).toEqual([...RESERVED, ...entries].sort());
    expect(written.slice(0, 2)).toEqual(RESERVED);
    expect(await world.taskCosts(id)).toEqual({ estimatedCost: '0.3', finalCost, currency: 'USD' });
    expect(await world.countDrift()).toBe(0);
  });
});

describe('the ledger', () => {
  test('has no entries and no cost for a task without a price', async () => {
    const id = await world.requestOrThrow(2, { unitPrice: null, currency: null });
    await world.succeed(id, 2);
    expect(await world.ledgerEntries(id)).toEqual([]);
    expect(await world.taskCosts(id)).toEqual({ estimatedCost: null, finalCost: null, currency: null });
  });

  test('distinguishes a price of zero from an unknown price', async () => {
    const id = await world.requestOrThrow(2, { unitPrice: '0' });
    await world.succeed(id, 2);
    expect(await world.taskCosts(id)).toEqual({ estimatedCost: '0', finalCost: '0', currency: 'USD' });
  });

  test('adds decimals exactly', async () => {
    const id = await world.requestOrThrow(3, { unitPrice: '999999.99999999' });
    await world.succeed(id, 3);
    expect((await world.taskCosts(id))?.finalCost).toBe('2999999.99999997');
  });

  test.each([
    'UPDATE ledger_entries SET amount = 0',
    'DELETE FROM ledger_entries',
    'TRUNCATE ledger_entries',
  ])('is append-only and rejects %s', async (text) => {
    await expect(world.sql.query(text)).rejects.toThrow('ledger_entries is append-only');
  });

  test('balances after any transitions of several tasks, in any order and concurrently', async () => {
    await setBudgets('1000000000');
    const step = fc.record({
      on: fc.nat(2),
      count: fc.integer({ min: 1, max: 4 }),
      what: fc.constantFrom('send', 'accept', 'succeed', 'fail', 'cancel', 'expire', 'late', 'reportFailed'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 8 }),
        async (rounds) => {
          const ids = await Promise.all([1, 2, 3].map((count) => world.requestOrThrow(count)));
          for (const concurrent of rounds) {
            await Promise.all(
              concurrent.map(({ on, count, what }) => {
                const id = ids[on] ?? '';
                return what === 'succeed' || what === 'late' ? world[what](id, count) : world[what](id);
              }),
            );
            expect(await world.countDrift()).toBe(0);
          }
        },
      ),
      { numRuns: 60, interruptAfterTimeLimit: 30_000 },
    );
    const { rows } = await world.sql.query(`SELECT DISTINCT kind::text FROM ledger_entries ORDER BY kind`);
    expect(rows.map(({ kind }: { kind: string }) => kind)).toEqual([
      ...['ADJUST', 'MARK_UNCERTAIN', 'RELEASE', 'RESERVE', 'SETTLE'],
    ]);
  }, 60_000);
});

describe('the ledger check', () => {
  test.each([
    [
      'a movement whose entries do not sum to zero',
      `INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
      SELECT workspace_id, id, 'spent', 0.1, 'USD', 'ADJUST' FROM tasks WHERE id = $1`,
    ],
    [
      'a movement without a task',
      `INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
      SELECT workspace_id, gen_random_uuid(), account::ledger_account, amount, 'USD', 'ADJUST'
      FROM tasks, (VALUES ('spent', 1), ('budget', -1)) entry (account, amount) WHERE id = $1`,
    ],
    ['a task whose row has another cost', `UPDATE tasks SET spent = spent + 1 WHERE id = $1`],
    [
      'an image without a charge',
      `INSERT INTO images (id, workspace_id, task_id, index) SELECT gen_random_uuid(), workspace_id, id, 9 FROM tasks WHERE id = $1`,
    ],
    [
      'a counter that differs from its tasks',
      `UPDATE budget_counters SET reserved = reserved + 0.1
      WHERE $1::uuid IS NOT NULL AND scope = 'API_KEY'`,
    ],
    [
      'a task that is missing from the counter of its budget',
      `UPDATE tasks SET budget_mask = budget_mask - 4 WHERE id = $1`,
    ],
  ])('finds %s', async (_what, text) => {
    const own = await LedgerFixture.open();
    try {
      await own.budgets.set(
        { workspaceId: WORKSPACE_ID, scope: 'API_KEY', scopeId: KEY_ID },
        { amount: '10', currency: 'USD' },
      );
      await own.budgets.set(
        { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: END_USER_ID },
        { amount: '10', currency: 'USD' },
      );
      const id = await own.requestOrThrow(2);
      await own.succeed(id, 2);
      expect(await own.countDrift()).toBe(0);
      await own.sql.query(text, [id]);
      expect(await own.countDrift()).toBeGreaterThan(0);
    } finally {
      await own.close();
    }
  });
});

describe('budgets of all three scopes', () => {
  test('limit a request together: the lowest decides, and a rejection changes no counter', async () => {
    const [workspaceId, keyId, endUserId] = [newId(), newId(), 'end user'];
    const keys = [
      { workspaceId, scope: 'WORKSPACE', scopeId: workspaceId, amount: '0.5' },
      { workspaceId, scope: 'API_KEY', scopeId: keyId, amount: '0.4' },
      { workspaceId, scope: 'END_USER', scopeId: endUserId, amount: '0.1' },
    ] as const;
    for (const { amount, ...key } of keys) await world.budgets.set(key, { amount, currency: 'USD' });
    const isAccepted = async (owner: { keyId?: string; endUserId: string | null }, count = 1) =>
      (await world.tryRequest(count, { workspaceId, keyId, ...owner })) !== null;
    const all = await Promise.all(Array.from({ length: 20 }, () => isAccepted({ endUserId })));
    expect(all.filter((accepted) => accepted)).toHaveLength(1);
    expect(await isAccepted({ endUserId: null }, 4)).toBe(false);
    expect(await isAccepted({ endUserId: null }, 3)).toBe(true);
    expect(await isAccepted({ endUserId: 'another', keyId: newId() }, 2)).toBe(false);
    expect(await isAccepted({ endUserId: 'another', keyId: newId() }, 1)).toBe(true);
    const reserved = await Promise.all(
      keys.map(async (key) => (await world.budgets.findCurrent(key))?.reserved),
    );
    expect(reserved).toEqual(['0.5', '0.4', '0.1']);
    expect(await world.countDrift()).toBe(0);
  });
});

describe('a budget with room for one task', () => {
  test('rejects a second task that is inserted at the same time', async () => {
    const [workspaceId, keyId] = [newId(), newId()];
    await world.budgets.set(
      { workspaceId, scope: 'API_KEY', scopeId: keyId },
      { amount: '0.2', currency: 'USD' },
    );
    await world.requestOrThrow(1, { workspaceId, keyId });
    const client = await world.sql.connect();
    try {
      await client.query('BEGIN');
      const first = world.buildTask(1, { workspaceId, keyId });
      const insert = bind(INSERT_TASK, insertTaskParameters(first, 'test'));
      expect(await client.query(insert)).toHaveProperty('rowCount', 1);
      const second = world.tryRequest(1, { workspaceId, keyId });
      await waitFor('the second insert to wait', async () => {
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
    expect(await world.countDrift()).toBe(0);
  });
});

describe('a budget that is set in the middle of a month', () => {
  test('counts earlier tasks, also while they change', async () => {
    const endUserId = `user ${newId()}`;
    const ids = await Promise.all(Array.from({ length: 40 }, () => world.requestOrThrow(1, { endUserId })));
    const key = { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: endUserId } as const;
    await Promise.all([
      world.budgets.set(key, { amount: '5', currency: 'USD' }),
      ...ids.slice(0, 20).map((id) => world.succeed(id, 1)),
      ...ids.slice(20, 30).map((id) => world.fail(id)),
    ]);
    expect(await world.budgets.findCurrent(key)).toMatchObject({
      ...{ limit: '5', spent: '2', reserved: '1', uncertain: '0', remaining: '2', currency: 'USD' },
    });
    expect(await world.countDrift()).toBe(0);
  });

  test('counts a task whose insert was in progress, and waits for it', async () => {
    const endUserId = `user ${newId()}`;
    const key = { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: endUserId } as const;
    const client = await world.sql.connect();
    try {
      await client.query('BEGIN');
      const task = world.buildTask(2, { endUserId });
      await client.query(bind(INSERT_TASK, insertTaskParameters(task, 'test')));
      let isSet = false;
      const set = world.budgets.set(key, { amount: '0.2', currency: 'USD' }).then(() => (isSet = true));
      await waitFor('the budget to be set, or to wait', async () => {
        const { rowCount } = await world.sql.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%FROM pg_locks%' AND pid <> pg_backend_pid()",
        );
        return isSet || (rowCount ?? 0) > 0;
      });
      expect(isSet).toBe(false);
      await client.query('COMMIT');
      await set;
    } finally {
      client.release();
    }
    expect(await world.budgets.findCurrent(key)).toMatchObject({ reserved: '0.2', remaining: '0' });
    expect(await world.tryRequest(1, { endUserId })).toBeNull();
    expect(await world.countDrift()).toBe(0);
  });

  test('counts no task twice when it is removed and set again', async () => {
    const endUserId = `user ${newId()}`;
    const key = { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: endUserId } as const;
    await world.budgets.set(key, { amount: '5', currency: 'USD' });
    await world.budgets.remove(key);
    expect(await world.budgets.findCurrent(key)).toBeNull();
    await world.succeed(await world.requestOrThrow(3, { endUserId }), 3);
    await world.budgets.set(key, { amount: '6', currency: 'USD' });
    await world.budgets.set(key, { amount: '7', currency: 'USD' });
    expect(await world.budgets.findCurrent(key)).toMatchObject({
      limit: '7',
      spent: '0.3',
      remaining: '6.7',
    });
    expect(await world.countDrift()).toBe(0);
  });
});

/** Sets budgets that every task of this file counts in. */
async function setBudgets(amount: string): Promise<void> {
  await world.budgets.set(
    { workspaceId: WORKSPACE_ID, scope: 'WORKSPACE', scopeId: WORKSPACE_ID },
    { amount: amount, currency: 'USD' },
  );
  await world.budgets.set(
    { workspaceId: WORKSPACE_ID, scope: 'API_KEY', scopeId: KEY_ID },
    { amount, currency: 'USD' },
  );
  await world.budgets.set(
    { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: END_USER_ID },
    { amount: amount, currency: 'USD' },
  );
}
