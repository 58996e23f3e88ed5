import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { startHelper } from './support/helper.js';

import { type LoadProcess, startLoad } from './support/load.js';
import { migrateFloorDatabase } from './support/floor.js';
import {
  runAlternately,
  medianPerSecond,
  ratiosByRound,
  roundsTable,
  type Comparison,
} from './support/rounds.js';
import { createScratch } from './support/postgres.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 40;
const ROUNDS = 6;
const WARM_UP_SECONDS = 2;
const GOALS = { query: 1, create: 0.5 };

/** Limits that are counted but never reached. */
const LIMITS = {
  LIMITS_PER_KEY: 'requestsPerMinute=1000000,generationsPerMinute=1000000',
  LIMITS_PER_WORKSPACE: 'requestsPerMinute=1000000,generationsPerMinute=1000000',
};

const FLOOR = new URL('./feature-tax-floor.js', import.meta.url);
const LOAD = new URL('./feature-tax-load.js', import.meta.url);

/**
 * What do API keys, scopes, limits, history and push cost? Compares requests per second, for a query without SQL and for
 * `generateImages`, with a bare Apollo Server that has no API keys, checks and logs nothing, and runs the same SQL. The sides
 * and rounds are as in create.ts. Each side has its own database on the same server.
 */
export const featureTax: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Requests per second: through Darkroom, and through a bare Apollo Server with the same SQL');
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('tax');
  const floorUrl = await scratch.database('tax_floor');
  const dataDir = scratch.folder('data');
  const service = await startService({ databaseUrl, dataDir, roles: 'api', environment: LIMITS }, release);
  const workspaceId = await migrateFloorDatabase(floorUrl);
  const floor = await startHelper<object, string>(FLOOR, [floorUrl, workspaceId], release, [], {
    NODE_ENV: 'production',
  });
  const floorServerUrl = await floor.call({});

  const secondsPerRound = seconds / ROUNDS / 4;
  const figures: Record<string, { ours: number; floor: number; ratio: number }> = {};
  for (const kind of ['query', 'create'] as const) {
    const sides: Comparison<LoadProcess> = {
      ours: await startLoad(LOAD, [kind, service.url, service.apiKey], release),
      floor: await startLoad(LOAD, [kind, floorServerUrl, ''], release),
    };
    await sides.ours.run(WARM_UP_SECONDS);
    await sides.floor.run(WARM_UP_SECONDS);
    const results = await runAlternately(sides, ROUNDS, secondsPerRound);
    printTable(roundsTable({ ours: `${kind}: Darkroom`, floor: `${kind}: bare Apollo` }, results));
    const ratio = roundTo(median(ratiosByRound(results)), 3);
    figures[kind] = { ours: medianPerSecond(results.ours), floor: medianPerSecond(results.floor), ratio };
  }
  console.log(`Goals: ratios of at least ${GOALS.query} for the query and ${GOALS.create} for create.`);
  console.log(JSON.stringify({ bench: 'feature-tax', ...figures }));
};
