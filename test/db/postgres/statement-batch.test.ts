import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const [ours, theirs] = [newId(), newId()];
const log = pino({ level: 'silent' });

let own: TestDatabase;
let db: Database;
let admin: Client;
beforeAll(async () => {
  own = await createTestDatabase();
  // One connection, so that a statement sees whatever the one before it left behind.
  db = new Database({ url: own.url, maxConnections: 1, log });
  admin = new Client({ connectionString: own.url });
  await admin.connect();
  await admin.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     SELECT gen_random_uuid(), workspace_id, 'GENERATE', 'a prompt', 'flux-dev', 1, '', now()
     FROM unnest($1::uuid[]) AS workspace_id`,
    [[ours, ours, theirs]],
  );
});
afterAll(async () => {
  await admin.end();
  await db.close();
  await own.drop();
});

const SESSION = statement<object, { pid: number }>(
  'session',
  `SELECT pg_backend_pid() AS pid, current_user::text AS role, current_setting('plan_cache_mode') AS plans,
          coalesce(current_setting('darkroom.workspace_id', true), '') AS workspace`,
);
const ALL_TASKS = statement('all-tasks', 'SELECT workspace_id AS "workspaceId" FROM tasks');
const session = async () => (await db.query(SESSION, {}))[0];

describe("a caller's statement", () => {
  test('reads only its own workspace when it has no condition on the workspace', async () => {
    expect(await db.queryAsCaller({ workspaceId: ours }, ALL_TASKS, {})).toEqual([
      { workspaceId: ours },
      { workspaceId: ours },
    ]);
    expect(await db.queryAsCaller({ workspaceId: theirs }, ALL_TASKS, {})).toEqual([{ workspaceId: theirs }]);
    expect(await db.query(ALL_TASKS, {})).toHaveLength(3);
  });

  test('reads nothing of another workspace that it names', async () => {
    const asking = statement('tasks-of', 'SELECT id FROM tasks WHERE workspace_id = :theirs');
    expect(await db.queryAsCaller({ workspaceId: ours }, asking, { theirs })).toEqual([]);
  });

  test('reads nothing without a workspace', async () => {
    expect(await db.queryAsCaller({ workspaceId: '' }, ALL_TASKS, {})).toEqual([]);
  });

  test('resets the role and the workspace of its connection', async () => {
    const before = await session();
    const during = { ...before, plans: 'auto', role: 'darkroom_caller', workspace: ours };
    expect(await db.queryAsCaller({ workspaceId: ours }, SESSION, {})).toEqual([during]);
    expect(
      await db.queryAsCaller(
        { workspaceId: ours },
        { ...SESSION, name: 'planned-once', planCacheMode: 'force_generic_plan' },
        {},
      ),
    ).toEqual([{ ...during, plans: 'force_generic_plan' }]);
    expect(await session()).toEqual(before);
  });

  test('resets its connection after a failure, and the connection stays usable', async () => {
    const before = await session();
    const failing = statement('failing', 'SELECT 1 / :divisor::int AS result');
    await expect(db.queryAsCaller({ workspaceId: ours }, failing, { divisor: 0 })).rejects.toMatchObject({
      code: '22012',
    });
    expect(await session()).toEqual(before);
    expect(await db.queryAsCaller({ workspaceId: ours }, failing, { divisor: 1 })).toEqual([{ result: 1 }]);
  });

  test('is prepared again after a failed preparation', async () => {
    const early = statement('early', 'SELECT made_later() AS result');
    await expect(db.queryAsCaller({ workspaceId: ours }, early, {})).rejects.toMatchObject({ code: '42883' });
    await admin.query('CREATE FUNCTION made_later() RETURNS int LANGUAGE sql AS $$ SELECT 7 $$');
    expect(await db.queryAsCaller({ workspaceId: ours }, early, {})).toEqual([{ result: 7 }]);
  });

  test('keeps its connection usable after a workspace that is not a UUID', async () => {
    await expect(db.queryAsCaller({ workspaceId: 'nonsense' }, ALL_TASKS, {})).rejects.toMatchObject({
      code: '22P02',
    });
    expect(await db.queryAsCaller({ workspaceId: theirs }, ALL_TASKS, {})).toHaveLength(1);
  });

  test('keeps its connection usable after a value that cannot be sent', async () => {
    const circle: Record<string, unknown> = {};
    circle['itself'] = circle;
    const sending = statement('sending', 'SELECT :value::jsonb AS result');
    await expect(db.queryAsCaller({ workspaceId: ours }, sending, { value: circle })).rejects.toThrow(
      'circular',
    );
    expect(await db.queryAsCaller({ workspaceId: ours }, sending, { value: {} })).toEqual([{ result: {} }]);
  });

  test('is prepared once per connection, and planned once with useGenericPlan', async () => {
    const counted = statement('counted', 'SELECT id FROM tasks WHERE id = ANY(:ids::uuid[])', {
      useGenericPlan: true,
    });
    for (let times = 0; times < 8; times += 1)
      await db.queryAsCaller({ workspaceId: ours }, counted, { ids: [newId()] });
    const plans = statement(
      'plans',
      `SELECT generic_plans::int AS generic, custom_plans::int AS custom FROM pg_prepared_statements
       WHERE name = 'caller-counted'`,
    );
    expect(await db.query(plans, {})).toEqual([{ generic: 8, custom: 0 }]);
  });

  test.each([
    ['INSERT INTO api_keys DEFAULT VALUES'],
    ['UPDATE tasks SET prompt = prompt'],
    ['DELETE FROM images'],
    ['SELECT * FROM ledger_entries'],
    ['SELECT * FROM graphile_worker.jobs'],
  ])('may not %s', async (text) => {
    await expect(db.queryAsCaller({ workspaceId: ours }, statement(text, text), {})).rejects.toMatchObject({
      code: '42501',
    });
  });

  test('throws DatabaseUnavailable when its connection is terminated', async () => {
    await admin.query('SELECT pg_advisory_lock(14)');
    const waiting = db.queryAsCaller(
      { workspaceId: ours },
      statement('waiting', 'SELECT pg_advisory_lock(14)'),
      {},
    );
    const refused = expect(waiting).rejects.toThrow(DatabaseUnavailable);
    await waitFor('the end of the one that waits', async () => {
      const { rowCount } = await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event = 'advisory'`,
      );
      return rowCount === 1;
    });
    await refused;
    expect(await db.queryAsCaller({ workspaceId: ours }, ALL_TASKS, {})).toHaveLength(2);
  });
});

test('statements of two workspaces and background work share connections, and each sees only its own rows', async () => {
  const shared = new Database({ url: own.url, maxConnections: 3, log });
  try {
    const counts = await Promise.all(
      Array.from({ length: 300 }, async (_, turn) => {
        if (turn % 3 === 0) return (await shared.query(ALL_TASKS, {})).length;
        return (await shared.queryAsCaller({ workspaceId: turn % 3 === 1 ? ours : theirs }, ALL_TASKS, {}))
          .length;
      }),
    );
    expect(counts).toEqual(Array.from({ length: 300 }, (_, turn) => [3, 2, 1][turn % 3]));
  } finally {
    await shared.close();
  }
});
