import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { prepareFloor } from './support/floor.js';
import { startLoad, type Stretch } from './support/load.js';
import { inTurns, perSecondOf, ratiosOf, roundsTable } from './support/rounds.js';
import { makeScratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

/** With the preparation and the warm-up about half a minute. */
const DEFAULT_SECONDS = 24;
const ROUNDS = 6;
const WARM_UP_SECONDS = 1.5;
const GOAL = 0.5;

const LOAD = new URL('./create-load.js', import.meta.url);

/**
 * How much of what Postgres can do is left when tasks are created through the front door? Compared are tasks per second
 * through GraphQL over HTTP, and through the very same statement (task, event and job in one commit) sent by pg.
 *
 * Equal for both: the server and its durable settings, 16 connections in a closed loop, one load process each, and the
 * processes that are there but idle while the other side runs. Against us: our service seals its events all the while,
 * and nobody seals those of the floor, which has a database to itself. Neither side has a worker (ROLES=api): the sandbox
 * would make pictures on the same cores.
 */
export const create: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion(
    'Tasks created per second: through GraphQL over HTTP, and by the same statement straight through pg',
  );
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('create');
  const floorUrl = await scratch.database('create_floor');
  const service = await startService({ databaseUrl, dataDir: scratch.folder('data'), roles: 'api' }, release);
  const sides = {
    ours: await startLoad(LOAD, ['graphql', service.url, service.apiKey], release),
    floor: await startLoad(LOAD, ['pg', floorUrl, await prepareFloor(floorUrl)], release),
  };
  const warmedUp = await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);

  const share = seconds / ROUNDS / 2;
  const done = await inTurns(sides, ROUNDS, share);
  await checkCount(databaseUrl, [warmedUp, ...done.ours]);

  printTable(roundsTable({ ours: 'GraphQL over HTTP', floor: 'the statement' }, done));
  console.log(`Goal: a ratio of at least ${GOAL}.`);
  const ratio = rounded(median(ratiosOf(done)), 3);
  const figures = { ours: perSecondOf(done.ours), floor: perSecondOf(done.floor), ratio };
  console.log(JSON.stringify({ bench: 'create', ...figures }));
};

/** What was counted must have been written: task, event and job for each. */
async function checkCount(databaseUrl: string, stretches: Stretch[]): Promise<void> {
  const done = stretches.reduce((sum, stretch) => sum + stretch.done, 0);
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ tasks: number; events: number; jobs: number }>(
      `select (select count(*)::int from tasks) as tasks, (select count(*)::int from task_events) as events,
              (select count(*)::int from graphile_worker.jobs) as jobs`,
    ),
  );
  const [written] = rows;
  if (written?.tasks !== done || written.events !== done || written.jobs !== done) {
    throw new Error(`${done} tasks were acknowledged, and written were ${JSON.stringify(written)}.`);
  }
}
