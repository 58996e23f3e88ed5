import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { bind } from '../../../src/db/postgres/statement.js';
import { INSERT_TASK, insertTaskParameters, type NewTask } from '../../../src/db/tasks/task-row.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';
import { waitFor } from '../../support/wait-for.js';

let world: LedgerFixture;
let clients: pg.Client[];
beforeAll(async () => {
  world = await LedgerFixture.open();
  clients = [1, 2, 3].map(() => new pg.Client({ connectionString: world.url }));
  await Promise.all(clients.map((client) => client.connect()));
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await world.close();
});

/** Inserts a task like the service: when a counter of the month is missing, it is inserted first. */
async function insert(client: pg.Client, task: NewTask): Promise<number | null> {
  const statement = bind(INSERT_TASK, insertTaskParameters(task, 'test'));
  const { rowCount } = await client.query(statement);
  if (rowCount !== 0) return rowCount;
  await world.budgets.explainRejection(task);
  return (await client.query(statement)).rowCount;
}
async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}
async function isBlocked(pid: number, by: number): Promise<boolean> {
  const { rows } = await world.sql.query<{ pids: number[] }>('SELECT pg_blocking_pids($1) AS pids', [pid]);
  return rows[0]?.pids.includes(by) ?? false;
}

test('Requests and a cancellation do not deadlock while a budget of their end user counts earlier tasks', async () => {
  const [workspaceId, endUserId] = [newId(), 'eve'];
  const workspaceBudget = { workspaceId, scope: 'WORKSPACE', scopeId: workspaceId } as const;
  await world.budgets.set(workspaceBudget, { amount: '1000', currency: 'USD' });
  await world.requestOrThrow(1, { workspaceId, endUserId: null });
  // As while setBudget counts: the budget does not limit yet, and no task was counted in it.
  await world.sql.query("INSERT INTO budgets (workspace_id, scope, scope_id) VALUES ($1, 'END_USER', $2)", [
    workspaceId,
    endUserId,
  ]);
  const [first, second, holder] = clients as [pg.Client, pg.Client, pg.Client];
  const [firstPid, secondPid, holderPid] = (await Promise.all([first, second, holder].map(pidOf))) as [
    number,
    number,
    number,
  ];
  // Makes the second request wait after it has locked its counters.
  await holder.query('BEGIN');
  await holder.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at, end_user_id, idempotency_key)
     VALUES ($1, $2, 'GENERATE', 'x', 'flux-dev', 1, '', now() + interval '1 hour', $3, 'key')`,
    [newId(), workspaceId, endUserId],
  );
  const earlier = world.buildTask(1, { workspaceId, endUserId });
  await first.query('BEGIN');
  expect(await insert(first, earlier)).toBe(1);
  const later = insert(second, world.buildTask(1, { workspaceId, endUserId, idempotencyKey: 'key' }));
  await waitFor('the second request to wait for the first', () => isBlocked(secondPid, firstPid));
  await first.query('COMMIT');
  await waitFor('the second request to wait for its key', () => isBlocked(secondPid, holderPid));
  const canceled = world.cancel(earlier.id);
  await waitFor('the cancellation to wait for the second request', async () => {
    const { rowCount } = await world.sql.query(
      'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))',
      [secondPid],
    );
    return rowCount === 1;
  });
  await holder.query('ROLLBACK');
  const outcomes = await Promise.allSettled([later, canceled]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  expect(await later).toBe(1);
  expect(await world.countDrift()).toBe(0);
}, 30_000);

test('A request without a price needs no counter of a budget that does not limit yet', async () => {
  const [workspaceId, endUserId] = [newId(), 'someone'];
  await world.sql.query("INSERT INTO budgets (workspace_id, scope, scope_id) VALUES ($1, 'END_USER', $2)", [
    workspaceId,
    endUserId,
  ]);
  const task = world.buildTask(1, { workspaceId, endUserId, unitPrice: null, currency: null });
  expect(await world.tasks.insert(task, 'test')).not.toBeNull();
});
