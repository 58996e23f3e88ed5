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
import { Follower } from '../../support/events/reconnecting-subscriber.js';
import { Instance } from '../../support/app/child-program.js';
import { type Target, TRANSPORTS } from '../../support/events/streams.js';
import {
  addTasks,
  cursorsOf,
  firstWorkspace,
  KINDS,
  sealedEvents,
  SECRET_KEY,
  unsealedCount,
  writeEvent,
} from '../../support/events/event-rows.js';

const WATCHERS = 50;
const EVENTS = 10_000;
const TASKS = 36;
const WRITERS = 6;
/** Some come when half is over and read all of it. */
const LATE = 5;
/** Uncompiled services, two cores, and 50 watchers in one process. */
const TIMEOUT_MS = 360_000;

const seed = process.env.STORY_SEED ?? String(Date.now());
const random = new SeededRandom(seed);
type Service = Instance<{ url: string; firstKey: string | null }>;

let database: TestDatabase;
let dataDir: string;
let sql: pg.Pool;
let ports: [number, number];
let services: [Service, Service];
const followers: Follower[] = [];
const start = (port: number): Promise<Service> =>
  Instance.start('test/support/app/service-main.ts', {
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
  await Promise.all(services.map((service) => service.end('SIGKILL')));
  await Promise.all(followers.map((follower) => follower.stop()));
  await sql.end();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

/** Transactions of random length: what is numbered first is often committed last, and some of it never. */
async function write(tasks: readonly [string, ...string[]], upTo: number): Promise<void> {
  let written = 0;
  while (written < upTo) {
    const count = Math.min(upTo - written, Math.ceil(random.between(0, 40)));
    const client = await sql.connect();
    await client.query('BEGIN');
    for (let n = 0; n < count; n += 1) {
      await writeEvent(client, random.pick(tasks), random.pick(KINDS), { n });
      if (random.next() < 0.3) await pause(random.between(0, 25));
    }
    const isKept = random.next() > 0.05;
    await client.query(isKept ? 'COMMIT' : 'ROLLBACK');
    client.release();
    if (isKept) written += count;
  }
}

function targetOf(index: number, tasks: readonly [string, ...string[]]): Target {
  if (index % 5 === 3) return { types: KINDS.filter(() => random.next() < 0.4) };
  if (index % 5 === 4) return { taskIds: tasks.filter(() => random.next() < 0.2) };
  return index % 10 === 2 ? { taskId: random.pick(tasks) } : { withTask: index % 5 === 1 };
}

function isShown({ taskId, types, taskIds }: Target, event: { type: string; taskId: string }): boolean {
  if (taskId !== undefined) return event.taskId === taskId;
  return (
    (!types?.length || types.includes(event.type)) && (!taskIds?.length || taskIds.includes(event.taskId))
  );
}

test(
  '50 watchers each see 10,000 events once and in order, over cut sockets, two instances, a crash and a restart',
  async () => {
    process.stderr.write(`The story has the seed ${seed}; STORY_SEED=${seed} tells it again.\n`);
    const urls = [`http://127.0.0.1:${ports[0]}`, `http://127.0.0.1:${ports[1]}`] as const;
    const key = services[0].ready.firstKey ?? '';
    const after = (await cursorsOf(sql)).encode(0n);
    const tasks = (await addTasks(sql, await firstWorkspace(sql), TASKS)) as [string, ...string[]];
    const follow = (index: number) => {
      const transport = TRANSPORTS[index % TRANSPORTS.length] ?? 'plain';
      const target = targetOf(index, tasks);
      followers.push(new Follower({ urls: [...urls], key, transport, target, after, random }));
    };
    const sealed = async () => {
      const { rows } = await sql.query<{ head: number }>('SELECT position::int AS head FROM event_log_head');
      return rows[0]?.head ?? 0;
    };
    const reached = (share: number) =>
      waitFor(`${share} of the events`, async () => (await sealed()) >= share * EVENTS, {
        timeoutMs: TIMEOUT_MS,
      });

    for (let index = 0; index < WATCHERS - LATE; index += 1) follow(index);
    let writing = true;
    const cutting = (async () => {
      while (writing) {
        random.pick(followers as [Follower, ...Follower[]]).cut();
        await pause(random.between(20, 120));
      }
    })();
    const writers = Array.from({ length: WRITERS }, () => write(tasks, Math.ceil(EVENTS / WRITERS)));

    await reached(0.25);
    expect(await services[0].end('SIGKILL')).toBe('SIGKILL');
    const comesBack = start(ports[0]).then((service) => (services[0] = service));
    await reached(0.5);
    for (let index = WATCHERS - LATE; index < WATCHERS; index += 1) follow(index);
    await comesBack;
    expect(await services[1].end('SIGTERM')).toBe(0);
    services[1] = await start(ports[1]);
    await Promise.all(writers);
    writing = false;
    await cutting;
    await waitFor('sealing', async () => (await unsealedCount(sql)) === 0);

    const events = await sealedEvents(sql);
    expect(events.length).toBeGreaterThanOrEqual(EVENTS);
    expect(events.map(({ position }) => position)).toEqual(events.map((_event, index) => index + 1));
    const expected = followers.map(({ options }) => events.filter((event) => isShown(options.target, event)));
    await waitFor(
      'the last events',
      () => followers.every(({ ids }, index) => ids.length >= (expected[index]?.length ?? 0)),
      { timeoutMs: 120_000 },
    );
    // What is still on its way when an instance ends is pushed before: a double would be seen.
    await Promise.all(services.map((service) => service.end('SIGTERM')));
    await Promise.all(followers.map((follower) => follower.stop()));

    for (const [index, { ids, options }] of followers.entries()) {
      const { transport, target } = options;
      expect({ transport, target, ids }).toEqual({
        ...{ transport, target },
        ids: expected[index]?.map(({ id }) => id),
      });
    }
    const connections = followers.reduce((sum, follower) => sum + follower.connections, 0);
    expect(connections).toBeGreaterThan(3 * WATCHERS);
    const partings = followers.flatMap((follower) => follower.partings.slice(0, -1));
    expect(partings.filter(({ code }) => code === 1001).length).toBeGreaterThan(0);
    expect(partings.filter(({ closing }) => closing?.code === 'GOING_AWAY').length).toBeGreaterThan(0);
    for (const parting of partings) {
      expect(parting).not.toHaveProperty('errors');
      expect([undefined, 200, 503]).toContain(parting.status);
      expect([undefined, 1001, 1006]).toContain(parting.code);
    }
  },
  TIMEOUT_MS,
);
