import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { SeededRandom } from '../../src/sandbox/painting/seeded-random.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';
import { ChildProgram } from '../support/app/child-program.js';
import {
  addFinishedTasks,
  readSealedEvents,
  insertEvent,
  insertEvents,
} from '../support/events/event-rows.js';

/** An instance that stops or dies must not delay the others for longer. */
const MAX_DELAY_MS = 3_000;
const silent = pino({ level: 'silent' });
const random = new SeededRandom(process.env.SEALING_SEED ?? 'sealing');

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let events: EventRepository;
let log: EventLog;
/** The events that the log has delivered. */
const seen: TaskEvent[] = [];
let tasks: string[];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 8 });
  db = new Database({ url: database.url, maxConnections: 4, log: silent });
  events = new EventRepository(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  log.startReading((batch) => seen.push(...batch));
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  tasks = await addFinishedTasks(sql, workspaceId, 2);
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
/** Writes events, one commit each, and waits until the log has delivered them. */
async function writeAndAwaitEvents(count: number): Promise<void> {
  const before = seen.length;
  for (let n = 0; n < count; n += 1) {
    await insertEvent(sql, taskAt(0), 'TASK_SUBMITTED');
    log.requestSeal();
  }
  await waitFor('the events', () => seen.length >= before + count, { timeoutMs: MAX_DELAY_MS });
}
async function expectConsistentLog(): Promise<void> {
  const sealed = await readSealedEvents(sql);
  expect(sealed.map(({ position }) => position)).toEqual(sealed.map((_event, index) => index + 1));
  const recent = sealed.slice(-seen.length);
  expect(seen.map(({ id }) => id)).toEqual(recent.map(({ id }) => id));
}

describe('a session that holds the log and seals nothing', () => {
  test('is no progress, is asked about less and less often, and delays the next event by little', async () => {
    let sealCalls = 0;
    class CountingEvents extends EventRepository {
      override seal(batchSize: number) {
        sealCalls += 1;
        return super.seal(batchSize);
      }
    }
    const countingLog = new EventLog(new CountingEvents(db), database.url, silent);
    await countingLog.start();
    const holder = await sql.connect();
    await holder.query('BEGIN; SELECT FROM event_log FOR UPDATE');
    try {
      await insertEvent(sql, taskAt(0), 'TASK_SUBMITTED');
      const heldAt = performance.now();
      sealCalls = 0;
      await waitFor('sealing to be stalled', () => (countingLog.stalledMs.sealing ?? 0) > 3_000, {
        timeoutMs: 10_000,
      });
      // Ten a second, and those of the first moments.
      expect(sealCalls).toBeLessThan(10 + (performance.now() - heldAt) / 100);
      expect(countingLog.stalledMs.sealing).toBeGreaterThan(3_000);
    } finally {
      await holder.query('ROLLBACK');
      holder.release();
    }
    await waitFor('the event', () => seen.length === 1, { timeoutMs: MAX_DELAY_MS });
    await waitFor('progress', () => (countingLog.stalledMs.sealing ?? Infinity) < 1_000);
    await countingLog.stop();
    await expectConsistentLog();
  });

  test('is no fault of an instance that sees another one seal', async () => {
    let isBusy = true;
    /** An instance that always finds another session sealing. */
    class BusyEvents extends EventRepository {
      override seal(batchSize: number) {
        return isBusy ? Promise.resolve(null) : super.seal(batchSize);
      }
    }
    const busyLog = new EventLog(new BusyEvents(db), database.url, silent);
    await busyLog.start();
    await waitFor('no progress', () => (busyLog.stalledMs.sealing ?? 0) > 500);
    await writeAndAwaitEvents(1);
    await waitFor('progress', () => (busyLog.stalledMs.sealing ?? Infinity) < 500);
    isBusy = false;
    await busyLog.stop();
  });
});

describe('an open transaction', () => {
  test('that has written an event delays no other event, and its own is not skipped', async () => {
    const client = await sql.connect();
    await client.query('BEGIN');
    await insertEvent(client, taskAt(1), 'TASK_FAILED');
    for (let round = 0; round < 20; round += 1) await writeAndAwaitEvents(10);
    expect(seen.map(({ taskId }) => taskId)).toEqual(seen.map(() => taskAt(0)));
    await client.query('COMMIT');
    client.release();
    await writeAndAwaitEvents(1);
    await waitFor('the event of the open transaction', () => seen.some(({ type }) => type === 'TASK_FAILED'));
    expect(seen.filter(({ type }) => type === 'TASK_FAILED')).toHaveLength(1);
    expect(seen).toHaveLength(202);
    await expectConsistentLog();
  });

  test('that is rolled back leaves no gap', async () => {
    const client = await sql.connect();
    await client.query('BEGIN');
    await insertEvent(client, taskAt(1), 'TASK_FAILED');
    await writeAndAwaitEvents(5);
    await client.query('ROLLBACK');
    client.release();
    await writeAndAwaitEvents(5);
    expect(seen).toHaveLength(10);
    await expectConsistentLog();
  });

  test.each([
    ['has updated another row', 'BEGIN; UPDATE tasks SET attempts = 1 WHERE id = '],
    ['holds a snapshot', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM task_events WHERE task_id = '],
    ['has read the whole log', 'BEGIN; SELECT FROM task_events; SELECT * FROM event_log_head; SELECT '],
  ])('that %s delays no event', async (_what, statement) => {
    const client = await sql.connect();
    await client.query(`${statement}'${taskAt(1)}'`);
    for (let round = 0; round < 20; round += 1) await writeAndAwaitEvents(10);
    await client.query('ROLLBACK');
    client.release();
    await expectConsistentLog();
  });
});

describe('an instance', () => {
  const startSealer = (environment: Record<string, string> = {}) =>
    ChildProgram.start<object>('test/support/events/sealer-main.ts', {
      DATABASE_URL: database.url,
      ...environment,
    });

  test('that is paused at any point while sealing delays the others for less than 3 s', async () => {
    const sealer = await startSealer();
    for (let round = 0; round < 40; round += 1) {
      await writeAndAwaitEvents(3);
      await pause(random.between(0, 15));
      sealer.sendSignal('SIGSTOP');
      await writeAndAwaitEvents(3);
      sealer.sendSignal('SIGCONT');
    }
    await sealer.terminate('SIGKILL');
    await expectConsistentLog();
  });

  test('that is killed at any point while sealing delays the others for less than 3 s', async () => {
    for (let round = 0; round < 5; round += 1) {
      const sealer = await startSealer();
      await writeAndAwaitEvents(5);
      await pause(random.between(0, 15));
      expect(await sealer.terminate('SIGKILL')).toBe('SIGKILL');
      await writeAndAwaitEvents(5);
    }
    await expectConsistentLog();
  }, 60_000);

  test.each(['SIGSTOP', 'SIGKILL'] as const)(
    'that gets a %s while its statement runs delays the others until that statement has finished',
    async (signal) => {
      const sealer = await startSealer({ CONCURRENCY: '1' });
      const sealSpy = jest.spyOn(events, 'seal').mockResolvedValue(null);
      const [head, pendingEvents] = [await sql.connect(), await sql.connect()];
      await head.query('BEGIN; SELECT FROM event_log FOR UPDATE');
      await insertEvents(sql, taskAt(1), 3);
      await pendingEvents.query('BEGIN; SELECT FROM task_events WHERE position IS NULL FOR UPDATE');
      await head.query('COMMIT');
      await waitFor('a blocked sealing statement', async () => {
        const { rows } = await sql.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND query LIKE 'SELECT seal_events%'`,
        );
        return rows.length > 0;
      });
      sealSpy.mockRestore();
      if (signal === 'SIGSTOP') sealer.sendSignal(signal);
      else await sealer.terminate(signal);
      expect(await events.seal(1)).toBeNull();
      await pendingEvents.query('COMMIT');
      for (const client of [head, pendingEvents]) client.release();
      await insertEvent(sql, taskAt(0), 'TASK_SUBMITTED');
      log.requestSeal();
      await waitFor('all events', () => seen.length === 4);
      await sealer.terminate('SIGKILL');
      await expectConsistentLog();
    },
  );
});
