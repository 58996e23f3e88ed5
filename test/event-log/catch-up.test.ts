import { setImmediate as nextTick } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository, type EventScope } from '../../src/db/events/event-repository.js';
import { type EventRange, type EventRangePage } from '../../src/db/events/visible-events.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { type Subscriber } from '../../src/event-log/subscriber.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';
import { addFinishedTasks, insertEvents } from '../support/events/event-rows.js';

/** More than the recent events, so that a subscriber from the start reads from PostgreSQL. */
const EVENTS_OF_OTHERS = 9_000;
const SUBSCRIBERS_OF_OTHERS = 200;
/** As in src/event-log/catch-up.ts. */
const MAX_OLD_PAGES = 32;
const MAX_OLD_PAGES_PER_WORKSPACE = 4;
const silent = pino({ level: 'silent' });
const [ours, theirs] = [newId(), newId()];
/** Workspaces with an event each, which take all pages if each takes as many as it may. */
const small = Array.from({ length: MAX_OLD_PAGES / MAX_OLD_PAGES_PER_WORKSPACE + 1 }, newId);
const EVENT_COUNT = EVENTS_OF_OTHERS + 300 + small.length;

/** Notes each read for a subscriber, and makes it wait while `gate` is closed. */
class ObservedEvents extends EventRepository {
  readonly reads: string[] = [];
  gate: Promise<void> = Promise.resolve();
  shorten = (range: EventRange) => range;

  override async readScopePage(scope: EventScope, range: EventRange): Promise<EventRangePage> {
    this.reads.push(scope.workspaceId);
    await this.gate;
    return super.readScopePage(scope, this.shorten(range));
  }

  close(): () => void {
    let open: () => void = () => undefined;
    this.gate = new Promise((resolve) => (open = resolve));
    return open;
  }

  countOf(workspaceId: string): number {
    return this.reads.filter((read) => read === workspaceId).length;
  }
}

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let events: ObservedEvents;
let log: EventLog;
let broadcaster: Broadcaster;
let ourTask = '';
let theirTask = '';
const subscribers: Subscriber[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'ours'), ($2, 'theirs')", [ours, theirs]);
  [ourTask = ''] = await addFinishedTasks(sql, ours, 1);
  [theirTask = ''] = await addFinishedTasks(sql, theirs, 1);
  for (const id of small) {
    await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'small')", [id]);
    const [task = ''] = await addFinishedTasks(sql, id, 1);
    await insertEvents(sql, task, 1);
  }
  await insertEvents(sql, ourTask, 300);
  await insertEvents(sql, theirTask, EVENTS_OF_OTHERS);
  db = new Database({ url: database.url, maxConnections: 6, log: silent });
  events = new ObservedEvents(db);
  log = new EventLog(events, database.url, silent);
  await log.start();
  await log.flush();
  await waitFor('sealing', async () => (await log.refreshHead()) === BigInt(EVENT_COUNT));
  const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
  const bufferLimits = { maxEvents: 1_000, maxBytes: 1e6 };
  broadcaster = new Broadcaster({
    eventLog: log,
    events,
    cursors,
    bufferLimits,
    stallMs: 1_000,
    log: silent,
  });
});
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.unsubscribe();
  events.reads.length = 0;
  events.shorten = (range) => range;
});
afterAll(async () => {
  await log.stop();
  await db.close();
  await sql.end();
  await database.drop();
});

interface Subscription {
  position?: bigint;
  /** The subscriber sees only these tasks. */
  taskIds?: string[] | null;
  matches?: () => boolean;
  bufferedBytes?: number;
  onEvent?: (n: number) => void;
  onRender?: () => Promise<void>;
}

/** Subscribes to the whole workspace, by default to all events from the start of the log. */
function subscribe(
  workspaceId: string,
  {
    position = 0n,
    taskIds = null,
    matches = () => true,
    bufferedBytes = 0,
    onEvent,
    onRender,
  }: Subscription = {},
): Subscriber {
  const render = async ({ data }: TaskEvent) => {
    await onRender?.();
    return String((data as unknown as { n: number }).n);
  };
  const scope = { ...workspaceVisibility(workspaceId), taskIds, taskId: null };
  const sink = {
    ...{ bufferedBytes, acceptedBytes: 0, complete: () => undefined, close: () => undefined },
    send: (text: string) => onEvent?.(Number(text)),
    batch: (work: () => void) => work(),
  };
  const subscriber = broadcaster.subscribe(
    { key: newId(), scope, matches, render, renderingCost: 100 },
    { position, initialEvent: null, settledPosition: null },
    sink,
  );
  subscribers.push(subscriber);
  return subscriber;
}

const subscribeOthers = (
  subscription: Subscription = { matches: () => false },
  count = SUBSCRIBERS_OF_OTHERS,
) => Array.from({ length: count }, () => subscribe(theirs, subscription));
const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a subscriber that is far behind', () => {
  test('does not wait for hundreds of another workspace, and sees each event once and in order', async () => {
    const open = events.close();
    subscribeOthers();
    const seen: number[] = [];
    const subscriber = subscribe(ours, { onEvent: (n) => seen.push(n) });
    await nextTick();
    const started = [...events.reads];
    open();
    await waitFor('our subscriber to be live', () => subscriber.state === 'live');
    expect(started).toContain(ours);
    expect(events.countOf(theirs)).toBeLessThan(SUBSCRIBERS_OF_OTHERS);
    await insertEvents(sql, ourTask, 1);
    log.requestSeal();
    await waitFor('one more', () => seen.length > 300);
    expect(seen).toEqual([...numbersUpTo(300), 1]);
  });

  // Enforces MAX_CONCURRENT_READS in src/event-log/catch-up.ts.
  // Enforces MAX_READS_PER_WORKSPACE in src/event-log/catch-up.ts.
  test('waits while few others are read for, and one workspace leaves a part of these to another', async () => {
    const open = events.close();
    subscribeOthers();
    await nextTick();
    const waiting = [1, 2, 3].map(() => subscribe(ours));
    await nextTick();
    const started = [...events.reads];
    open();
    await waitFor('ours to be live', () => waiting.every(({ state }) => state === 'live'));
    expect(started).toEqual([theirs, theirs, theirs, ours]);
  });

  test('is read for no more once it has left', async () => {
    const open = events.close();
    const others = subscribeOthers();
    await nextTick();
    const started = events.reads.length;
    for (const subscriber of others) subscriber.unsubscribe();
    const subscriber = subscribe(ours);
    open();
    await waitFor('our subscriber to be live', () => subscriber.state === 'live');
    expect(started).toBeGreaterThan(0);
    expect(events.countOf(theirs)).toBe(started);
  });

  test('sees each event once and in order when a read covers a part of the log, possibly without events', async () => {
    // Ours come first, and then more than a thousand positions of others that are read from PostgreSQL.
    await insertEvents(sql, ourTask, 3);
    await log.flush();
    const parts = [1n, 7n, 150n, 2n, 40n];
    let count = 0;
    events.shorten = (range) => {
      const end = range.position + (parts[(count += 1) % parts.length] ?? 1n);
      return { ...range, endPosition: end < range.endPosition ? end : range.endPosition };
    };
    const seen: number[] = [];
    const subscriber = subscribe(ours, { taskIds: [ourTask], onEvent: (n) => seen.push(n) });
    await waitFor('it to be live', () => subscriber.state === 'live');
    expect(seen).toEqual([...numbersUpTo(300), 1, ...numbersUpTo(3)]);
    expect(count).toBeGreaterThan(10);
  });

  test('is cut when its filter throws, and others catch up', async () => {
    const breaks = () => {
      throw new Error('the filter is broken');
    };
    const broken = subscribeOthers({ matches: breaks }, MAX_OLD_PAGES_PER_WORKSPACE);
    await waitFor('them to be closed', () => broken.every(({ state }) => state === 'closed'));
    const subscriber = subscribe(theirs, { matches: () => false });
    await waitFor('it to be live', () => subscriber.state === 'live');
    expect(events.countOf(theirs)).toBeLessThan(100);
  });
});

/** Renderings that last until they are released. */
function holdRenderings() {
  let count = 0;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const onRender = async () => {
    count += 1;
    await released;
  };
  return { onRender, release, count: () => count };
}

describe('pages of old events in memory', () => {
  // Enforces MAX_OLD_PAGES_PER_WORKSPACE in src/event-log/catch-up.ts.
  test('are bounded while renderings last, and another workspace goes on', async () => {
    const { onRender, release, count } = holdRenderings();
    const seen: number[] = [];
    const first = subscribe(theirs, { onRender, onEvent: (n) => seen.push(n) });
    const others = subscribeOthers({ onRender });
    await waitFor('the first renderings', () => count() > 0);
    for (let n = 0; n < 10; n += 1) {
      const subscriber = subscribe(ours);
      await waitFor('ours to be live', () => subscriber.state === 'live');
    }
    const pages = events.countOf(theirs);
    for (const other of others) other.unsubscribe();
    release();
    await waitFor('the first one to be live', () => first.state === 'live');
    expect(pages).toBe(MAX_OLD_PAGES_PER_WORKSPACE);
    expect(seen.slice(0, EVENTS_OF_OTHERS)).toEqual(numbersUpTo(EVENTS_OF_OTHERS));
  });

  // Enforces MAX_OLD_PAGES in src/event-log/catch-up.ts.
  test('are bounded for all workspaces together', async () => {
    const { onRender, release, count } = holdRenderings();
    const waiting = small.flatMap((id) =>
      Array.from({ length: MAX_OLD_PAGES_PER_WORKSPACE }, () => subscribe(id, { onRender })),
    );
    await waitFor('all pages to be taken', () => count() >= MAX_OLD_PAGES);
    // Longer than a read takes.
    const scope = { ...workspaceVisibility(theirs), taskId: null };
    for (let n = 0; n < 10; n += 1)
      await events.readScopePage(scope, { position: 0n, limit: 200, endPosition: log.head });
    const pages = count();
    release();
    await waitFor('them to be live', () => waiting.every(({ state }) => state === 'live'));
    expect(pages).toBe(MAX_OLD_PAGES);
    expect(count()).toBe(waiting.length);
  });

  test('are given up when rendering fails', async () => {
    let failures = 0;
    const onRender = () => {
      failures += 1;
      return Promise.reject(new Error('the database is down'));
    };
    subscribeOthers({ onRender }, 2 * MAX_OLD_PAGES_PER_WORKSPACE);
    await waitFor('the first failures', () => failures > 0);
    const subscriber = subscribe(theirs, { matches: () => false });
    await waitFor('it to be live', () => subscriber.state === 'live');
    expect(failures).toBeGreaterThan(0);
  });

  test('are given up while a connection does not drain', async () => {
    const blocked = subscribeOthers({ bufferedBytes: 2e6 }, 2 * MAX_OLD_PAGES_PER_WORKSPACE);
    await waitFor('them to be blocked', () => blocked.every(({ state }) => state === 'blocked'));
    const subscriber = subscribe(theirs, { position: log.head - 8_500n, matches: () => false });
    await waitFor('it to be live', () => subscriber.state === 'live');
    expect(events.countOf(theirs)).toBeGreaterThan(blocked.length);
  });
});

describe('events are rendered for no subscriber that has left', () => {
  test('while it was catching up', async () => {
    const { onRender, release, count } = holdRenderings();
    const others = subscribeOthers({ position: log.head - 10n, onRender });
    await waitFor('the first renderings', () => count() > 0);
    await leaveAndCatchUp(others, release);
    expect(count()).toBeLessThan(SUBSCRIBERS_OF_OTHERS);
  });

  test('while an event was being broadcast', async () => {
    const { onRender, release, count } = holdRenderings();
    const others = subscribeOthers({ position: log.head, onRender });
    await waitFor('them to be live', () => others.every(({ state }) => state === 'live'));
    await insertEvents(sql, theirTask, 10);
    log.requestSeal();
    await waitFor('the first renderings', () => count() > 0);
    await leaveAndCatchUp(others, release);
    expect(count()).toBeLessThan(SUBSCRIBERS_OF_OTHERS);
  });

  /** Lets the others leave, and waits until one that came after them has its events. */
  async function leaveAndCatchUp(others: readonly Subscriber[], release: () => void): Promise<void> {
    for (const subscriber of others) subscriber.unsubscribe();
    const last = subscribe(theirs, { position: log.head - 1n });
    release();
    await waitFor('the last one to be live', () => last.state === 'live');
  }
});
