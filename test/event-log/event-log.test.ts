import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { EventCursors } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { wholeWorkspace } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { Events } from '../../src/db/events/event-repository.js';
import { Feed } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const silent = pino({ level: 'silent' });
const workspaceId = newId();
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let events: Events;
const logs: EventLog[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 8 });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  db = new Database({ url: database.url, maxConnections: 8, log: silent });
  events = new Events(db);
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.stop()));
});
afterAll(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

/** The log as one instance sees it. */
async function startLog(): Promise<EventLog> {
  const log = new EventLog(events, database.url, silent);
  logs.push(log);
  await log.start();
  return log;
}
async function addTask(): Promise<string> {
  const id = newId();
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'p', 'flux-dev', 1, '', now())`,
    [id, workspaceId],
  );
  return id;
}
/** Writes the task's next `count` events, numbered from `from`. */
async function write(taskId: string, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n += 1) {
    await sql.query(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
       VALUES ($1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', $3::int))`,
      [workspaceId, taskId, n],
    );
  }
}
const numbersOf = (seen: TaskEvent[]) => seen.map((event) => (event.data as unknown as { n: number }).n);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

const cursors = new EventCursors(new Signer(Buffer.alloc(32)), newId());
const feeds = new Map<EventLog, Feed>();
/** The log's feed; each instance has one. */
function feedOf(log: EventLog): Feed {
  const options = { cursors, buffering: { maxEvents: 1_000, maxBytes: 1e6 }, stallMs: 1_000 };
  const feed = feeds.get(log) ?? new Feed(log, events, options, silent);
  feeds.set(log, feed);
  return feed;
}

/** Watches a task into an array until it is stopped. */
function follow(log: EventLog, taskId: string, position = 0n) {
  const seen: TaskEvent[] = [];
  const outlet = {
    backlogBytes: 0,
    send: (text: string) => void seen.push(reviveEvent(text)),
    together: (work: () => void) => work(),
    complete: () => undefined,
    close: () => undefined,
  };
  const render = (event: TaskEvent) =>
    Promise.resolve(JSON.stringify({ ...event, position: String(event.position) }));
  const topic = {
    key: taskId,
    scope: { ...wholeWorkspace(workspaceId), taskId },
    matches: () => true,
    render,
  };
  const watcher = feedOf(log).watch(topic, { position, first: null, overAt: null }, outlet);
  return { seen, stop: () => watcher.leave() };
}
function reviveEvent(text: string): TaskEvent {
  const event = JSON.parse(text) as TaskEvent;
  return { ...event, position: BigInt(event.position) };
}

describe('the event log', () => {
  test('gives each watcher of each instance every event once and in order, whenever it began to watch', async () => {
    const instances = [await startLog(), await startLog()];
    const taskId = await addTask();
    const others = await addTask();
    const watches: ReturnType<typeof follow>[] = [];
    for (let n = 1; n <= 200; n += 1) {
      if (n % 10 === 1) watches.push(...instances.map((log) => follow(log, taskId)));
      await Promise.all([write(taskId, n, 1), write(others, n, 1)]);
      instances[n % 2]?.sealSoon();
    }
    for (const { seen, stop } of watches) {
      await waitFor('the last event', () => seen.length >= 200);
      stop();
      expect(numbersOf(seen)).toEqual(upTo(200));
    }
    expect(instances.map((log) => feedOf(log)['topics'].size)).toEqual([0, 0]);
  });

  test('goes on from any position, also across more events than are read at once', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await sql.query(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
       SELECT $1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', n) FROM generate_series(1, 1200) n`,
      [workspaceId, taskId],
    );
    log.sealSoon();
    const all = follow(log, taskId);
    await waitFor('all of them', () => all.seen.length >= 1_200);
    all.stop();
    expect(numbersOf(all.seen)).toEqual(upTo(1_200));
    const rest = follow(log, taskId, all.seen[1_099]?.position);
    await waitFor('the rest', () => rest.seen.length >= 100);
    rest.stop();
    expect(numbersOf(rest.seen)).toEqual(upTo(1_200).slice(1_100));
  });

  test('seals what a writer left behind that died before it asked for it', async () => {
    const log = await startLog();
    const taskId = await addTask();
    const watch = follow(log, taskId);
    await write(taskId, 1, 1);
    await waitFor('the event', () => watch.seen.length === 1);
    watch.stop();
  });

  test('misses nothing when its listening connection is lost', async () => {
    const log = await startLog();
    const taskId = await addTask();
    const watch = follow(log, taskId);
    await write(taskId, 1, 1);
    await waitFor('the first event', () => watch.seen.length === 1);
    await sql.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'darkroom listener' AND datname = current_database()",
    );
    await write(taskId, 2, 5);
    log.sealSoon();
    await waitFor('the other events', () => watch.seen.length >= 6);
    watch.stop();
    expect(numbersOf(watch.seen)).toEqual(upTo(6));
  });

  test('reads nothing for nobody, and starts with what is new for the first who comes', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await write(taskId, 1, 3);
    log.sealSoon();
    await waitFor(
      'sealing',
      async () => (await events.readTaskAfter(workspaceId, taskId, 0n, 10)).length === 3,
    );
    expect(log.recent.after(0n, 10)).toEqual([]);
    const watch = follow(log, taskId, await events.head());
    await write(taskId, 4, 1);
    log.sealSoon();
    await waitFor('the new event', () => watch.seen.length > 0);
    expect(numbersOf(watch.seen)).toEqual([4]);
    expect([watch.stop(), watch.stop()]).toEqual([true, false]);
    expect(log['reader']).toBeNull();
  });

  test('seals what is committed before it stops, and nothing afterwards', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await write(taskId, 1, 1);
    await log.stop();
    expect((await events.readTaskAfter(workspaceId, taskId, 0n, 1))[0]?.data).toEqual({ n: 1 });
    log.sealSoon();
    expect(log['sealing']).toBeNull();
  });
});
