import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { DatabaseUnavailable, WriteUnconfirmed } from '../../../src/core/errors.js';
import { Database } from '../../../src/db/postgres/database.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

let own: TestDatabase;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase({ empty: true });
  database = new Database({ url: own.url, maxConnections: 2, log: pino({ level: 'silent' }) });
});
afterAll(async () => {
  await database.close();
  await own.drop();
});

const SHORT_DEADLOCK_TIMEOUT = statement('deadlock-timeout', `SET LOCAL deadlock_timeout = '10ms'`);
const LOCK = statement<{ key: number }>('lock', 'SELECT pg_advisory_xact_lock(:key)');

test('one of two deadlocked transactions throws DatabaseUnavailable, and the other succeeds', async () => {
  let met = () => {};
  const both = new Promise<void>((resolve) => (met = resolve));
  let arrived = 0;
  const take = (first: number, second: number) =>
    database.transaction(async (query) => {
      await query(SHORT_DEADLOCK_TIMEOUT, {});
      await query(LOCK, { key: first });
      if ((arrived += 1) === 2) met();
      await both;
      await query(LOCK, { key: second });
    });
  const ends = await Promise.allSettled([take(1, 2), take(2, 1)]);
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const refused = ends.find((end) => end.status === 'rejected');
  expect(refused?.reason).toBeInstanceOf(DatabaseUnavailable);
});

describe('a transaction that writes through Prisma Client', () => {
  async function openBehindProxy() {
    await database.pool.query('CREATE TABLE IF NOT EXISTS writes (id int)');
    const { proxy, url } = await TcpProxy.inFrontOf(own.url);
    const behindProxy = new Database({ url, maxConnections: 1, log: pino({ level: 'silent' }) });
    return { proxy, behindProxy };
  }
  const countOf = async (id: number) =>
    (await database.pool.query('SELECT FROM writes WHERE id = $1', [id])).rowCount;

  test('throws WriteUnconfirmed when its connection is reset while it is committed, which it may have been', async () => {
    const { proxy, behindProxy } = await openBehindProxy();
    const write = behindProxy.transactionWithPrisma(async (prisma) => {
      await prisma.$executeRaw`INSERT INTO writes VALUES (1)`;
      proxy.loseAnswers();
    });
    const refused = expect(write).rejects.toThrow(WriteUnconfirmed);
    await waitFor('the commit', async () => (await countOf(1)) === 1);
    await proxy.reset();
    await refused;
    await behindProxy.close();
  });

  test('throws WriteUnconfirmed when the commit is not sent, because that looks the same', async () => {
    const { proxy, behindProxy } = await openBehindProxy();
    const write = behindProxy.transactionWithPrisma(async (prisma) => {
      await prisma.$executeRaw`INSERT INTO writes VALUES (2)`;
      await proxy.reset();
    });
    await expect(write).rejects.toThrow(WriteUnconfirmed);
    expect(await countOf(2)).toBe(0);
    await behindProxy.close();
  });

  test('throws DatabaseUnavailable when its connection is reset before', async () => {
    const { proxy, behindProxy } = await openBehindProxy();
    const write = behindProxy.transactionWithPrisma(async (prisma) => {
      await prisma.$executeRaw`INSERT INTO writes VALUES (3)`;
      await proxy.reset();
      await prisma.$executeRaw`INSERT INTO writes VALUES (3)`;
    });
    await expect(write).rejects.toThrow(DatabaseUnavailable);
    await expect(behindProxy.transactionWithPrisma(() => Promise.resolve())).rejects.toThrow(
      DatabaseUnavailable,
    );
    expect(await countOf(3)).toBe(0);
    await behindProxy.close();
  });

  test('throws the error of its work', async () => {
    const failure = new Error('of the work');
    await expect(database.transactionWithPrisma(() => Promise.reject(failure))).rejects.toBe(failure);
  });
});
