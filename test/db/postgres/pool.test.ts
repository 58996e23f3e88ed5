import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { Database } from '../../../src/db/postgres/database.js';
import { DatabaseClient } from '../../../src/db/postgres/pool.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const MAX_CONNECTIONS = 6;
const READ = statement<object, { pid: number }>(
  'read-pid',
  'SELECT pg_backend_pid() AS pid, pg_sleep(0.1)::text',
);
const WRITE = statement('write-lease', `UPDATE leases SET expires_at = now()`);

let database: TestDatabase;
let proxy: TcpProxy;
let db: Database;
let admin: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  const adminUrl = new URL(database.url);
  adminUrl.pathname = '/postgres';
  admin = new pg.Client({ connectionString: adminUrl.href });
  await admin.connect();
});
beforeEach(async () => {
  const opened = await TcpProxy.inFrontOf(database.url);
  ({ proxy } = opened);
  db = new Database({ url: opened.url, maxConnections: MAX_CONNECTIONS, log: pino({ level: 'silent' }) });
});
afterEach(async () => {
  await db.close();
  await proxy.cut();
});
afterAll(async () => {
  await admin.end();
  await database.drop();
});

test('a connection that breaks before anyone uses it does not end the process', async () => {
  const client = new DatabaseClient({ connectionString: database.url });
  const { rows } = await client
    .connect()
    .then(() => client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'));
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  await admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
  await ended;
});

const readAtOnce = (count: number) => Promise.all(Array.from({ length: count }, () => db.query(READ, {})));

/** Each way of reaching PostgreSQL. A library that gets a connection of its own releases it as if it were good. */
const WAYS: Record<string, () => Promise<unknown>> = {
  'a statement': () => db.query(WRITE, {}),
  'a transaction': () => db.transaction((query) => query(WRITE, {})),
  'Prisma Client': () => db.prisma.lease.updateMany({ data: { expiresAt: new Date() } }),
  'a transaction of Prisma Client': () =>
    db.transactionWithPrisma((prisma) => prisma.lease.updateMany({ data: { expiresAt: new Date() } })),
  "the queue's connection": async () => {
    const client = await db.pool.connect();
    try {
      await client.query('UPDATE leases SET expires_at = now()');
    } finally {
      client.release();
    }
  },
};

describe('connections that fell silent', () => {
  test('fail each statement in time, and are all replaced at once when the network is back', async () => {
    const before = (await readAtOnce(MAX_CONNECTIONS)).map(([row]) => row?.pid);
    proxy.freeze();
    const results = await Promise.allSettled(
      Array.from({ length: MAX_CONNECTIONS }, () => db.query(READ, {})),
    );
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(DatabaseUnavailable) });
    await proxy.cut();
    await proxy.restore();
    const after = (await readAtOnce(MAX_CONNECTIONS)).map(([row]) => row?.pid);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  }, 30_000);

  test.each(Object.keys(WAYS))(
    'are replaced after the failure of %s',
    async (way) => {
      await readAtOnce(1);
      proxy.freeze();
      await expect(WAYS[way]?.()).rejects.toThrow();
      await proxy.cut();
      await proxy.restore();
      await WAYS[way]?.();
    },
    30_000,
  );
});

describe('connections to a server that has become read-only', () => {
  afterEach(() => admin.query(`ALTER DATABASE ${nameOf(database)} RESET default_transaction_read_only`));

  test.each(Object.keys(WAYS))('are replaced after the failure of %s', async (way) => {
    await admin.query(`ALTER DATABASE ${nameOf(database)} SET default_transaction_read_only = on`);
    const write = WAYS[way] ?? (() => Promise.resolve());
    await expect(write()).rejects.toThrow(/read-only|database/i);
    await admin.query(`ALTER DATABASE ${nameOf(database)} RESET default_transaction_read_only`);
    await write();
  });
});

function nameOf({ url }: TestDatabase): string {
  return new URL(url).pathname.slice(1);
}
