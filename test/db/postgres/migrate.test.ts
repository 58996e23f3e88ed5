import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { pino } from 'pino';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { diffSchema } from '../../../scripts/prisma-schema-diff.js';
import { waitFor } from '../../support/wait-for.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const log = pino({ level: 'silent' });
const ours = resolve('prisma/migrations');
const schemaFile = resolve('prisma/schema.prisma');

let database: TestDatabase;
let dir: string;

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  dir = await mkdtemp(join(tmpdir(), 'darkroom-migrations-'));
});
afterEach(async () => {
  await database.drop();
  await rm(dir, { recursive: true });
});

function run(migrationsDir = dir): Promise<string[]> {
  return migrate({ databaseUrl: database.url, migrationsDir, log });
}

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, 'migration.sql'), sql);
}

async function query<Row>(sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query(sql).finally(() => client.end());
  return rows as Row[];
}

describe('migrate', () => {
  test('creates the tables of an empty database, and the queue', async () => {
    const applied = await run(ours);
    expect(applied.length).toBeGreaterThan(0);
    expect(
      await query(`select to_regclass('tasks') as tasks, to_regclass('graphile_worker.jobs') as jobs`),
    ).toEqual([{ tasks: 'tasks', jobs: 'graphile_worker.jobs' }]);
  });

  test('creates what schema.prisma describes', async () => {
    await run(ours);
    expect(await diffSchema({ databaseUrl: database.url, schemaFile })).toBe('');
  });

  test('does nothing the second time', async () => {
    await write('20260101000000_first', 'create table a (id int)');
    expect(await run()).toEqual(['20260101000000_first']);
    expect(await run()).toEqual([]);
  });

  test('applies each migration once when four instances start together', async () => {
    await write('20260101000000_first', 'create table a (id int); insert into a values (1)');
    await write('20260102000000_second', 'insert into a values (2)');
    const applied = await Promise.all([run(), run(), run(), run()]);
    expect(applied.flat()).toEqual(['20260101000000_first', '20260102000000_second']);
    expect(await query('select id from a order by id')).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test('lets other statements pass while a table that it changes is locked, and is applied in the end', async () => {
    await write('20260101000000_first', 'create table a (id int)');
    await run();
    await write('20260102000000_second', 'alter table a add column name text');
    const holder = new Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('begin; lock table a in access share mode');
    const migrated = run();
    const isWaiting = async () =>
      (await query(`select from pg_locks where relation = 'a'::regclass and not granted`)).length > 0;
    await waitFor('the migration to wait for the lock', isWaiting);
    // It would wait behind the migration for as long as the holder has the lock.
    expect(await query('select id from a')).toEqual([]);
    await waitFor('the next attempt', isWaiting);
    await holder.end();
    expect(await migrated).toEqual(['20260102000000_second']);
    expect(await query('select name from a')).toEqual([]);
  });

  test('builds an index again that a killed build left invalid in another schema', async () => {
    const table = 'graphile_worker._private_jobs';
    await write('20260101000000_first', 'create table a (id int)');
    await run();
    await query(`create index jobs_run_at_idx on ${table} (run_at)`);
    await query(
      `update pg_index set indisvalid = false where indexrelid = 'graphile_worker.jobs_run_at_idx'::regclass`,
    );
    await write('20260102000000_second', `create index concurrently jobs_run_at_idx on ${table} (run_at)`);
    expect(await run()).toEqual(['20260102000000_second']);
    const find = `select indisvalid as valid from pg_index where indexrelid = to_regclass('graphile_worker.jobs_run_at_idx')`;
    expect(await query(find)).toEqual([{ valid: true }]);
  });

  describe('with an index that is built concurrently', () => {
    const ROWS = 100_000;
    let holder: Client;
    beforeEach(async () => {
      await write('20260101000000_first', 'create table a (id int); create table b (id int)');
      await run();
      await query(`insert into a select generate_series(1, ${ROWS})`);
      const sql = '-- Finds rows by their IDs.\ncreate index concurrently a_id_idx on a (id);\n';
      await write('20260102000000_second', sql);
      await write('20260103000000_third', 'alter table a add column name text');
      // The build waits for a transaction that has written to the table, so the test can look at its middle.
      holder = new Client({ connectionString: database.url });
      await holder.connect();
      await holder.query('begin; insert into a values (0)');
    });
    afterEach(() => holder.end());

    const findBuild = () =>
      query<{ pid: number; waiting: boolean }>(
        `select pid, phase like 'waiting%' as waiting from pg_stat_progress_create_index
         where datname = current_database()`,
      );
    const waitForBuild = () =>
      waitFor('the build to wait', async () => (await findBuild())[0]?.waiting === true);
    const findIndex = () =>
      query(`select indisvalid as valid from pg_index where indexrelid = to_regclass('a_id_idx')`);

    test('lets others write meanwhile, and builds it once when four instances start together', async () => {
      const migrated = Promise.all([run(), run(), run(), run()]);
      await waitForBuild();
      for (let id = 1; id <= 20; id += 1) await query(`insert into a values (-${id})`);
      expect(await query('delete from a where id = -1 returning id')).toEqual([{ id: -1 }]);
      expect(await findBuild()).toHaveLength(1);
      await holder.query('commit');
      const applied = (await migrated).flat();
      expect(applied).toEqual(['20260102000000_second', '20260103000000_third']);
      expect(await findIndex()).toEqual([{ valid: true }]);
      expect(await query('select count(*)::int from a')).toEqual([{ count: ROWS + 20 }]);
    });

    test('builds it again when a build is killed in the middle', async () => {
      const killed = run();
      killed.catch(() => undefined);
      await waitForBuild();
      await query(`select pg_terminate_backend(${(await findBuild())[0]?.pid})`);
      await expect(killed).rejects.toThrow(
        /20260102000000_second failed: .* drops what is left of the index a_id_idx/,
      );
      expect(await findIndex()).toEqual([{ valid: false }]);
      await holder.query('commit');
      expect(await run()).toEqual(['20260102000000_second', '20260103000000_third']);
      expect(await findIndex()).toEqual([{ valid: true }]);
    });

    test('only records it when its record was lost after the build', async () => {
      await holder.query('commit; create index a_id_idx on a (id)');
      const oid = () => query(`select 'a_id_idx'::regclass::oid`);
      const built = await oid();
      expect(await run()).toEqual(['20260102000000_second', '20260103000000_third']);
      expect(await oid()).toEqual(built);
    });
  });

  test('applies functions with semicolons in their bodies', async () => {
    await write(
      '20260101000000_f',
      `create function f() returns int language plpgsql as $$ begin return 1; end $$;`,
    );
    await run();
    expect(await query('select f()')).toEqual([{ f: 1 }]);
  });

  test('names a failing migration and its line, applies none of it, and continues with it once it is fixed', async () => {
    await write('20260101000000_good', 'create table a (id int)');
    await write('20260102000000_bad', 'create table b (id int);\nselect nonsense;');
    await expect(run()).rejects.toThrow(
      /20260102000000_bad failed at line 2: column "nonsense" does not exist/,
    );
    expect(await query(`select to_regclass('a') as a, to_regclass('b') as b`)).toEqual([{ a: 'a', b: null }]);

    await writeFile(join(dir, '20260102000000_bad', 'migration.sql'), 'create table b (id int)');
    expect(await run()).toEqual(['20260102000000_bad']);
  });

  test('fails after a migration that another tool left unfinished, and says how to continue', async () => {
    await write('20260101000000_first', 'create table a (id int)');
    await run();
    await query('update _prisma_migrations set finished_at = null');
    await expect(run()).rejects.toThrow(/20260101000000_first .* prisma migrate resolve/);
  });

  test('refuses a database whose first migration is not ours, and changes nothing', async () => {
    await write('20250101000000_theirs', 'create table a (id int)');
    await run();
    await rm(join(dir, '20250101000000_theirs'), { recursive: true });
    await write('20260101000000_first', 'create table b (id int)');
    await expect(run()).rejects.toThrow(
      /20250101000000_theirs\. Set DATABASE_URL or DATA_DIR to an empty database/,
    );
    expect(await query(`select to_regclass('b') as b`)).toEqual([{ b: null }]);
  });

  test('accepts a database that a newer version has migrated', async () => {
    await write('20260101000000_first', 'create table a (id int)');
    await write('20260102000000_newer', 'create table b (id int)');
    await run();
    await rm(join(dir, '20260102000000_newer'), { recursive: true });
    expect(await run()).toEqual([]);
  });

  test('writes the records that Prisma writes', async () => {
    await write('20260101000000_first', 'create table a (id int)');
    await run();
    expect(
      await query(`select migration_name, checksum, finished_at is null as unfinished, rolled_back_at, logs,
                          applied_steps_count as steps from _prisma_migrations`),
    ).toEqual([
      {
        migration_name: '20260101000000_first',
        // sha256 of the file, which is what Prisma's engine writes for it
        checksum: '1a2f7426649c1960ad2dbbbbb3ff8d4c757d44e04dfa52ee60ee2132e71b3300',
        unfinished: false,
        rolled_back_at: null,
        logs: null,
        steps: 1,
      },
    ]);
  });
});

describe('diffSchema', () => {
  test('returns the SQL for what the database lacks', async () => {
    await run();
    const sql = await diffSchema({ databaseUrl: database.url, schemaFile });
    expect(sql).toContain('CREATE TABLE "tasks"');
  });

  test('ignores what schema.prisma cannot express', async () => {
    await run(ours);
    await query(`create index by_hand_partial on tasks (created_at) where status = 'QUEUED'`);
    await query(`create index by_hand_expression on tasks (lower(prompt))`);
    await query(`alter table tasks add constraint by_hand check (prompt <> 'x')`);
    expect(await diffSchema({ databaseUrl: database.url, schemaFile })).toBe('');
  });
});
