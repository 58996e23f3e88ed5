import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { newTask } from '../../../bench/support/new-task.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const log = pino({ level: 'silent' });
const migrationsDir = resolve('prisma/migrations');

let own: TestDatabase;
let admin: Client;
beforeAll(async () => {
  own = await createTestDatabase({ empty: true });
  admin = new Client({ connectionString: own.url });
  await admin.connect();
  await migrate({ databaseUrl: own.url, migrationsDir, log });
});
afterAll(async () => {
  await admin.end();
  await own.drop();
});

/** For each table with a column `workspace_id`: whether row-level security is forced, and its policies. */
async function tables() {
  const { rows } = await admin.query<{ name: string; forced: boolean; policies: string[] }>(`
    SELECT table_name::text AS name, relrowsecurity AND relforcerowsecurity AS forced,
           ARRAY(SELECT concat_ws(' ', policyname, cmd, roles) FROM pg_policies
                 WHERE schemaname = 'public' AND tablename = table_name ORDER BY 1) AS policies
    FROM information_schema.columns JOIN pg_class ON pg_class.oid = quote_ident(table_name)::regclass
    WHERE table_schema = 'public' AND column_name = 'workspace_id' ORDER BY 1`);
  return rows;
}

describe('every table with a workspace_id', () => {
  test('has forced row-level security, a policy for callers, and one for the owner', async () => {
    const found = await tables();
    expect(found.length).toBeGreaterThan(10);
    const { rows } = await admin.query<{ login: string }>('SELECT current_user AS login');
    const policies = ['caller_access SELECT {darkroom_caller}', `owner_access ALL {${rows[0]?.login}}`];
    expect(found).toEqual(found.map(({ name }) => ({ name, forced: true, policies })));
  });

  test('gets them at the next start when it is new', async () => {
    await admin.query('CREATE TABLE "Later" (workspace_id uuid)');
    const later = async () => (await tables()).find(({ name }) => name === 'Later');
    expect(await later()).toMatchObject({ forced: false, policies: [] });
    await migrate({ databaseUrl: own.url, migrationsDir, log });
    expect(await later()).toMatchObject({ forced: true, policies: { length: 2 } });
  });

  test('is not changed by a start when it has them', async () => {
    const policies = async () =>
      (await admin.query('SELECT oid FROM pg_policy ORDER BY oid')).rows as unknown[];
    const before = await policies();
    await migrate({ databaseUrl: own.url, migrationsDir, log });
    expect(await policies()).toEqual(before);
  });
});

test('the role of callers owns nothing, is a member of no role, cannot log in, and may only read', async () => {
  const { rows: roles } = await admin.query(`
    SELECT rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS may,
           (SELECT count(*)::int FROM pg_auth_members WHERE member = role.oid) AS member,
           (SELECT count(*)::int FROM pg_shdepend WHERE refobjid = role.oid AND deptype = 'o') AS owned
    FROM pg_roles role WHERE rolname = 'darkroom_caller'`);
  expect(roles).toEqual([{ may: false, member: 0, owned: 0 }]);
  const { rows: rights } = await admin.query(`
    SELECT DISTINCT privilege_type FROM information_schema.role_table_grants WHERE grantee = 'darkroom_caller'`);
  expect(rights).toEqual([{ privilege_type: 'SELECT' }]);
});

/** A database owned by a login without special rights, as managed servers provide it. */
describe('a login that owns the tables and is not a superuser', () => {
  const login = `login_${randomBytes(6).toString('hex')}`;
  let theirs: TestDatabase;
  let url: string;
  beforeAll(async () => {
    theirs = await createTestDatabase({ empty: true });
    const address = new URL(theirs.url);
    await admin.query(`CREATE ROLE ${login} LOGIN PASSWORD 'secret'`);
    await admin.query(`ALTER DATABASE ${address.pathname.slice(1)} OWNER TO ${login}`);
    address.username = login;
    address.password = 'secret';
    url = address.href;
  });
  afterAll(async () => {
    await theirs.drop();
    await admin.query(`DROP ROLE ${login}`);
  });

  /** Does what a start does, and inserts two workspaces with a task each. */
  async function start(work: (db: Database, tasks: TaskRepository, warnings: string[]) => Promise<void>) {
    await migrate({ databaseUrl: url, migrationsDir, log });
    const warnings: string[] = [];
    const loud = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    const db = new Database({ url, maxConnections: 2, log: loud });
    await work(db, new TaskRepository(db), warnings).finally(() => db.close());
  }
  const ALL_TASKS = statement('all-tasks', 'SELECT id FROM tasks');

  test('serves callers without row-level security when the role is unavailable, and logs that once', async () => {
    await start(async (db, tasks, warnings) => {
      const [one, other] = [newTask(newId()), newTask(newId())];
      for (const task of [one, other]) await tasks.insert(task, 'test');
      expect(await tasks.findMany(workspaceVisibility(one.workspaceId), [one.id, other.id])).toMatchObject([
        { id: one.id },
      ]);
      expect(await db.queryAsCaller({ workspaceId: one.workspaceId }, ALL_TASKS, {})).toHaveLength(2);
      expect(await db.hasRowSecurity()).toBe(false);
      expect(warnings).toEqual([expect.stringContaining('row-level security is off')]);
    });
  });

  test('has row-level security from the next start after an administrator has granted the role', async () => {
    await admin.query(`GRANT darkroom_caller TO ${login}`);
    await start(async (db, tasks, warnings) => {
      const [one, other] = [newTask(newId()), newTask(newId())];
      for (const task of [one, other]) expect(await tasks.insert(task, 'test')).not.toBeNull();
      expect(await db.queryAsCaller({ workspaceId: one.workspaceId }, ALL_TASKS, {})).toEqual([
        { id: one.id },
      ]);
      expect(warnings).toEqual([]);
    });
  });

  test('sees its rows again after the next start when a restored database lacks the policies', async () => {
    let tasks: unknown[] = [];
    await start(async (db) => {
      tasks = await db.query(ALL_TASKS, {});
      await db.pool.query('DROP POLICY owner_access ON tasks; DROP POLICY caller_access ON tasks');
      expect(await db.query(ALL_TASKS, {})).toEqual([]);
    });
    await start(async (db) => {
      expect(await db.query(ALL_TASKS, {})).toEqual(tasks);
      expect(await db.queryAsCaller({ workspaceId: newId() }, ALL_TASKS, {})).toEqual([]);
    });
    expect(tasks).not.toEqual([]);
  });

  test('still sees its rows when an administrator has run the migrations as well', async () => {
    await start(async (db) => {
      await migrate({ databaseUrl: theirs.url, migrationsDir, log });
      expect(await db.query(ALL_TASKS, {})).not.toEqual([]);
    });
  });

  test('does background work in all workspaces despite forced row-level security', async () => {
    await start(async (db, tasks) => {
      const { length } = await db.query(ALL_TASKS, {});
      const task = newTask(newId());
      await tasks.insert(task, 'test');
      await tasks.transitionTo(task.id, 'CANCELED', {
        event: { type: 'TASK_CANCELED', actor: 'test', data: { outcome: 'NOT_SENT' } },
      });
      expect(await db.query(ALL_TASKS, {})).toHaveLength(length + 1);
      const events = new EventRepository(db);
      expect(await events.seal(1_000)).toBeGreaterThanOrEqual(2);
      const written = await events.readTaskAfter({ ...task, taskId: task.id }, 0n, 10);
      expect(written.map(({ type }) => type)).toEqual(['TASK_REQUESTED', 'TASK_CANCELED']);
    });
  });
});
