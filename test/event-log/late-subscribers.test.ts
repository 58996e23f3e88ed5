import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { EventCursors } from '../../src/core/events/event-cursor.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { wholeWorkspace } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { Events } from '../../src/db/events/event-repository.js';
import { Feed } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { type Watcher } from '../../src/event-log/subscriber.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';
import { addTasks, writeMany } from '../support/events/event-rows.js';

/** More than are served without a pause in between. */
const CROWD = 1_200;
const silent = pino({ level: 'silent' });
const workspaceId = newId();

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let log: EventLog;
let feed: Feed;
const watchers: Watcher[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  db = new Database({ url: database.url, maxConnections: 4, log: silent });
  const events = new Events(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  const cursors = new EventCursors(new Signer(Buffer.alloc(32)), newId());
  const buffering = { maxEvents: 1_000, maxBytes: 1e6 };
  feed = new Feed(log, events, { cursors, buffering, stallMs: 1_000 }, silent);
});
afterEach(() => {
  for (const watcher of watchers.splice(0)) watcher.leave();
});
afterAll(async () => {
  await log.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

/** Watches a task from a place on; `taken` is called with the number of each event. */
function watch(
  taskId: string,
  position: bigint,
  render: (n: number) => Promise<unknown>,
  taken: (n: number) => void,
) {
  const numberOf = ({ data }: TaskEvent) => (data as unknown as { n: number }).n;
  const show = async (event: TaskEvent) => {
    await render(numberOf(event));
    return String(numberOf(event));
  };
  const topic = {
    key: taskId,
    scope: { ...wholeWorkspace(workspaceId), taskId },
    matches: () => true,
    render: show,
  };
  const outlet = {
    ...{ backlogBytes: 0, complete: () => undefined, close: () => undefined },
    send: (text: string) => taken(Number(text)),
    together: (work: () => void) => work(),
  };
  const watcher = feed.watch(topic, { position, first: null, overAt: null }, outlet);
  watchers.push(watcher);
  return watcher;
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const soon = () => new Promise((resolve) => setImmediate(resolve));

describe('who joins', () => {
  test('while a crowd is being served sees each event once, wherever the serving is', async () => {
    const [taskId = ''] = await addTasks(sql, workspaceId, 1);
    const start = log.head;
    const seen: number[][] = [];
    const follow = () => {
      const own: number[] = [];
      seen.push(own);
      return watch(taskId, start, soon, (n) => {
        own.push(n);
        // The first in the crowd brings another one with each tenth event.
        if (own === seen[0] && n % 10 === 0) follow();
      });
    };
    const crowd = Array.from({ length: CROWD }, follow);
    await waitFor('all to be live', () => crowd.every(({ state }) => state === 'live'));
    await writeMany(sql, taskId, 300);
    log.sealSoon();
    await waitFor('the last event', () => seen.every((own) => own.length >= 300));
    await writeMany(sql, taskId, 1);
    log.sealSoon();
    await waitFor('one more', () => seen.every((own) => own.at(-1) === 1));
    expect(seen).toHaveLength(CROWD + 30);
    for (const own of seen) expect(own).toEqual([...upTo(300), 1]);
  });

  test('while an event that came meanwhile is being shown misses nothing', async () => {
    const [taskId = ''] = await addTasks(sql, workspaceId, 1);
    const start = log.head;
    await writeMany(sql, taskId, 1);
    log.sealSoon();
    await waitFor('sealing', () => log.head === start + 1n);
    const seen: number[] = [];
    // The second event is handed out while the first is being shown.
    const show = async (n: number) => {
      if (n !== 1 || log.head > start + 1n) return;
      await sql.query(
        `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
         VALUES ($1, $2, 'TASK_SUBMITTED', 'test', '{"n": 2}')`,
        [workspaceId, taskId],
      );
      log.sealSoon();
      await waitFor('the second', () => log.recent.end === start + 2n);
    };
    watch(taskId, start, show, (n) => seen.push(n));
    await waitFor('both', () => seen.length === 2);
    expect(seen).toEqual([1, 2]);
  });
});
