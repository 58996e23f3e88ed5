import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../src/core/primitives/ids.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { startLoad } from './support/load.js';
import { inTurns, perSecondOf, ratiosOf, roundsTable } from './support/rounds.js';
import { makeScratch } from './support/postgres.js';
import { makeRunning } from './support/running-tasks.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 24;
const ROUNDS = 6;
const WARM_UP_SECONDS = 1.5;
/** More than two cores acknowledge in the time of the bench; what is left over stays running. */
const MAX_PER_SECOND = 2_500;
const GOAL = 0.4;
/** The rate at which the time to an acknowledgement is told, and its goal. */
const PACE_PER_SECOND = 200;
const GOAL_P99_MS = 50;
const SECRET = 'a secret of this bench alone, 32 bytes and more';

const LOAD = new URL('./callbacks-load.js', import.meta.url);
const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

/**
 * How fast is the upstream's callback acknowledged, which it sends once? Compared are callbacks per second over HTTP
 * (checked, parsed, and committed with the task's end, its image, event, job and the kept body), and the very same statement
 * sent by pg. Sides and rounds are as in create.ts. Then callbacks come at a steady rate, and the time from when each was
 * due to its acknowledgement is told.
 */
export const callbacks: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion(
    'Callbacks acknowledged per second: over HTTP, and by the same statement straight through pg',
  );
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('callbacks');
  const floorUrl = await scratch.database('callbacks_floor');
  const environment = { SECRET_KEY: SECRET };
  const dataDir = scratch.folder('data');
  const service = await startService({ databaseUrl, dataDir, roles: 'api', environment }, release);
  await migrate({ databaseUrl: floorUrl, migrationsDir: MIGRATIONS, log: pino({ level: 'silent' }) });

  const count = Math.ceil((seconds + 2 * WARM_UP_SECONDS) * MAX_PER_SECOND);
  const oursIds = await makeRunning(databaseUrl, newId(), count, scratch.folder('ours.json'));
  const floorIds = await makeRunning(floorUrl, newId(), count, scratch.folder('floor.json'));
  const sides = {
    ours: await startLoad(LOAD, ['http', service.url, oursIds, SECRET], release),
    floor: await startLoad(LOAD, ['pg', floorUrl, floorIds, SECRET], release),
  };
  await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);

  const share = seconds / (ROUNDS * 2 + 2);
  const done = await inTurns(sides, ROUNDS, share);
  const paced = await sides.ours.pace(share * 2, PACE_PER_SECOND);

  printTable(roundsTable({ ours: 'over HTTP', floor: 'the statement' }, done));
  console.log(
    `At ${PACE_PER_SECOND} a second: p50 ${paced.p50Ms.toFixed(1)} ms, p99 ${paced.p99Ms.toFixed(1)} ms.`,
  );
  console.log(`Goals: a ratio of at least ${GOAL}, and a p99 below ${GOAL_P99_MS} ms at that rate.`);
  const ratio = rounded(median(ratiosOf(done)), 3);
  const figures = { ours: perSecondOf(done.ours), floor: perSecondOf(done.floor), ratio };
  console.log(JSON.stringify({ bench: 'callbacks', ...figures, p99Ms: rounded(paced.p99Ms, 1) }));
};
