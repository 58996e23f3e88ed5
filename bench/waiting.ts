import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { type Bench, printOccasion, printTable, rounded } from './support/bench.js';
import { type Helper, startHelper } from './support/helper.js';
import { makeScratch, openClient, type Scratch } from './support/postgres.js';
import { collectedRssMb, COLLECTS_ON_SIGNAL, requireOpenFiles } from './support/process-account.js';
import { type OnRelease, releasedAfter } from './support/releases.js';
import { startService } from './support/service.js';
import { type ClientsOrder } from './waiting-clients.js';
import { type FloorAnswer } from './waiting-floor.js';

/** At a time. */
const WAITERS = 500;
/** Of so many more each, after a first one that makes the room: all of them wait at the end. */
const ROUNDS = 5;
const COUNTING_SECONDS = 10;
/** A connection that has just been used tells its last commits at the latest when it has been idle for 10 s. */
const COUNTED_MS = 11_000;
const OTHER_FILES = 200;
const GOAL_KB = 30;
/** What a cancellation writes. */
const CANCEL_ALL = `
  with task as (update tasks set status = 'CANCELED', finished_at = now() returning id, workspace_id)
  insert into task_events (workspace_id, task_id, type, actor, settles)
  select workspace_id, id, 'TASK_CANCELED', 'bench', true from task`;
/** What the Flux API answers then. */
const CANCELED_STATUS = 400;

const CLIENTS = new URL('./waiting-clients.js', import.meta.url);
const FLOOR = new URL('./waiting-floor.js', import.meta.url);

type Clients = Helper<ClientsOrder, number[]>;

/**
 * What does it cost that 500 clients of the Flux API wait for their pictures on one instance? It is an instance without the
 * role `worker`, so everybody waits; the floor is a bare Node server that does not answer as many requests.
 *
 * Memory is what is resident, garbage collected, less what was with 500 fewer. V8 takes its room in steps that are as large
 * as hundreds of waiters, so 500 come again and again to both, and what all of them have cost counts. Statements are those that Postgres is
 * sent a second while 500 wait, less what it is while nobody does. At last their tasks are canceled at once, and everybody
 * must be told.
 */
export const waiting: Bench = async ({ release }) => {
  printOccasion(`${WAITERS} clients of the Flux API wait at one instance`);
  requireOpenFiles((ROUNDS + 1) * WAITERS + OTHER_FILES);
  const scratch = await makeScratch(release);
  const ours = await releasedAfter(release, (own) => memoryOfService(scratch, own));
  const floor = await releasedAfter(release, memoryOfFloor);
  const { idle, waiting, answeredSeconds } = await releasedAfter(release, (own) =>
    countStatements(scratch, own),
  );

  const row = (name: string, values: number[]) => [
    name,
    ...[...values, mean(values)].map((value) => value.toFixed(1)),
  ];
  printTable([
    ['kB each of 500 more', ...ours.map((_, round) => String(round + 1)), 'all'],
    row('the service', ours),
    row('bare Node', floor),
  ]);
  console.log(
    `Statements a second: ${idle.toFixed(1)} while nobody waits, ${waiting.toFixed(1)} while all do.`,
  );
  console.log(`All were told of their task's end within ${answeredSeconds.toFixed(1)} s.`);
  console.log(`Goals: below ${GOAL_KB} kB each, and no statements for those who wait.`);
  console.log(
    JSON.stringify({
      bench: 'waiting',
      waiters: WAITERS,
      kbPerWaiter: rounded(mean(ours), 1),
      floorKb: rounded(mean(floor), 1),
      ratio: rounded(mean(ours) / mean(floor), 2),
      queriesPerSecond: rounded(waiting - idle, 1),
      answeredSeconds: rounded(answeredSeconds, 1),
    }),
  );
};

async function startOurs(name: string, scratch: Scratch, release: OnRelease) {
  const databaseUrl = await scratch.database(name);
  const environment = { NODE_OPTIONS: COLLECTS_ON_SIGNAL };
  const options = { databaseUrl, dataDir: scratch.folder(name), roles: 'api', environment };
  const { url, apiKey, pid } = await startService(options, release);
  const database = await openClient(databaseUrl, release);
  const clients = await startHelper<ClientsOrder, number[]>(CLIENTS, [url, apiKey], release);
  return { pid, database, clients };
}

async function memoryOfService(scratch: Scratch, release: OnRelease): Promise<number[]> {
  const { pid, database, clients } = await startOurs('memory', scratch, release);
  return fill(pid, clients, () => tasksIn(database));
}

async function countStatements(scratch: Scratch, release: OnRelease) {
  const { database, clients } = await startOurs('statements', scratch, release);
  const idle = await statementsASecond(database);
  await begin(clients, WAITERS, () => tasksIn(database));
  const waiting = await statementsASecond(database);
  const startedAt = performance.now();
  await database.query(CANCEL_ALL);
  const statuses = await clients.ask({ answered: true });
  const answeredSeconds = (performance.now() - startedAt) / 1000;
  const others = statuses.filter((status) => status !== CANCELED_STATUS);
  if (others.length > 0) throw new Error(`${others.length} were answered otherwise, such as ${others[0]}.`);
  return { idle, waiting, answeredSeconds };
}

async function memoryOfFloor(release: OnRelease): Promise<number[]> {
  const floor = await startHelper<object, FloorAnswer>(FLOOR, [], release, [COLLECTS_ON_SIGNAL]);
  const { url } = await floor.ask({});
  const clients = await startHelper<ClientsOrder, number[]>(CLIENTS, [url], release);
  return fill(floor.pid, clients, async () => (await floor.ask({})).held);
}

/** kB that each of those who come has cost the process, round by round. */
async function fill(pid: number, clients: Clients, held: () => Promise<number>): Promise<number[]> {
  const rssMb: number[] = [];
  for (let all = WAITERS; rssMb.length <= ROUNDS; all += WAITERS) {
    await begin(clients, all, held);
    rssMb.push(await collectedRssMb(pid));
  }
  return rssMb.slice(1).map((rss, round) => ((rss - (rssMb[round] ?? NaN)) * 1024) / WAITERS);
}

/** Has as many more wait. */
async function begin(clients: Clients, all: number, held: () => Promise<number>): Promise<void> {
  await clients.ask({ begin: WAITERS });
  while ((await held()) < all) await pause(50);
}

async function tasksIn(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ count: number }>('select count(*)::int as count from tasks');
  return rows[0]?.count ?? NaN;
}

async function statementsASecond(database: pg.Client): Promise<number> {
  await pause(COUNTED_MS);
  const before = await commits(database);
  await pause(COUNTING_SECONDS * 1000);
  return ((await commits(database)) - before) / COUNTING_SECONDS;
}

async function commits(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ commits: number }>(
    'select xact_commit::int as commits from pg_stat_database where datname = current_database()',
  );
  return rows[0]?.commits ?? NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
