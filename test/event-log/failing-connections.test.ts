import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { type EventSink } from '../../src/core/events/event-sink.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { type Subscriber } from '../../src/event-log/subscriber.js';
import { type TopicOptions } from '../../src/event-log/topic.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';
import { addFinishedTasks, insertEvents } from '../support/events/event-rows.js';

const workspaceId = newId();
const silent = pino({ level: 'silent' });
const logged: string[] = [];
const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let log: EventLog;
let broadcaster: Broadcaster;
const subscribers: Subscriber[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  db = new Database({ url: database.url, maxConnections: 4, log: silent });
  const events = new EventRepository(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  const bufferLimits = { maxEvents: 1_000, maxBytes: 1e6 };
  const lines = pino({ level: 'error' }, { write: (line: string) => void logged.push(line) });
  broadcaster = new Broadcaster({ eventLog: log, events, cursors, bufferLimits, stallMs: 1_000, log: lines });
});
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.unsubscribe();
  logged.length = 0;
});
afterAll(async () => {
  await log.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

const numberOf = ({ data }: TaskEvent) => (data as unknown as { n: number }).n;
const breaks = (): never => {
  throw new Error('the connection is broken');
};

interface Connection {
  seen: number[];
  closings: string[];
  subscriber: Subscriber;
}

/** Subscribes to a task after `position`. `sink` and `topic` replace parts of what works. */
function subscribe(
  taskId: string,
  position: bigint,
  { sink = {}, topic = {}, initialEvent = null, settledPosition = null }: Replacements = {},
): Connection {
  const seen: number[] = [];
  const closings: string[] = [];
  const working: EventSink = {
    ...{ bufferedBytes: 0, acceptedBytes: 0, complete: () => undefined },
    send: (text) => void seen.push(Number(text)),
    batch: (work) => work(),
    close: (reason, cursor) => void closings.push(`${reason} ${cursors.decode(cursor)}`),
  };
  const options = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render: (event: TaskEvent) => Promise.resolve(String(numberOf(event))),
    renderingCost: 1,
    ...topic,
  };
  const start = { position, initialEvent, settledPosition };
  const subscriber = broadcaster.subscribe(options, start, { ...working, ...sink });
  subscribers.push(subscriber);
  return { seen, closings, subscriber };
}
interface Replacements {
  sink?: Partial<EventSink>;
  topic?: Partial<TopicOptions>;
  initialEvent?: TaskEvent | null;
  settledPosition?: bigint | null;
}

const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a connection that throws', () => {
  test.each<[string, Partial<EventSink>]>([
    ['when it sends', { send: breaks }],
    ['when it sends a batch', { batch: breaks }],
    ['when it says how much it has buffered', Object.defineProperty({}, 'bufferedBytes', { get: breaks })],
  ])('%s live events is closed, and others miss none of them', async (_when, brokenSink) => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    const sink: Partial<EventSink> = {};
    const before = subscribe(taskId, start);
    const broken = subscribe(taskId, start, { sink });
    const after = subscribe(taskId, start);
    const connections = [before, broken, after];
    await waitFor('all to be live', () => connections.every(({ subscriber }) => subscriber.state === 'live'));
    Object.defineProperties(broken.subscriber.sink, Object.getOwnPropertyDescriptors(brokenSink));
    await insertEvents(sql, taskId, 3);
    log.requestSeal();
    await waitFor('it to be closed', () => broken.closings.length > 0);
    await waitFor('the events', () => [before, after].every(({ seen }) => seen.length >= 3));
    await insertEvents(sql, taskId, 1);
    log.requestSeal();
    await waitFor('one more event', () => [before, after].every(({ seen }) => seen.length >= 4));
    expect([before.seen, after.seen]).toEqual([
      [1, 2, 3, 1],
      [1, 2, 3, 1],
    ]);
    expect(broken.seen).toEqual([]);
    expect(broken.closings).toEqual([`going-away ${start}`]);
    expect(broken.subscriber.state).toBe('closed');
    expect(logged.join()).toContain('the connection is broken');
  });

  test('while it catches up is closed with an error in the log, and its cursor is that of the last event it got', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    await insertEvents(sql, taskId, 5);
    log.requestSeal();
    await waitFor('sealing', () => log.head === start + 5n);
    const seen: number[] = [];
    const send = (text: string) => void (text === '4' ? breaks() : seen.push(Number(text)));
    const { closings } = subscribe(taskId, start, { sink: { send } });
    await waitFor('it to be closed', () => closings.length > 0);
    expect(seen).toEqual([1, 2, 3]);
    expect(closings).toEqual([`going-away ${start + 3n}`]);
    expect(logged.join()).toContain('the connection is broken');
    expect(broadcaster['topics'].size).toBe(0);
  });

  test('when it gets its first event is closed, and when closing throws as well it is left', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const initialEvent = { position: log.head, workspaceId, taskId, data: { n: 1 } } as unknown as TaskEvent;
    const { subscriber } = subscribe(taskId, log.head, {
      initialEvent,
      sink: { send: breaks, close: breaks },
    });
    await waitFor('it to be closed', () => subscriber.state === 'closed');
    expect(logged).toHaveLength(2);
  });

  test('when its task is complete is left, and others of the task are completed', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    let completed = 0;
    const settledPosition = log.head;
    const complete = () => void (completed += 1);
    const broken = subscribe(taskId, 0n, { sink: { complete: breaks }, settledPosition });
    subscribe(taskId, 0n, { sink: { complete }, settledPosition });
    await waitFor('the other one to be completed', () => completed === 1);
    await waitFor('it to be closed', () => broken.closings.length === 1);
    expect(logged.join()).toContain('the connection is broken');
  });
});

describe('a filter that throws', () => {
  test('closes the connections that it is for, and others miss nothing', async () => {
    const [taskId = '', other = ''] = await addFinishedTasks(sql, workspaceId, 2);
    const start = log.head;
    const broken = subscribe(taskId, start, { topic: { matches: breaks, key: newId() } });
    const working = [subscribe(taskId, start), subscribe(other, start)];
    await waitFor('all to be live', () => working.every(({ subscriber }) => subscriber.state === 'live'));
    await insertEvents(sql, taskId, 2);
    await insertEvents(sql, other, 2);
    log.requestSeal();
    await waitFor('it to be closed', () => broken.closings.length > 0);
    await waitFor('the events', () => working.every(({ seen }) => seen.length >= 2));
    for (const { seen } of working) expect(seen).toEqual(numbersUpTo(2));
    expect(broken.closings).toEqual([`going-away ${start}`]);
    expect(logged).not.toEqual([]);
  });
});
