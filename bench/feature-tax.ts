import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { startHelper } from './support/helper.js';

import { type LoadProcess, startLoad } from './support/load.js';
import { prepareFloor } from './support/floor.js';
import { inTurns, perSecondOf, ratiosOf, roundsTable, type Sides } from './support/rounds.js';
import { makeScratch } from './support/postgres.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 40;
const ROUNDS = 6;
const WARM_UP_SECONDS = 2;
const GOALS = { query: 1, create: 0.5 };

/** Counted, and never reached. */
const LIMITS = {
  LIMITS_PER_KEY: 'requestsPerMinute=10000000,generationsPerMinute=10000000',
  LIMITS_PER_WORKSPACE: 'requestsPerMinute=10000000,generationsPerMinute=10000000',
};

const FLOOR = new URL('./feature-tax-floor.js', import.meta.url);
const LOAD = new URL('./feature-tax-load.js', import.meta.url);

/**
 * What do keys, scopes, limits, history and push cost? Compared are requests per second of a query that needs no SQL and of
 * `generateImages`, and the same through a bare Apollo Server that knows no keys, checks nothing, logs nothing, and runs the
 * same SQL. Sides and rounds are as in create.ts; each side has a database to itself on the same server.
 */
export const featureTax: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion('Requests per second: through Darkroom, and through a bare Apollo Server with the same SQL');
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('tax');
  const floorUrl = await scratch.database('tax_floor');
  const dataDir = scratch.folder('data');
  const service = await startService({ databaseUrl, dataDir, roles: 'api', environment: LIMITS }, release);
  const workspaceId = await prepareFloor(floorUrl);
  const floor = await startHelper<object, string>(FLOOR, [floorUrl, workspaceId], release, [], {
    NODE_ENV: 'production',
  });
  const floorAddress = await floor.ask({});

  const share = seconds / ROUNDS / 4;
  const figures: Record<string, { ours: number; floor: number; ratio: number }> = {};
  for (const kind of ['query', 'create'] as const) {
    const sides: Sides<LoadProcess> = {
      ours: await startLoad(LOAD, [kind, service.url, service.apiKey], release),
      floor: await startLoad(LOAD, [kind, floorAddress, ''], release),
    };
    await sides.ours.run(WARM_UP_SECONDS);
    await sides.floor.run(WARM_UP_SECONDS);
    const done = await inTurns(sides, ROUNDS, share);
    printTable(roundsTable({ ours: `${kind}: Darkroom`, floor: `${kind}: bare Apollo` }, done));
    const ratio = rounded(median(ratiosOf(done)), 3);
    figures[kind] = { ours: perSecondOf(done.ours), floor: perSecondOf(done.floor), ratio };
  }
  console.log(`Goals: ratios of at least ${GOALS.query} for the query and ${GOALS.create} for create.`);
  console.log(JSON.stringify({ bench: 'feature-tax', ...figures }));
};
