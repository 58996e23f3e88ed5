import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../src/core/primitives/ids.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { startLoad } from './support/load.js';
import { runAlternately, medianPerSecond, ratiosByRound, roundsTable } from './support/rounds.js';
import { createScratch } from './support/postgres.js';
import { createRunningTasks } from './support/running-tasks.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 24;
const ROUNDS = 6;
const WARM_UP_SECONDS = 1.5;
/** Tasks to prepare per second of load, more than two cores can acknowledge. */
const MAX_PER_SECOND = 2_500;
const GOAL = 0.4;
/** The rate at which the latency is measured, and its goal. */
const PACE_PER_SECOND = 200;
const GOAL_P99_MS = 50;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

const LOAD = new URL('./callbacks-load.js', import.meta.url);
const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

/**
 * How fast are upstream callbacks acknowledged? Compares callbacks per second over HTTP (verified, parsed, and committed with
 * the task's final status, image, event, job and the saved body) with the same statement sent through pg. The sides and rounds
 * are as in create.ts. Then sends callbacks at a steady rate, and measures the time from when each was due until it was
 * acknowledged.
 */
export const callbacks: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Callbacks acknowledged per second: over HTTP, and by the same statement directly through pg');
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('callbacks');
  const floorUrl = await scratch.database('callbacks_floor');
  const environment = { SECRET_KEY: SECRET };
  const dataDir = scratch.folder('data');
  const service = await startService({ databaseUrl, dataDir, roles: 'api', environment }, release);
  await migrate({ databaseUrl: floorUrl, migrationsDir: MIGRATIONS, log: pino({ level: 'silent' }) });

  const count = Math.ceil((seconds + 2 * WARM_UP_SECONDS) * MAX_PER_SECOND);
  const oursIds = await createRunningTasks(databaseUrl, newId(), count, scratch.folder('ours.json'));
  const floorIds = await createRunningTasks(floorUrl, newId(), count, scratch.folder('floor.json'));
  const sides = {
    ours: await startLoad(LOAD, ['http', service.url, oursIds, SECRET], release),
    floor: await startLoad(LOAD, ['pg', floorUrl, floorIds, SECRET], release),
  };
  await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);

  const secondsPerRound = seconds / (ROUNDS * 2 + 2);
  const results = await runAlternately(sides, ROUNDS, secondsPerRound);
  const paced = await sides.ours.runPaced(secondsPerRound * 2, PACE_PER_SECOND);

  printTable(roundsTable({ ours: 'over HTTP', floor: 'the statement' }, results));
  console.log(
    `At ${PACE_PER_SECOND} per second: p50 ${paced.p50Ms.toFixed(1)} ms, p99 ${paced.p99Ms.toFixed(1)} ms.`,
  );
  console.log(`Goals: a ratio of at least ${GOAL}, and a p99 below ${GOAL_P99_MS} ms at that rate.`);
  const ratio = roundTo(median(ratiosByRound(results)), 3);
  const figures = { ours: medianPerSecond(results.ours), floor: medianPerSecond(results.floor), ratio };
  console.log(JSON.stringify({ bench: 'callbacks', ...figures, p99Ms: roundTo(paced.p99Ms, 1) }));
};
