import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { LedgerFixture, WORKSPACE_ID } from '../../support/billing/ledger-fixture.js';

let world: LedgerFixture;
beforeAll(async () => {
  world = await LedgerFixture.open();
});
afterAll(() => world.close());

/** Copies a task with its reservation, and returns when there are `count` further tasks of the end user. */
async function copyTask(id: string, endUserId: string, count: number): Promise<void> {
  const { rows: columns } = await world.sql.query<{ name: string }>(
    `SELECT quote_ident(attname) AS name FROM pg_attribute
     WHERE attrelid = 'tasks'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'end_user_id')`,
  );
  const names = columns.map(({ name }) => name).join();
  await world.sql.query(
    `WITH task AS (
       INSERT INTO tasks (id, end_user_id, ${names})
       SELECT uuidv7(), $2, ${names} FROM tasks, generate_series(1, $3::int) WHERE id = $1 RETURNING id
     )
     INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
     SELECT workspace_id, task.id, account, amount, currency, kind FROM ledger_entries, task WHERE task_id = $1`,
    [id, endUserId, count],
  );
}

test('A budget counts earlier tasks that take longer together than one statement may', async () => {
  const endUserId = 'slow';
  const id = await world.requestOrThrow(1, { endUserId });
  await copyTask(id, endUserId, 79);
  // As with long rows on a slow disk: 8 s for all, and a statement has 5 s.
  await world.sql.query(`
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
    CREATE TRIGGER tasks_slow BEFORE UPDATE OF budget_mask ON tasks FOR EACH ROW EXECUTE FUNCTION be_slow()`);
  try {
    const key = { workspaceId: WORKSPACE_ID, scope: 'END_USER', scopeId: endUserId } as const;
    await world.budgets.set(key, { amount: '10', currency: 'USD' });
    expect(await world.budgets.findCurrent(key)).toMatchObject({ reserved: '8', remaining: '2' });
  } finally {
    await world.sql.query('DROP TRIGGER tasks_slow ON tasks; DROP FUNCTION be_slow');
  }
  expect(await world.countDrift()).toBe(0);
}, 60_000);

test.each(['END_USER', 'API_KEY', 'WORKSPACE'] as const)(
  'A budget of the scope %s counts each of its tasks once, between thousands of others',
  async (scope) => {
    const [endUserId, keyId] = [`few ${scope}`, newId()];
    const ids = [await world.requestOrThrow(1, { endUserId, keyId })];
    await copyTask(await world.requestOrThrow(1, { endUserId: 'many' }), 'many', 5_000);
    ids.push(await world.requestOrThrow(1, { endUserId, keyId }));
    const scopeId = { END_USER: endUserId, API_KEY: keyId, WORKSPACE: WORKSPACE_ID }[scope];
    const key = { workspaceId: WORKSPACE_ID, scope, scopeId } as const;
    await world.budgets.set(key, { amount: '5000', currency: 'USD' });
    const { rows } = await world.sql.query<{ count: number }>('SELECT count(*)::int FROM tasks');
    const count = scope === 'WORKSPACE' ? (rows[0]?.count ?? 0) : ids.length;
    expect(await world.budgets.findCurrent(key)).toMatchObject({ reserved: String(count / 10) });
    expect(await world.countDrift()).toBe(0);
  },
  60_000,
);
