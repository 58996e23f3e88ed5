import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type EventSink } from '../../src/core/events/event-sink.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const silent = pino({ level: 'silent' });
const workspaceId = newId();
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let events: EventRepository;
const logs: EventLog[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 8 });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  db = new Database({ url: database.url, maxConnections: 8, log: silent });
  events = new EventRepository(db);
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.stop()));
});
afterAll(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

/** Starts an event log as one instance would. */
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
/** Writes `count` events of the task, numbered from `from`. */
async function writeEvents(taskId: string, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n += 1) {
    await sql.query(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
       VALUES ($1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', $3::int))`,
      [workspaceId, taskId, n],
    );
  }
}
const numbersOf = (seen: TaskEvent[]) => seen.map((event) => (event.data as unknown as { n: number }).n);
const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
const broadcasters = new Map<EventLog, Broadcaster>();
/** The broadcaster of this log. Each instance has one. */
function broadcasterOf(log: EventLog): Broadcaster {
  const options = { cursors, bufferLimits: { maxEvents: 1_000, maxBytes: 1e6 }, stallMs: 1_000 };
  const broadcaster =
    broadcasters.get(log) ?? new Broadcaster({ eventLog: log, events, ...options, log: silent });
  broadcasters.set(log, broadcaster);
  return broadcaster;
}

/** Subscribes to a task and collects its events until it is stopped. */
function subscribe(log: EventLog, taskId: string, position = 0n, connection: Partial<EventSink> = {}) {
  const seen: TaskEvent[] = [];
  const sink: EventSink = {
    bufferedBytes: 0,
    acceptedBytes: 0,
    send: (text: string) => void seen.push(reviveEvent(text)),
    batch: (work: () => void) => work(),
    complete: () => undefined,
    close: () => undefined,
  };
  Object.defineProperties(sink, Object.getOwnPropertyDescriptors(connection));
  const render = (event: TaskEvent) =>
    Promise.resolve(JSON.stringify({ ...event, position: String(event.position) }));
  const topic = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render,
    renderingCost: 1,
  };
  const subscriber = broadcasterOf(log).subscribe(
    topic,
    { position, initialEvent: null, settledPosition: null },
    sink,
  );
  return { seen, stop: () => subscriber.unsubscribe() };
}
function reviveEvent(text: string): TaskEvent {
  const event = JSON.parse(text) as TaskEvent;
  return { ...event, position: BigInt(event.position) };
}

describe('the event log', () => {
  test('delivers every event once and in order to each subscriber of each instance, whenever it subscribed', async () => {
    const instances = [await startLog(), await startLog()];
    const taskId = await addTask();
    const otherTaskId = await addTask();
    const subscriptions: ReturnType<typeof subscribe>[] = [];
    for (let n = 1; n <= 200; n += 1) {
      if (n % 10 === 1) subscriptions.push(...instances.map((log) => subscribe(log, taskId)));
      await Promise.all([writeEvents(taskId, n, 1), writeEvents(otherTaskId, n, 1)]);
      instances[n % 2]?.requestSeal();
    }
    for (const { seen, stop } of subscriptions) {
      await waitFor('the last event', () => seen.length >= 200);
      stop();
      expect(numbersOf(seen)).toEqual(numbersUpTo(200));
    }
    expect(instances.map((log) => broadcasterOf(log)['topics'].size)).toEqual([0, 0]);
  });

  test('resumes from any position, across more events than one page holds', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await sql.query(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
       SELECT $1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', n) FROM generate_series(1, 1200) n`,
      [workspaceId, taskId],
    );
    log.requestSeal();
    const all = subscribe(log, taskId);
    await waitFor('all events', () => all.seen.length >= 1_200);
    all.stop();
    expect(numbersOf(all.seen)).toEqual(numbersUpTo(1_200));
    const rest = subscribe(log, taskId, all.seen[1_099]?.position);
    await waitFor('the remaining events', () => rest.seen.length >= 100);
    rest.stop();
    expect(numbersOf(rest.seen)).toEqual(numbersUpTo(1_200).slice(1_100));
  });

  test('seals the events of a writer that died before it requested sealing', async () => {
    const log = await startLog();
    const taskId = await addTask();
    const subscription = subscribe(log, taskId);
    await writeEvents(taskId, 1, 1);
    await waitFor('the event', () => subscription.seen.length === 1);
    subscription.stop();
  });

  test('misses no event when its LISTEN connection is lost', async () => {
    const log = await startLog();
    const taskId = await addTask();
    const subscription = subscribe(log, taskId);
    await writeEvents(taskId, 1, 1);
    await waitFor('the first event', () => subscription.seen.length === 1);
    await sql.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'darkroom listener' AND datname = current_database()",
    );
    await writeEvents(taskId, 2, 5);
    log.requestSeal();
    await waitFor('the other events', () => subscription.seen.length >= 6);
    subscription.stop();
    expect(numbersOf(subscription.seen)).toEqual(numbersUpTo(6));
  });

  test('reads nothing without subscribers, and starts with new events for the first one', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await writeEvents(taskId, 1, 3);
    log.requestSeal();
    await waitFor(
      'sealing',
      async () => (await events.readTaskAfter({ workspaceId, taskId }, 0n, 10)).length === 3,
    );
    expect(log.recent.eventsAfter(0n, 10)).toEqual([]);
    const subscription = subscribe(log, taskId, await events.headPosition());
    await writeEvents(taskId, 4, 1);
    log.requestSeal();
    await waitFor('the new event', () => subscription.seen.length > 0);
    expect(numbersOf(subscription.seen)).toEqual([4]);
    expect([subscription.stop(), subscription.stop()]).toEqual([true, false]);
    expect(log['handler']).toBeNull();
  });

  test('closes a connection that accepts nothing, and keeps one that accepts a large write bit by bit', async () => {
    const log = await startLog();
    const taskId = await addTask();
    const closed: string[] = [];
    const connect = (name: string, acceptedBytes: () => number) => {
      const connection = { bufferedBytes: 1e6, acceptedBytes: 0, close: () => void closed.push(name) };
      return subscribe(
        log,
        taskId,
        0n,
        Object.defineProperty(connection, 'acceptedBytes', { get: acceptedBytes }),
      );
    };
    let accepted = 0;
    connect('stalled', () => 0);
    const reading = connect('reading', () => (accepted += 1));
    await writeEvents(taskId, 1, 1);
    log.requestSeal();
    await waitFor('the stalled connection to be closed', () => closed.length > 0);
    const acceptedThen = accepted;
    await waitFor('more checks than the time limit has', () => accepted > acceptedThen + 30);
    expect(closed).toEqual(['stalled']);
    reading.stop();
  });

  test('seals all committed events before it stops, and none afterwards', async () => {
    const log = await startLog();
    const taskId = await addTask();
    await writeEvents(taskId, 1, 1);
    await log.stop();
    expect((await events.readTaskAfter({ workspaceId, taskId }, 0n, 1))[0]?.data).toEqual({ n: 1 });
    await writeEvents(taskId, 2, 1);
    await log.flush();
    expect(await events.readTaskAfter({ workspaceId, taskId }, 0n, 10)).toHaveLength(1);
  });
});
