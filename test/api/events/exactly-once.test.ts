import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { SeededRandom } from '../../../src/sandbox/painting/seeded-random.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { freePort } from '../../support/net/free-port.js';
import { waitFor } from '../../support/wait-for.js';
import { ReconnectingSubscriber } from '../../support/events/reconnecting-subscriber.js';
import { ChildProgram } from '../../support/app/child-program.js';
import { type SubscriptionTarget, STREAM_TRANSPORTS } from '../../support/events/streams.js';
import {
  addFinishedTasks,
  createEventCursors,
  firstWorkspaceId,
  FILTERABLE_TYPES,
  readSealedEvents,
  SECRET_KEY,
  countUnsealedEvents,
  insertEvent,
} from '../../support/events/event-rows.js';

const SUBSCRIBERS = 50;
const EVENTS = 10_000;
const TASKS = 36;
const WRITERS = 6;
/** Subscribers that join once half of the events are sealed, and replay the log from its beginning. */
const LATE_SUBSCRIBERS = 5;
/** Generous: the services are compiled as they start, and 50 subscribers share this process on two cores. */
const TIMEOUT_MS = 360_000;

const seed = process.env.STORY_SEED ?? String(Date.now());
const random = new SeededRandom(seed);
type Service = ChildProgram<{ url: string; firstApiKey: string | null }>;

let database: TestDatabase;
let dataDir: string;
let sql: pg.Pool;
let ports: [number, number];
let services: [Service, Service];
const subscribers: ReconnectingSubscriber[] = [];
const start = (port: number): Promise<Service> =>
  ChildProgram.start('test/support/app/service-main.ts', {
    ...{ DATABASE_URL: database.url, DATA_DIR: dataDir, SECRET_KEY, PORT: String(port), LOG_LEVEL: 'error' },
  });
beforeAll(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-push-'));
  sql = new pg.Pool({ connectionString: database.url, max: WRITERS + 2 });
  ports = [await freePort(), await freePort()];
  services = [await start(ports[0]), await start(ports[1])];
}, TIMEOUT_MS);
afterAll(async () => {
  await Promise.all(services.map((service) => service.terminate('SIGKILL')));
  await Promise.all(subscribers.map((subscriber) => subscriber.stop()));
  await sql.end();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

/**
 * Writes `total` events in transactions of random length. Transactions overlap, so an event that gets its sequence number
 * first is often committed last, and 5% of the transactions are rolled back.
 */
async function writeEvents(tasks: readonly [string, ...string[]], total: number): Promise<void> {
  let written = 0;
  while (written < total) {
    const count = Math.min(total - written, Math.ceil(random.between(0, 40)));
    const client = await sql.connect();
    await client.query('BEGIN');
    for (let n = 0; n < count; n += 1) {
      await insertEvent(client, random.pick(tasks), random.pick(FILTERABLE_TYPES), { n });
      if (random.next() < 0.3) await pause(random.between(0, 25));
    }
    const commits = random.next() > 0.05;
    await client.query(commits ? 'COMMIT' : 'ROLLBACK');
    client.release();
    if (commits) written += count;
  }
}

function targetOf(index: number, tasks: readonly [string, ...string[]]): SubscriptionTarget {
  if (index % 5 === 3) return { types: FILTERABLE_TYPES.filter(() => random.next() < 0.4) };
  if (index % 5 === 4) return { taskIds: tasks.filter(() => random.next() < 0.2) };
  return index % 10 === 2 ? { taskId: random.pick(tasks) } : { withTask: index % 5 === 1 };
}

function matchesTarget(
  { taskId, types, taskIds }: SubscriptionTarget,
  event: { type: string; taskId: string },
): boolean {
  if (taskId !== undefined) return event.taskId === taskId;
  return (
    (!types?.length || types.includes(event.type)) && (!taskIds?.length || taskIds.includes(event.taskId))
  );
}

test(
  '50 subscribers each receive 10,000 events once and in order across lost sockets, two instances, a crash and a restart',
  async () => {
    process.stderr.write(`Seed: ${seed}. Set STORY_SEED=${seed} to repeat this run.\n`);
    const urls = [`http://127.0.0.1:${ports[0]}`, `http://127.0.0.1:${ports[1]}`] as const;
    const key = services[0].ready.firstApiKey ?? '';
    const after = (await createEventCursors(sql)).encode(0n);
    const tasks = (await addFinishedTasks(sql, await firstWorkspaceId(sql), TASKS)) as [string, ...string[]];
    const addSubscriber = (index: number) => {
      const transport = STREAM_TRANSPORTS[index % STREAM_TRANSPORTS.length] ?? 'plain';
      const target = targetOf(index, tasks);
      subscribers.push(
        new ReconnectingSubscriber({ urls: [...urls], key, transport, target, after, random }),
      );
    };
    const countSealed = async () => {
      const { rows } = await sql.query<{ head: number }>('SELECT position::int AS head FROM event_log_head');
      return rows[0]?.head ?? 0;
    };
    const waitUntilSealed = (share: number) =>
      waitFor(
        `${share * 100}% of the events to be sealed`,
        async () => (await countSealed()) >= share * EVENTS,
        {
          timeoutMs: TIMEOUT_MS,
        },
      );

    for (let index = 0; index < SUBSCRIBERS - LATE_SUBSCRIBERS; index += 1) addSubscriber(index);
    let writing = true;
    const cuttingSockets = (async () => {
      while (writing) {
        random.pick(subscribers).cut();
        await pause(random.between(20, 120));
      }
    })();
    const writers = Array.from({ length: WRITERS }, () => writeEvents(tasks, Math.ceil(EVENTS / WRITERS)));

    await waitUntilSealed(0.25);
    expect(await services[0].terminate('SIGKILL')).toBe('SIGKILL');
    const restart = start(ports[0]).then((service) => (services[0] = service));
    await waitUntilSealed(0.5);
    for (let index = SUBSCRIBERS - LATE_SUBSCRIBERS; index < SUBSCRIBERS; index += 1) addSubscriber(index);
    await restart;
    expect(await services[1].terminate('SIGTERM')).toBe(0);
    services[1] = await start(ports[1]);
    await Promise.all(writers);
    writing = false;
    await cuttingSockets;
    await waitFor('sealing', async () => (await countUnsealedEvents(sql)) === 0);

    const events = await readSealedEvents(sql);
    expect(events.length).toBeGreaterThanOrEqual(EVENTS);
    expect(events.map(({ position }) => position)).toEqual(events.map((_event, index) => index + 1));
    const expected = subscribers.map(({ options }) =>
      events.filter((event) => matchesTarget(options.target, event)),
    );
    await waitFor(
      'the last events',
      () => subscribers.every(({ eventIds: ids }, index) => ids.length >= (expected[index]?.length ?? 0)),
      { timeoutMs: 120_000 },
    );
    // A stopping instance flushes what it still has to push, so a duplicate would arrive by now.
    await Promise.all(services.map((service) => service.terminate('SIGTERM')));
    await Promise.all(subscribers.map((subscriber) => subscriber.stop()));

    for (const [index, { eventIds: ids, options }] of subscribers.entries()) {
      const { transport, target } = options;
      expect({ transport, target, ids }).toEqual({
        ...{ transport, target },
        ids: expected[index]?.map(({ id }) => id),
      });
    }
    const connections = subscribers.reduce((sum, subscriber) => sum + subscriber.connectionCount, 0);
    expect(connections).toBeGreaterThan(3 * SUBSCRIBERS);
    const disconnects = subscribers.flatMap((subscriber) => subscriber.disconnects.slice(0, -1));
    expect(disconnects.filter(({ code }) => code === 1001).length).toBeGreaterThan(0);
    expect(disconnects.filter(({ closing }) => closing?.code === 'GOING_AWAY').length).toBeGreaterThan(0);
    for (const disconnect of disconnects) {
      expect(disconnect).not.toHaveProperty('errors');
      expect([undefined, 200, 503]).toContain(disconnect.status);
      expect([undefined, 1001, 1006]).toContain(disconnect.code);
    }
  },
  TIMEOUT_MS,
);
