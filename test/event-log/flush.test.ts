import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { EventCursors } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { Database } from '../../src/db/postgres/database.js';
import { Events } from '../../src/db/events/event-repository.js';
import { wholeWorkspace } from '../../src/core/access/visibility.js';
import { Feed } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { addTasks, writeEvent } from '../support/events/event-rows.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let eventLog: EventLog;
let feed: Feed;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url });
  db = new Database({ url: database.url, maxConnections: 4, log });
  const events = new Events(db);
  eventLog = new EventLog(events, database.url, log);
  await eventLog.start();
  const cursors = new EventCursors(new Signer(Buffer.alloc(32)), newId());
  feed = new Feed(
    eventLog,
    events,
    { cursors, buffering: { maxEvents: 10, maxBytes: 1e6 }, stallMs: 1e6 },
    log,
  );
});
afterAll(async () => {
  await eventLog.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

/** One who watches a task, and is shown each of its events by `render`. */
async function watched(render: () => Promise<string>) {
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  const [taskId = ''] = await addTasks(sql, workspaceId, 1);
  const sent: string[] = [];
  const outlet = {
    backlogBytes: 0,
    send: (text: string) => void sent.push(text),
    together: (work: () => void) => work(),
    complete: () => undefined,
    close: () => undefined,
  };
  const topic = {
    key: taskId,
    scope: { ...wholeWorkspace(workspaceId), taskId },
    matches: () => true,
    render,
  };
  const watcher = feed.watch(topic, { position: eventLog.head, first: null, overAt: null }, outlet);
  return { taskId, sent, watcher };
}

test('the last push sends what was committed just before it', async () => {
  const { taskId, sent, watcher } = await watched(() => Promise.resolve('shown'));
  await waitFor('the watcher to be live', () => watcher.state === 'live');
  await writeEvent(sql, taskId, 'TASK_SUBMITTED');
  await feed.flush();
  expect(sent).toEqual(['shown']);
  watcher.leave();
});

test('the last push does not wait for an event that cannot be shown', async () => {
  let asked = 0;
  const { taskId, sent, watcher } = await watched(() => {
    asked += 1;
    return Promise.reject(new Error('the database is away'));
  });
  await waitFor('the watcher to be live', () => watcher.state === 'live');
  await writeEvent(sql, taskId, 'TASK_SUBMITTED');
  await waitFor('the event to be asked for', () => asked > 0);
  await feed.flush();
  expect(sent).toEqual([]);
  watcher.leave();
});
