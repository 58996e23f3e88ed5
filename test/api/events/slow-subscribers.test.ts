import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { Feed } from '../../../src/event-log/broadcaster.js';
import { type Watcher } from '../../../src/event-log/subscriber.js';
import { EventStream } from '../../../src/http/events/event-stream.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { openStream, type Stream, TRANSPORTS, type Transport } from '../../support/events/streams.js';
import {
  addTasks,
  cursorsOf,
  firstWorkspace,
  sealedEvents,
  SECRET_KEY,
  writeMany,
} from '../../support/events/event-rows.js';

/** Together more than the kernel keeps for a connection: 16 MB. */
const EVENTS = 800;
const BYTES = 20 * 1024;
const BUFFER_EVENTS = 20;
/** An event as it goes out: what it is about comes on top of its data. */
const MAX_EVENT_BYTES = BYTES + 1_000;

let database: TestDatabase;
let sql: pg.Pool;
let patient: TestApp;
let impatient: TestApp;
beforeAll(async () => {
  database = await createTestDatabase();
  const environment = { SECRET_KEY, PUSH_BUFFER_EVENTS: String(BUFFER_EVENTS), ROLES: 'api' };
  const shared = { databaseUrl: database.url, environment };
  patient = await TestApp.start(shared);
  impatient = await TestApp.start({ ...shared, key: patient.key, tuning: { stallMs: 300 } });
  sql = new pg.Pool({ connectionString: database.url, max: 4 });
});
afterAll(async () => {
  await sql.end();
  await Promise.all([patient.stop(), impatient.stop()]);
  await database.drop();
});

const open: Stream[] = [];
let joined: jest.SpiedFunction<Feed['watch']>;
let taskId: string;
let after: string;
beforeEach(async () => {
  joined = jest.spyOn(Feed.prototype, 'watch');
  taskId = (await addTasks(sql, await firstWorkspace(sql), 1))[0] ?? '';
  after = (await cursorsOf(sql)).encode(BigInt((await sealedEvents(sql)).length));
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const stream of open.splice(0)) stream.cut();
});

/** A stream that has had its first event, and what the service knows of it. */
async function join(app: TestApp, transport: Transport): Promise<{ stream: Stream; watcher: Watcher }> {
  const before = joined.mock.results.length;
  const stream = openStream({ url: app.url, key: app.key, transport, target: {}, after });
  open.push(stream);
  const watcher = await waitFor(
    'the watcher',
    () => joined.mock.results[before]?.value as Watcher | undefined,
  );
  return { stream, watcher };
}

/** The ids of this test's events, in order. */
async function written(): Promise<string[]> {
  return (await sealedEvents(sql)).filter((event) => event.taskId === taskId).map(({ id }) => id);
}

const idsOf = ({ received }: Stream) => received.map(({ id }) => id);

describe('a watcher that stops reading', () => {
  test.each(TRANSPORTS)(
    'holds up nobody, costs little, and goes on where it was, over %s',
    async (transport) => {
      const slow = await join(patient, transport);
      const quick = await Promise.all(TRANSPORTS.map((other) => join(patient, other)));
      await writeMany(sql, taskId, 1);
      await waitFor('the first event', () => slow.stream.received.length === 1);
      slow.stream.pause();
      let mostBytes = 0;
      const count = () => (mostBytes = Math.max(mostBytes, slow.watcher.outlet.backlogBytes));
      for (let part = 0; part < 16; part += 1) {
        await writeMany(sql, taskId, EVENTS / 16, BYTES);
        count();
      }
      for (const { stream } of quick) {
        await waitFor('the others', () => {
          count();
          return stream.received.length === EVENTS + 1;
        });
      }
      expect(slow.watcher.state).toBe('waiting');
      expect(slow.stream.received.length).toBeLessThan(EVENTS);
      expect(mostBytes).toBeGreaterThan(0);
      expect(mostBytes).toBeLessThanOrEqual(BUFFER_EVENTS * MAX_EVENT_BYTES);

      slow.stream.resume();
      await waitFor('the slow one', () => slow.stream.received.length > EVENTS);
      await waitFor('it to be live again', () => slow.watcher.state === 'live');
      const all = await written();
      for (const { stream } of [slow, ...quick]) expect(idsOf(stream)).toEqual(all);
    },
  );

  test.each(TRANSPORTS)(
    'and never goes on is sent away with a place to go on from, over %s',
    async (transport) => {
      const slow = await join(impatient, transport);
      await writeMany(sql, taskId, 1);
      await waitFor('the first event', () => slow.stream.received.length === 1);
      slow.stream.pause();
      await writeMany(sql, taskId, EVENTS, BYTES);
      await waitFor('the end of its patience', () => slow.watcher.state === 'over');
      const { outlet } = slow.watcher;
      if (outlet instanceof EventStream) await waitFor('the cut', () => outlet['response'].closed);

      slow.stream.resume();
      const ending = await slow.stream.ended;
      const last = slow.stream.received.at(-1)?.cursor ?? null;
      expect(slow.stream.received.length).toBeLessThan(EVENTS);
      expect(ending.complete).toBeUndefined();
      if (transport === 'websocket')
        expect(ending).toEqual({ code: 4480, reason: `Too slow; go on after ${last}` });
      const options = { url: patient.url, key: patient.key, transport, target: {} };
      const rest = openStream({ ...options, after: /after (.*)$/.exec(ending.reason ?? '')?.[1] ?? last });
      open.push(rest);
      const all = await written();
      await waitFor('the rest', () => slow.stream.received.length + rest.received.length >= all.length);
      expect([...idsOf(slow.stream), ...idsOf(rest)]).toEqual(all);
    },
  );
});
