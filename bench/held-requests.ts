import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { type Bench, printHeader, printTable, roundTo } from './support/bench.js';
import { type HelperProcess, startHelper } from './support/helper.js';
import { createScratch, openClient, type Scratch } from './support/postgres.js';
import { rssMbAfterGc, COLLECT_ON_SIGNAL_OPTION, assertOpenFileLimit } from './support/process-account.js';
import { type RegisterRelease, withOwnReleases } from './support/releases.js';
import { startService } from './support/service.js';
import { type ClientsCommand } from './held-requests-clients.js';
import { type FloorStatus } from './held-requests-floor.js';

/** Requests held at a time. */
const HELD_REQUESTS = 500;
/** Each round adds this many requests. An additional first round allocates the memory that is reused later. */
const ROUNDS = 5;
const COUNTING_SECONDS = 10;
/** PostgreSQL reports the last commits of a connection after at most 10 s of idling. */
const STATS_DELAY_MS = 11_000;
const OTHER_FILES = 200;
const GOAL_KB = 30;
/** Cancels all tasks as the service would. */
const CANCEL_ALL = `
  with task as (update tasks set status = 'CANCELED', finished_at = now() returning id, workspace_id)
  insert into task_events (workspace_id, task_id, type, actor, settles_task)
  select workspace_id, id, 'TASK_CANCELED', 'bench', true from task`;
/** Status of the Flux API for a canceled task. */
const CANCELED_STATUS = 400;

const CLIENTS = new URL('./held-requests-clients.js', import.meta.url);
const FLOOR = new URL('./held-requests-floor.js', import.meta.url);

type Clients = HelperProcess<ClientsCommand, number[]>;

/**
 * What does it cost when one instance holds the requests of 500 clients of the Flux API? The instance has no `worker` role, so
 * the tasks do not progress. The floor is a bare Node server that holds the same number of requests.
 *
 * Memory is the growth of resident memory, after garbage collection, for 500 more requests. V8 allocates memory in steps as
 * large as hundreds of requests need, so this is repeated and the average counts. Statements are those per second with 500 held
 * requests, minus those without. Finally all tasks are canceled at once, and every client must get its response.
 */
export const heldRequests: Bench = async ({ release }) => {
  printHeader(`${HELD_REQUESTS} held requests of the Flux API on one instance`);
  assertOpenFileLimit((ROUNDS + 1) * HELD_REQUESTS + OTHER_FILES);
  const scratch = await createScratch(release);
  const ours = await withOwnReleases(release, (own) => measureServiceMemory(scratch, own));
  const floor = await withOwnReleases(release, measureFloorMemory);
  const { idle, holding, answeredSeconds } = await withOwnReleases(release, (own) =>
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
    `Statements per second: ${idle.toFixed(1)} without held requests, ${holding.toFixed(1)} with all.`,
  );
  console.log(`All requests were answered within ${answeredSeconds.toFixed(1)} s of the end of their tasks.`);
  console.log(`Goals: below ${GOAL_KB} kB each, and no statements for held requests.`);
  console.log(
    JSON.stringify({
      bench: 'held-requests',
      heldRequests: HELD_REQUESTS,
      kbPerHeldRequest: roundTo(mean(ours), 1),
      floorKb: roundTo(mean(floor), 1),
      ratio: roundTo(mean(ours) / mean(floor), 2),
      queriesPerSecond: roundTo(holding - idle, 1),
      answeredSeconds: roundTo(answeredSeconds, 1),
    }),
  );
};

async function startServiceWithClients(name: string, scratch: Scratch, release: RegisterRelease) {
  const databaseUrl = await scratch.database(name);
  const environment = { NODE_OPTIONS: COLLECT_ON_SIGNAL_OPTION };
  const options = { databaseUrl, dataDir: scratch.folder(name), roles: 'api', environment };
  const { url, apiKey, pid } = await startService(options, release);
  const database = await openClient(databaseUrl, release);
  const clients = await startHelper<ClientsCommand, number[]>(CLIENTS, [url, apiKey], release);
  return { pid, database, clients };
}

async function measureServiceMemory(scratch: Scratch, release: RegisterRelease): Promise<number[]> {
  const { pid, database, clients } = await startServiceWithClients('memory', scratch, release);
  return measureMemoryPerRequest(pid, clients, () => countTasks(database));
}

async function countStatements(scratch: Scratch, release: RegisterRelease) {
  const { database, clients } = await startServiceWithClients('statements', scratch, release);
  const idle = await statementsPerSecond(database);
  await sendRequests(clients, HELD_REQUESTS, () => countTasks(database));
  const holding = await statementsPerSecond(database);
  const startedAt = performance.now();
  await database.query(CANCEL_ALL);
  const statuses = await clients.call({ waitForResponses: true });
  const answeredSeconds = (performance.now() - startedAt) / 1000;
  const unexpected = statuses.filter((status) => status !== CANCELED_STATUS);
  if (unexpected.length > 0)
    throw new Error(`${unexpected.length} requests got an unexpected status, such as ${unexpected[0]}.`);
  return { idle, holding, answeredSeconds };
}

async function measureFloorMemory(release: RegisterRelease): Promise<number[]> {
  const floor = await startHelper<object, FloorStatus>(FLOOR, [], release, [COLLECT_ON_SIGNAL_OPTION]);
  const { url } = await floor.call({});
  const clients = await startHelper<ClientsCommand, number[]>(CLIENTS, [url], release);
  return measureMemoryPerRequest(floor.pid, clients, async () => (await floor.call({})).heldCount);
}

/** Memory in kB that the process needs per additional request, round by round. */
async function measureMemoryPerRequest(
  pid: number,
  clients: Clients,
  countHeld: () => Promise<number>,
): Promise<number[]> {
  const rssMb: number[] = [];
  for (let total = HELD_REQUESTS; rssMb.length <= ROUNDS; total += HELD_REQUESTS) {
    await sendRequests(clients, total, countHeld);
    rssMb.push(await rssMbAfterGc(pid));
  }
  return rssMb.slice(1).map((rss, round) => ((rss - (rssMb[round] ?? NaN)) * 1024) / HELD_REQUESTS);
}

/** Sends more requests, and resolves when `total` are held. */
async function sendRequests(
  clients: Clients,
  total: number,
  countHeld: () => Promise<number>,
): Promise<void> {
  await clients.call({ sendRequests: HELD_REQUESTS });
  while ((await countHeld()) < total) await pause(50);
}

async function countTasks(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ count: number }>('select count(*)::int as count from tasks');
  return rows[0]?.count ?? NaN;
}

async function statementsPerSecond(database: pg.Client): Promise<number> {
  await pause(STATS_DELAY_MS);
  const before = await countCommits(database);
  await pause(COUNTING_SECONDS * 1000);
  return ((await countCommits(database)) - before) / COUNTING_SECONDS;
}

async function countCommits(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ commits: number }>(
    'select xact_commit::int as commits from pg_stat_database where datname = current_database()',
  );
  return rows[0]?.commits ?? NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
