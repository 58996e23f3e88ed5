import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { Broadcaster } from '../../../src/event-log/broadcaster.js';
import { type Subscriber } from '../../../src/event-log/subscriber.js';
import { EventStreamResponse } from '../../../src/http/events/event-stream-response.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import {
  openSubscriptionStream,
  type EventSubscriptionStream,
  STREAM_TRANSPORTS,
  type StreamTransport,
} from '../../support/events/streams.js';
import {
  addFinishedTasks,
  createEventCursors,
  firstWorkspaceId,
  readSealedEvents,
  SECRET_KEY,
  insertEvents,
} from '../../support/events/event-rows.js';

/** 16 MB in total, which is more than the kernel buffers for one connection. */
const EVENTS = 800;
const DATA_BYTES = 20 * 1024;
const BUFFER_EVENTS = 20;
/** Large texts are sent slowly, and a few of them fill a connection. */
const LARGE_EVENTS = 30;
const LARGE_DATA_BYTES = 300 * 1024;
/** The largest event on the wire: its data and its other fields. */
const MAX_EVENT_BYTES = DATA_BYTES + 1_000;

let database: TestDatabase;
let sql: pg.Pool;
let patientApp: TestApp;
let impatientApp: TestApp;
beforeAll(async () => {
  database = await createTestDatabase();
  const environment = { SECRET_KEY, PUSH_BUFFER_EVENTS: String(BUFFER_EVENTS), ROLES: 'api' };
  const shared = { databaseUrl: database.url, environment };
  patientApp = await TestApp.start(shared);
  impatientApp = await TestApp.start({
    ...shared,
    apiKey: patientApp.apiKey,
    tuning: { stallTimeoutMs: 300 },
  });
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
});
afterAll(async () => {
  await sql.end();
  await Promise.all([patientApp.stop(), impatientApp.stop()]);
  await database.drop();
});

const open: EventSubscriptionStream[] = [];
let subscribeSpy: jest.SpiedFunction<Broadcaster['subscribe']>;
let taskId: string;
let after: string;
beforeEach(async () => {
  subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
  taskId = (await addFinishedTasks(sql, await firstWorkspaceId(sql), 1))[0] ?? '';
  after = (await createEventCursors(sql)).encode(BigInt((await readSealedEvents(sql)).length));
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const stream of open.splice(0)) stream.cut();
});

/** Opens a stream and returns it with the subscriber that the service keeps for it. */
async function subscribe(
  app: TestApp,
  transport: StreamTransport,
): Promise<{ stream: EventSubscriptionStream; subscriber: Subscriber }> {
  const before = subscribeSpy.mock.results.length;
  const stream = openSubscriptionStream({ url: app.url, key: app.apiKey, transport, target: {}, after });
  open.push(stream);
  const subscriber = await waitFor(
    'the subscriber',
    () => subscribeSpy.mock.results[before]?.value as Subscriber | undefined,
  );
  return { stream, subscriber };
}

/** The IDs of this test's events in log order. */
async function writtenIds(): Promise<string[]> {
  return (await readSealedEvents(sql)).filter((event) => event.taskId === taskId).map(({ id }) => id);
}

const idsOf = ({ received }: EventSubscriptionStream) => received.map(({ id }) => id);

describe('subscribers that stop reading', () => {
  test.each(STREAM_TRANSPORTS)(
    'a paused subscriber over %s delays no other, buffers a bounded amount, and resumes where it stopped',
    async (transport) => {
      const slow = await subscribe(patientApp, transport);
      const others = await Promise.all(STREAM_TRANSPORTS.map((each) => subscribe(patientApp, each)));
      await insertEvents(sql, taskId, 1);
      await waitFor('the first event', () => slow.stream.received.length === 1);
      slow.stream.pause();
      let maxBufferedBytes = 0;
      const measure = () => {
        maxBufferedBytes = Math.max(maxBufferedBytes, slow.subscriber.sink.bufferedBytes);
      };
      for (let part = 0; part < 16; part += 1) {
        await insertEvents(sql, taskId, EVENTS / 16, DATA_BYTES);
        measure();
      }
      for (const { stream } of others) {
        await waitFor('all events on the other streams', () => {
          measure();
          return stream.received.length === EVENTS + 1;
        });
      }
      expect(slow.subscriber.state).toBe('blocked');
      expect(slow.stream.received.length).toBeLessThan(EVENTS);
      expect(maxBufferedBytes).toBeGreaterThan(0);
      expect(maxBufferedBytes).toBeLessThanOrEqual(BUFFER_EVENTS * MAX_EVENT_BYTES);

      slow.stream.resume();
      await waitFor('all events on the slow stream', () => slow.stream.received.length > EVENTS);
      await waitFor('the slow subscriber to be live again', () => slow.subscriber.state === 'live');
      const all = await writtenIds();
      for (const { stream } of [slow, ...others]) expect(idsOf(stream)).toEqual(all);
    },
  );

  test.each(STREAM_TRANSPORTS)(
    'a subscriber over %s that does not resume is disconnected, and can resume after the last event it received',
    async (transport) => {
      const slow = await subscribe(impatientApp, transport);
      await insertEvents(sql, taskId, 1);
      await waitFor('the first event', () => slow.stream.received.length === 1);
      slow.stream.pause();
      await insertEvents(sql, taskId, EVENTS, DATA_BYTES);
      await waitFor('the stall timeout', () => slow.subscriber.state === 'closed');
      const { sink } = slow.subscriber;
      if (sink instanceof EventStreamResponse) await waitFor('the disconnect', () => sink['response'].closed);

      slow.stream.resume();
      const ending = await slow.stream.ended;
      const last = slow.stream.received.at(-1)?.cursor ?? null;
      expect(slow.stream.received.length).toBeLessThan(EVENTS);
      expect(ending.complete).toBeUndefined();
      if (transport === 'websocket')
        expect(ending).toEqual({ code: 4480, reason: `Too slow; resume after ${last}` });
      const options = { url: patientApp.url, key: patientApp.apiKey, transport, target: {} };
      const rest = openSubscriptionStream({
        ...options,
        after: /after (.*)$/.exec(ending.reason ?? '')?.[1] ?? last,
      });
      open.push(rest);
      const all = await writtenIds();
      await waitFor('the rest', () => slow.stream.received.length + rest.received.length >= all.length);
      expect([...idsOf(slow.stream), ...idsOf(rest)]).toEqual(all);
    },
  );

  test.each(STREAM_TRANSPORTS)(
    'a subscriber over %s whose connection is full again and again receives each large event once',
    async (transport) => {
      const { stream } = await subscribe(patientApp, transport);
      await insertEvents(sql, taskId, LARGE_EVENTS, LARGE_DATA_BYTES);
      const all = await waitFor('the events to be sealed', async () => {
        const ids = await writtenIds();
        return ids.length === LARGE_EVENTS && ids;
      });
      await waitFor('the last event', () => idsOf(stream).at(-1) === all.at(-1));
      expect(idsOf(stream)).toEqual(all);
      const resumed = await subscribe(patientApp, transport);
      await waitFor('the last event again', () => idsOf(resumed.stream).at(-1) === all.at(-1));
      expect(idsOf(resumed.stream)).toEqual(all);
    },
  );
});
