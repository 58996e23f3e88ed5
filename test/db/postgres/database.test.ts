import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pino from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { Database } from '../../../src/db/postgres/database.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

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
