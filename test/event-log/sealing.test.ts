import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { SeededRandom } from '../../src/sandbox/painting/seeded-random.js';
import { Database } from '../../src/db/postgres/database.js';
import { Events } from '../../src/db/events/event-repository.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';
import { Instance } from '../support/app/child-program.js';
import { addTasks, sealedEvents, writeEvent, writeMany } from '../support/events/event-rows.js';

/** What is promised: an instance that stops or dies holds up the others for no longer. */
const LONGEST_MS = 3_000;
const silent = pino({ level: 'silent' });
const random = new SeededRandom(process.env.SEALING_SEED ?? 'sealing');

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let events: Events;
let log: EventLog;
/** What the log has handed out. */
const seen: TaskEvent[] = [];
let tasks: string[];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 8 });
  db = new Database({ url: database.url, maxConnections: 4, log: silent });
  events = new Events(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  log.read((batch) => seen.push(...batch));
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  tasks = await addTasks(sql, workspaceId, 2);
});
beforeEach(() => {
  seen.length = 0;
});
afterAll(async () => {
  await log.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

const taskAt = (index: number) => tasks[index] ?? '';
/** Writes events, one commit each, and waits until they have come through. */
async function comesThrough(count: number): Promise<void> {
  const before = seen.length;
  for (let n = 0; n < count; n += 1) {
    await writeEvent(sql, taskAt(0), 'TASK_SUBMITTED');
    log.sealSoon();
  }
  await waitFor('the events', () => seen.length >= before + count, { timeoutMs: LONGEST_MS });
}
async function expectNoFault(): Promise<void> {
  const sealed = await sealedEvents(sql);
  expect(sealed.map(({ position }) => position)).toEqual(sealed.map((_event, index) => index + 1));
  const own = sealed.slice(-seen.length);
  expect(seen.map(({ id }) => id)).toEqual(own.map(({ id }) => id));
}

describe('a transaction that stays open', () => {
  test('holds up nobody when it has written an event, and that event is not skipped', async () => {
    const client = await sql.connect();
    await client.query('BEGIN');
    await writeEvent(client, taskAt(1), 'TASK_FAILED');
    for (let turn = 0; turn < 20; turn += 1) await comesThrough(10);
    expect(seen.map(({ taskId }) => taskId)).toEqual(seen.map(() => taskAt(0)));
    await client.query('COMMIT');
    client.release();
    await comesThrough(1);
    await waitFor('the slow event', () => seen.some(({ type }) => type === 'TASK_FAILED'));
    expect(seen.filter(({ type }) => type === 'TASK_FAILED')).toHaveLength(1);
    expect(seen).toHaveLength(202);
    await expectNoFault();
  });

  test('that is rolled back leaves no gap', async () => {
    const client = await sql.connect();
    await client.query('BEGIN');
    await writeEvent(client, taskAt(1), 'TASK_FAILED');
    await comesThrough(5);
    await client.query('ROLLBACK');
    client.release();
    await comesThrough(5);
    expect(seen).toHaveLength(10);
    await expectNoFault();
  });

  test.each([
    ['has changed another row', 'BEGIN; UPDATE tasks SET attempts = 1 WHERE id = '],
    ['holds a snapshot', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM task_events WHERE task_id = '],
    ['has read the whole log', 'BEGIN; SELECT FROM task_events; SELECT * FROM event_log_head; SELECT '],
  ])('holds up nothing when it %s', async (_what, statement) => {
    const client = await sql.connect();
    await client.query(`${statement}'${taskAt(1)}'`);
    for (let turn = 0; turn < 20; turn += 1) await comesThrough(10);
    await client.query('ROLLBACK');
    client.release();
    await expectNoFault();
  });
});

describe('an instance', () => {
  const startSealer = (environment: Record<string, string> = {}) =>
    Instance.start<object>('test/support/events/sealer-main.ts', {
      DATABASE_URL: database.url,
      ...environment,
    });

  test('that is stopped at any moment of its sealing holds up the others for less than 3 s', async () => {
    const sealer = await startSealer();
    for (let turn = 0; turn < 40; turn += 1) {
      await comesThrough(3);
      await pause(random.between(0, 15));
      sealer.send('SIGSTOP');
      await comesThrough(3);
      sealer.send('SIGCONT');
    }
    await sealer.end('SIGKILL');
    await expectNoFault();
  });

  test('that is killed at any moment of its sealing holds up the others for less than 3 s', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      const sealer = await startSealer();
      await comesThrough(5);
      await pause(random.between(0, 15));
      expect(await sealer.end('SIGKILL')).toBe('SIGKILL');
      await comesThrough(5);
    }
    await expectNoFault();
  }, 60_000);

  test.each(['SIGSTOP', 'SIGKILL'] as const)(
    'that gets a %s while the server seals for it holds up the others until that statement is done',
    async (signal) => {
      const sealer = await startSealer({ AT_ONCE: '1' });
      const ownSealing = jest.spyOn(events, 'seal').mockResolvedValue(null);
      const [head, next] = [await sql.connect(), await sql.connect()];
      await head.query('BEGIN; SELECT FROM event_log_head FOR UPDATE');
      await writeMany(sql, taskAt(1), 3);
      await next.query('BEGIN; SELECT FROM task_events WHERE position IS NULL FOR UPDATE');
      await head.query('COMMIT');
      await waitFor('a statement that cannot go on', async () => {
        const { rows } = await sql.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND query LIKE 'SELECT seal_events%'`,
        );
        return rows.length > 0;
      });
      ownSealing.mockRestore();
      if (signal === 'SIGSTOP') sealer.send(signal);
      else await sealer.end(signal);
      expect(await events.seal(1)).toBeNull();
      await next.query('COMMIT');
      for (const client of [head, next]) client.release();
      await writeEvent(sql, taskAt(0), 'TASK_SUBMITTED');
      log.sealSoon();
      await waitFor('everything', () => seen.length === 4);
      await sealer.end('SIGKILL');
      await expectNoFault();
    },
  );
});
