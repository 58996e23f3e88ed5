import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { NotificationListener } from '../../../src/db/postgres/listener.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

let database: TestDatabase;
let sql: pg.Pool;
let listener: NotificationListener;
const received: string[] = [];
let timesListening = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 1 });
  listener = new NotificationListener({
    url: database.url,
    channel: 'test',
    log: pino({ level: 'silent' }),
    onNotification: (payload) => received.push(payload),
    onListening: () => (timesListening += 1),
  });
});
afterAll(async () => {
  await listener.close();
  await sql.end();
  await database.drop();
});

async function listeners(): Promise<number> {
  const text = `SELECT FROM pg_stat_activity WHERE application_name = 'darkroom listener' AND datname = current_database()`;
  return (await sql.query(text)).rowCount ?? 0;
}

test('a listener that is restarted, also while it connects, has one connection and receives each notification once', async () => {
  void listener.start();
  listener.restart();
  listener.restart();
  await waitFor('a connection', async () => (await listeners()) === 1);
  const timesBefore = timesListening;
  listener.restart();
  await waitFor('the new connection', async () => timesListening > timesBefore && (await listeners()) === 1);
  await sql.query(`NOTIFY test, 'first'`);
  await sql.query(`NOTIFY test, 'last'`);
  await waitFor('the last notification', () => received.includes('last'));
  expect(received).toEqual(['first', 'last']);
});
