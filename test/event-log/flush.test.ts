import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { addFinishedTasks, insertEvent } from '../support/events/event-rows.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let eventLog: EventLog;
let broadcaster: Broadcaster;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url });
  db = new Database({ url: database.url, maxConnections: 4, log });
  const events = new EventRepository(db);
  eventLog = new EventLog(events, database.url, log);
  await eventLog.start();
  const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
  broadcaster = new Broadcaster({
    eventLog,
    events,
    cursors,
    bufferLimits: { maxEvents: 10, maxBytes: 1e6 },
    stallMs: 1e6,
    log,
  });
});
afterAll(async () => {
  await eventLog.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

/** Subscribes to a new task whose events are rendered by `render`. */
async function subscribe(render: () => Promise<string>) {
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
  const sent: string[] = [];
  const sink = {
    bufferedBytes: 0,
    acceptedBytes: 0,
    send: (text: string) => void sent.push(text),
    batch: (work: () => void) => work(),
    complete: () => undefined,
    close: () => undefined,
  };
  const topic = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render,
    renderingCost: 1,
  };
  const subscriber = broadcaster.subscribe(
    topic,
    { position: eventLog.head, initialEvent: null, settledPosition: null },
    sink,
  );
  return { taskId, sent, subscriber };
}

test('flush sends events that were committed just before it', async () => {
  const { taskId, sent, subscriber } = await subscribe(() => Promise.resolve('rendered'));
  await waitFor('the subscriber to be live', () => subscriber.state === 'live');
  await insertEvent(sql, taskId, 'TASK_SUBMITTED');
  await broadcaster.flush();
  expect(sent).toEqual(['rendered']);
  subscriber.unsubscribe();
});

test('flush does not wait for an event that cannot be rendered', async () => {
  let renderCount = 0;
  const { taskId, sent, subscriber } = await subscribe(() => {
    renderCount += 1;
    return Promise.reject(new Error('the database is down'));
  });
  await waitFor('the subscriber to be live', () => subscriber.state === 'live');
  await insertEvent(sql, taskId, 'TASK_SUBMITTED');
  await waitFor('the event to be rendered', () => renderCount > 0);
  await broadcaster.flush();
  expect(sent).toEqual([]);
  subscriber.unsubscribe();
});
