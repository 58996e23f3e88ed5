import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { addFinishedTasks, insertEvent } from '../support/events/event-rows.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

/** A part is replaced after 7 s, and checked once a second. */
const MAX_WAIT_MS = 20_000;
const silent = pino({ level: 'silent' });

type Method = 'seal' | 'readAfter' | 'headPosition';
/** The next call of one method does not end before it is released, like one that a library has lost. */
class HangingEvents extends EventRepository {
  private method: Method | null = null;
  release: (() => void) | null = null;
  hangNext(method: Method): void {
    this.method = method;
  }
  private or<Result>(method: Method, work: () => Promise<Result>): Promise<Result> {
    if (this.method !== method) return work();
    this.method = null;
    return new Promise((resolve) => (this.release = () => resolve(work())));
  }
  override seal(batchSize: number) {
    return this.or('seal', () => super.seal(batchSize));
  }
  override readAfter(position: bigint, limit: number) {
    return this.or('readAfter', () => super.readAfter(position, limit));
  }
  override headPosition() {
    return this.or('headPosition', () => super.headPosition());
  }
}

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let taskId: string;
let events: HangingEvents;
let log: EventLog;
let seen: TaskEvent[];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 2 });
  db = new Database({ url: database.url, maxConnections: 4, log: silent });
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
});
beforeEach(async () => {
  seen = [];
  events = new HangingEvents(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  log.startReading((batch) => seen.push(...batch));
});
afterEach(() => log.stop());
afterAll(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

async function writeEvent(): Promise<void> {
  await insertEvent(sql, taskId, 'TASK_SUBMITTED');
  log.requestSeal();
}

describe('the event log goes on after', () => {
  test.each(['seal', 'readAfter', 'headPosition'] as const)(
    'a call of %s that never ends',
    async (method) => {
      events.hangNext(method);
      await writeEvent();
      const release = await waitFor('the call that hangs', () => events.release);
      await writeEvent();
      await waitFor('both events', () => seen.length === 2, { timeoutMs: MAX_WAIT_MS });
      release();
      await writeEvent();
      await waitFor('the last event', () => seen.length >= 3);
      await log.flush();
      expect(seen.map(({ position }) => position - (seen[0]?.position ?? 0n))).toEqual([0n, 1n, 2n]);
    },
    60_000,
  );
});
