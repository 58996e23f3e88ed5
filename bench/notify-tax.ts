import { type WatchersOrder } from './fanout-watchers.js';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { startLoad } from './support/load.js';
import { makeScratch, runSql } from './support/postgres.js';
import { inTurns, perSecondOf, ratiosOf, roundsTable } from './support/rounds.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 32;
const ROUNDS = 8;
const WARM_UP_SECONDS = 2;
const GOAL = 0.95;

const LOAD = new URL('./create-load.js', import.meta.url);
const WATCHERS = new URL('./fanout-watchers.js', import.meta.url);
const UNSEALED = new URL('./support/unsealed-main.js', import.meta.url);
const WATCH = 'subscription { taskEvents { id cursor type at actor data task { id status prompt } } }';

/**
 * What do tasks cost more because their events are pushed? Compared are tasks created per second, as in create.ts, by the
 * service with one watcher of all events of the workspace, and by the same service that neither seals nor reads events.
 * Our side pays for sealing (a second write of each event, and its commits), for NOTIFY, and for reading, rendering and
 * sending every event in the same process that answers the mutations. After the warm-up both databases are analyzed:
 * plans from when the tables were empty read all jobs for each new one, until autovacuum comes by, in one database first.
 */
export const notifyTax: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion('Tasks created per second: with their events pushed to a watcher, and without any push');
  const scratch = await makeScratch(release);
  const start = async (name: string, main?: URL) => {
    const databaseUrl = await scratch.database(`tax_${name}`);
    const dataDir = scratch.folder(name);
    return { databaseUrl, ...(await startService({ databaseUrl, dataDir, roles: 'api', main }, release)) };
  };
  const on = await start('on');
  const off = await start('off', UNSEALED);
  const watcher = await startHelper<WatchersOrder, string>(
    WATCHERS,
    [`${on.url}/graphql`, on.apiKey, WATCH],
    release,
  );
  await watcher.ask({ open: 1, received: 0 });
  const sides = {
    ours: await startLoad(LOAD, ['graphql', on.url, on.apiKey], release),
    floor: await startLoad(LOAD, ['graphql', off.url, off.apiKey], release),
  };
  const warmedUp = await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);
  for (const { databaseUrl } of [on, off]) await runSql(databaseUrl, 'analyze');

  const done = await inTurns(sides, ROUNDS, seconds / ROUNDS / 2);
  const created = [warmedUp, ...done.ours].reduce((sum, stretch) => sum + stretch.done, 0);
  await watcher.ask({ until: created }); // pushed they must have been, all of them

  printTable(roundsTable({ ours: 'pushed', floor: 'not pushed' }, done));
  console.log(`Goal: a ratio of at least ${GOAL}.`);
  const ratio = rounded(median(ratiosOf(done)), 3);
  const figures = { on: perSecondOf(done.ours), off: perSecondOf(done.floor), ratio };
  console.log(JSON.stringify({ bench: 'notify-tax', ...figures }));
};
