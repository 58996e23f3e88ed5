import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { StatementGroups } from '../../../src/db/postgres/statement-groups.js';
import { statement } from '../../../src/db/postgres/statement.js';
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

const INSERT = statement<{ key: string; divisor: number }, { key: string }>(
  'insert-grouped',
  `WITH written AS (
     INSERT INTO grouped (key, share) SELECT :key, 100 / :divisor::int ON CONFLICT DO NOTHING RETURNING key
   ) SELECT key FROM written`,
);
const insert = (key: string, divisor = 1) => db.queryInGroup(INSERT, { key, divisor }, key);

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
  expect(new Set(rows.map(({ xact }) => xact)).size).toBe(1);
});

test('writes that arrive while others are in progress share the next transaction', async () => {
  const first = insert('first');
  await new Promise(setImmediate);
  const second = insert('second');
  await new Promise(setImmediate);
  const later = KEYS.map((key) => insert(key));
  await Promise.all([first, second, ...later]);
  const rows = await written();
  expect(new Set(rows.filter(({ key }) => KEYS.includes(key)).map(({ xact }) => xact)).size).toBe(1);
  expect(new Set(rows.map(({ xact }) => xact)).size).toBe(3);
});

test('the writes of a group run in their lock order, whatever order they arrived in', async () => {
  await Promise.all(KEYS.toReversed().map((key) => insert(key)));
  expect((await written()).map(({ key }) => key)).toEqual(KEYS);
});

test('a write sees what the one before it in its group has written', async () => {
  const results = await Promise.all([insert('the same'), insert('the same'), insert('another')]);
  expect(results.map((rows) => rows.length).toSorted()).toEqual([0, 1, 1]);
  expect(await written()).toHaveLength(2);
});

test('a write that fails fails alone', async () => {
  const results = await Promise.allSettled(KEYS.map((key, index) => insert(key, index === 3 ? 0 : 1)));
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

test('when the connection breaks, every write of the group fails as unavailable, and nothing is written', async () => {
  const slowly = statement<{ key: string; seconds: number }, { key: string }>(
    'insert-slowly',
    `WITH written AS (INSERT INTO grouped (key, share) VALUES (:key, 1) RETURNING key)
     SELECT key FROM written, pg_sleep(:seconds::int)`,
  );
  const writes = Promise.allSettled(
    KEYS.map((key, index) => db.queryInGroup(slowly, { key, seconds: index === 3 ? 30 : 0 }, key)),
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
  const [ours, theirs] = [newId(), newId()];
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

  test('fail alone', async () => {
    const results = await Promise.allSettled(KEYS.map((_, index) => read(ours, index === 3 ? 0 : 1)));
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  });
});

test('nothing is kept of statements that have run', async () => {
  const groups = new StatementGroups();
  const grouped = {
    runTogether: async (valueLists: readonly unknown[][]) =>
      Promise.all(valueLists.map((values) => grouped.runAlone(values))),
    runAlone: async (values: unknown[]) =>
      (await db.pool.query<{ value: string }>('SELECT $1::text AS value', values)).rows,
    isRolledBack: () => true,
  };
  const rows = await Promise.all(
    KEYS.map((key, index) => groups.run(`key ${index % 3}`, grouped, { values: [key], order: key })),
  );
  expect(rows).toEqual(KEYS.map((key) => [{ value: key }]));
  await waitFor('an empty map', () => groups.size === 0);
});
