import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { ENTER_GROUP } from '../../../src/db/postgres/statement-groups.js';
import { bind, statement } from '../../../src/db/postgres/statement.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
const COUNT = 20;
const KEYS = Array.from({ length: COUNT }, (_, index) => `key ${String(index).padStart(2, '0')}`);

let own: TestDatabase;
let db: Database;
let other: Client;
let observer: Client;
beforeAll(async () => {
  own = await createTestDatabase();
  other = new Client({ connectionString: own.url });
  observer = new Client({ connectionString: own.url });
  await Promise.all([other.connect(), observer.connect()]);
  await other.query(
    `CREATE TABLE grouped (key text PRIMARY KEY, share int NOT NULL, place serial, xact xid8 DEFAULT pg_current_xact_id())`,
  );
});
afterAll(async () => {
  await Promise.all([other.end(), observer.end()]);
  await own.drop();
});
beforeEach(async () => {
  await other.query('TRUNCATE grouped RESTART IDENTITY');
  db = new Database({ url: own.url, maxConnections: 8, log });
});
afterEach(() => db.close());

interface Parameters {
  workspaceId: string;
  key: string;
  divisor: number;
}
const INSERT = statement<Parameters, { key: string }>(
  'insert-grouped',
  `WITH written AS (
     INSERT INTO grouped (key, share) SELECT :key, 100 / :divisor::int ON CONFLICT DO NOTHING RETURNING key
   ) SELECT key FROM written`,
);
const [ours, theirs] = [newId(), newId()];
const insert = (key: string, { divisor = 1, workspaceId = ours } = {}) =>
  db.queryInGroup(INSERT, { workspaceId, key, divisor }, { group: workspaceId, order: key });

async function written(): Promise<{ key: string; xact: string }[]> {
  const { rows } = await other.query<{ key: string; xact: string }>(
    'SELECT key, xact::text FROM grouped ORDER BY place',
  );
  return rows;
}

/** The process of the connection of `db` that waits for this. */
const findWaiting = (event: string) =>
  waitFor(`a connection that waits for ${event}`, async () => {
    const { rows } = await observer.query<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE wait_event = $1 AND datname = current_database()',
      [event],
    );
    return rows[0]?.pid;
  });

test('writes that arrive together share a transaction, and each gets its own rows', async () => {
  expect(await Promise.all(KEYS.map((key) => insert(key)))).toEqual(KEYS.map((key) => [{ key }]));
  const rows = await written();
  expect(rows.map(({ key }) => key)).toEqual(KEYS);
  // A group has 16 at most.
  expect(new Set(rows.map(({ xact }) => xact)).size).toBe(2);
});

test('writes that arrive while others are in progress share the next transaction', async () => {
  const first = insert('first');
  await new Promise(setImmediate);
  await Promise.all([first, ...KEYS.slice(0, 16).map((key) => insert(key))]);
  expect(new Set((await written()).map(({ xact }) => xact)).size).toBe(2);
});

test('writes of another workspace share no transaction with them', async () => {
  await Promise.all(
    KEYS.slice(0, 16).map((key, index) => insert(key, { workspaceId: index % 2 === 0 ? ours : theirs })),
  );
  expect(new Set((await written()).map(({ xact }) => xact)).size).toBe(2);
});

test('the writes of a group run in their order, whatever order they arrived in', async () => {
  const keys = KEYS.slice(0, 16);
  await Promise.all(keys.toReversed().map((key) => insert(key)));
  expect((await written()).map(({ key }) => key)).toEqual(keys);
});

test('a write sees what the one before it in its group has written', async () => {
  const results = await Promise.all([insert('the same'), insert('the same'), insert('another')]);
  expect(results.map((rows) => rows.length).toSorted()).toEqual([0, 1, 1]);
  expect(await written()).toHaveLength(2);
});

test.each(['XX001', '26000', '42501'])('a write that fails with %s fails alone', async (code) => {
  await other.query(`CREATE OR REPLACE FUNCTION damaged() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'why' USING ERRCODE = '${code}'; END $$`);
  const read = statement<{ workspaceId: string; key: string }, { key: string }>(
    'insert-grouped-damaged',
    `INSERT INTO grouped (key, share) SELECT CASE WHEN :key::text = 'key 3' THEN damaged() ELSE :key END, 1
     WHERE :workspaceId <> '' RETURNING key`,
  );
  const keys = ['key 1', 'key 2', 'key 3', 'key 4'];
  const results = await Promise.allSettled(
    keys.map((key) => db.queryInGroup(read, { workspaceId: ours, key }, { group: ours, order: key })),
  );
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect((await written()).map(({ key }) => key).toSorted()).toEqual(['key 1', 'key 2', 'key 4']);
});

test('a write that fails fails alone', async () => {
  const results = await Promise.allSettled(
    KEYS.map((key, index) => insert(key, { divisor: index === 3 ? 0 : 1 })),
  );
  expect(results.filter(({ status }) => status === 'rejected')).toEqual([
    { status: 'rejected', reason: expect.objectContaining({ code: '22012' }) as unknown },
  ]);
  expect(await written()).toHaveLength(COUNT - 1);
});

test('a write that waits for a lock does not keep the others of its group waiting', async () => {
  await other.query('BEGIN');
  await other.query("INSERT INTO grouped (key, share) VALUES ('key 03', 1)");
  const [locked = '', ...free] = ['key 03', ...KEYS.filter((key) => key !== 'key 03')];
  const waiting = insert(locked);
  expect(await Promise.all(free.map((key) => insert(key)))).toHaveLength(COUNT - 1);
  await findWaiting('transactionid');
  await other.query('ROLLBACK');
  expect(await waiting).toEqual([{ key: locked }]);
  expect(await written()).toHaveLength(COUNT);
});

test('writes that wait for a lock keep no later write waiting', async () => {
  await other.query('BEGIN');
  const locked = KEYS.slice(0, 4);
  await other.query('INSERT INTO grouped (key, share) SELECT unnest($1::text[]), 1', [locked]);
  const waiting = locked.map(async (key) => {
    await new Promise(setImmediate);
    return insert(key);
  });
  await findWaiting('transactionid');
  const free = KEYS.slice(4);
  for (const key of free) expect(await insert(key)).toEqual([{ key }]);
  await other.query('ROLLBACK');
  expect(await Promise.all(waiting)).toEqual(locked.map((key) => [{ key }]));
});

test('a group of which only a part arrives keeps no lock', async () => {
  const client = await db.pool.connect();
  const { connection } = client as unknown as {
    connection: {
      bind(config: object): void;
      execute(config: object): void;
      on(event: 'end', listener: () => void): void;
    };
  };
  await client.query(bind(ENTER_GROUP, {}));
  const { values, ...sql } = bind(INSERT, { workspaceId: ours, key: 'first', divisor: 1 });
  await client.query({ ...sql, values });
  const hasEnded = new Promise<void>((resolve) => connection.on('end', resolve));
  connection.bind({ statement: 'enter-group', values: [] });
  connection.execute({});
  connection.bind({ statement: sql.name, values: ['held', '1'] });
  // Without a Sync, it is not committed.
  connection.execute({});
  await hasEnded;
  client.release(true);
  expect(await insert('held')).toEqual([{ key: 'held' }]);
});

test('when the connection breaks, every write of the group fails as unavailable, and nothing is written', async () => {
  const slowly = statement<Omit<Parameters, 'divisor'> & { seconds: number }, { key: string }>(
    'insert-slowly',
    `WITH written AS (INSERT INTO grouped (key, share) VALUES (:key, 1) RETURNING key)
     SELECT key FROM written, pg_sleep(:seconds::int)`,
  );
  const writes = Promise.allSettled(
    KEYS.slice(0, 16).map((key, index) =>
      db.queryInGroup(
        slowly,
        { workspaceId: ours, key, seconds: index === 3 ? 30 : 0 },
        { group: ours, order: key },
      ),
    ),
  );
  const pid = await findWaiting('PgSleep');
  await observer.query('SELECT pg_terminate_backend($1)', [pid]);
  for (const result of await writes)
    expect(result).toEqual({ status: 'rejected', reason: expect.any(DatabaseUnavailable) as unknown });
  expect(await written()).toEqual([]);
});

test('writes that cannot start in time fail as unavailable', async () => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => db.pool.connect()));
  const results = await Promise.allSettled(KEYS.map((key) => insert(key)));
  for (const client of clients) client.release();
  for (const result of results)
    expect(result).toEqual({ status: 'rejected', reason: expect.any(DatabaseUnavailable) as unknown });
  expect(await written()).toEqual([]);
});

describe('reads of callers', () => {
  const READ = statement<{ divisor: number }, { workspaceId: string; at: string }>(
    'read-grouped',
    `SELECT current_setting('darkroom.workspace_id') AS "workspaceId", now()::text AS at, 1 / :divisor::int`,
    { needsSlot: false },
  );
  const read = (workspaceId: string, divisor = 1) => db.queryAsCaller({ workspaceId }, READ, { divisor });

  test('share a transaction with reads of their workspace only', async () => {
    const workspaces = KEYS.map((_, index) => (index % 3 === 0 ? theirs : ours));
    await read(ours);
    const rows = (await Promise.all(workspaces.map((workspaceId) => read(workspaceId)))).flat();
    expect(rows.map(({ workspaceId }) => workspaceId)).toEqual(workspaces);
    for (const workspace of [ours, theirs])
      expect(
        new Set(rows.filter(({ workspaceId }) => workspaceId === workspace).map(({ at }) => at)).size,
      ).toBe(1);
  });

  test('are made again when the connection of their group breaks', async () => {
    const sleepOnce = statement<{ key: string }, { key: string }>(
      'sleep-once',
      `SELECT :key AS key, CASE WHEN :key = 'key 03' AND NOT EXISTS (SELECT FROM grouped) THEN pg_sleep(30) END`,
      { needsSlot: false },
    );
    await other.query('GRANT SELECT ON grouped TO darkroom_caller');
    const reads = KEYS.slice(0, 16).map((key) => db.queryAsCaller({ workspaceId: ours }, sleepOnce, { key }));
    const pid = await findWaiting('PgSleep');
    await insert('awake');
    await observer.query('SELECT pg_terminate_backend($1)', [pid]);
    expect((await Promise.all(reads)).map(([row]) => row?.key)).toEqual(KEYS.slice(0, 16));
  });

  test('fail alone', async () => {
    const results = await Promise.allSettled(KEYS.map((_, index) => read(ours, index === 3 ? 0 : 1)));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  });
});
