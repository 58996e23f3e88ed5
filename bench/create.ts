import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { migrateFloorDatabase } from './support/floor.js';
import { startLoad, type LoadResult } from './support/load.js';
import { runAlternately, medianPerSecond, ratiosByRound, roundsTable } from './support/rounds.js';
import { createScratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

/** With preparation and warm-up about half a minute. */
const DEFAULT_SECONDS = 24;
const ROUNDS = 6;
const WARM_UP_SECONDS = 1.5;
const GOAL = 0.5;

const LOAD = new URL('./create-load.js', import.meta.url);

/**
 * How much of PostgreSQL's throughput is left when tasks are created through GraphQL? Compares tasks per second through
 * GraphQL over HTTP with the same statement (task, event and job in one commit) sent through pg.
 *
 * Both sides have the same server with durable settings, 16 connections in a closed loop, one load process each, and the idle
 * processes of the other side. The service is at a disadvantage, because it also seals its events. The floor has its own
 * database, where events are not sealed. Neither side has a worker (ROLES=api), because the sandbox would generate images on
 * the same cores.
 */
export const create: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(
    'Tasks created per second: through GraphQL over HTTP, and by the same statement directly through pg',
  );
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('create');
  const floorUrl = await scratch.database('create_floor');
  const service = await startService({ databaseUrl, dataDir: scratch.folder('data'), roles: 'api' }, release);
  const sides = {
    ours: await startLoad(LOAD, ['graphql', service.url, service.apiKey], release),
    floor: await startLoad(LOAD, ['pg', floorUrl, await migrateFloorDatabase(floorUrl)], release),
  };
  const warmedUp = await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);

  const secondsPerRound = seconds / ROUNDS / 2;
  const results = await runAlternately(sides, ROUNDS, secondsPerRound);
  await assertAllWritten(databaseUrl, [warmedUp, ...results.ours]);

  printTable(roundsTable({ ours: 'GraphQL over HTTP', floor: 'the statement' }, results));
  console.log(`Goal: a ratio of at least ${GOAL}.`);
  const ratio = roundTo(median(ratiosByRound(results)), 3);
  const figures = { ours: medianPerSecond(results.ours), floor: medianPerSecond(results.floor), ratio };
  console.log(JSON.stringify({ bench: 'create', ...figures }));
};

/** Checks that a task, an event and a job were written for every counted call. */
async function assertAllWritten(databaseUrl: string, results: LoadResult[]): Promise<void> {
  const expected = results.reduce((sum, { callCount }) => sum + callCount, 0);
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ tasks: number; events: number; jobs: number }>(
      `select (select count(*)::int from tasks) as tasks, (select count(*)::int from task_events) as events,
              (select count(*)::int from graphile_worker.jobs) as jobs`,
    ),
  );
  const [written] = rows;
  if (written?.tasks !== expected || written.events !== expected || written.jobs !== expected) {
    throw new Error(`${expected} tasks were acknowledged, but the database has ${JSON.stringify(written)}.`);
  }
}
