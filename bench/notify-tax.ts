import { type SubscribersCommand } from './fanout-subscribers.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { startLoad } from './support/load.js';
import { createScratch, runSql } from './support/postgres.js';
import { runAlternately, medianPerSecond, ratiosByRound, roundsTable } from './support/rounds.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 32;
const ROUNDS = 8;
const WARM_UP_SECONDS = 2;
const GOAL = 0.95;

const LOAD = new URL('./create-load.js', import.meta.url);
const SUBSCRIBERS = new URL('./fanout-subscribers.js', import.meta.url);
const UNSEALED = new URL('./support/unsealed-main.js', import.meta.url);
const SUBSCRIBE = 'subscription { taskEvents { id cursor type at actor data task { id status prompt } } }';

/**
 * How much does pushing events slow down the creation of tasks? Compares tasks created per second, as in create.ts, by the
 * service with one subscriber to all events of the workspace, with the same service that neither seals nor reads events. The
 * first side pays for sealing (a second write of each event, and the commits), for NOTIFY, and for reading, rendering and sending
 * every event in the same process that handles the mutations. Both databases are analyzed after the warm-up, because no worker
 * does so here, and autovacuum would in one database before the other.
 */
export const notifyTax: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Tasks created per second: with their events pushed to a subscriber, and without any push');
  const scratch = await createScratch(release);
  const start = async (name: string, main?: URL) => {
    const databaseUrl = await scratch.database(`tax_${name}`);
    const dataDir = scratch.folder(name);
    return { databaseUrl, ...(await startService({ databaseUrl, dataDir, roles: 'api', main }, release)) };
  };
  const on = await start('on');
  const off = await start('off', UNSEALED);
  const subscriber = await startHelper<SubscribersCommand, string>(
    SUBSCRIBERS,
    [`${on.url}/graphql`, on.apiKey, SUBSCRIBE],
    release,
  );
  await subscriber.call({ openSubscribers: 1, received: 0 });
  const sides = {
    ours: await startLoad(LOAD, ['graphql', on.url, on.apiKey], release),
    floor: await startLoad(LOAD, ['graphql', off.url, off.apiKey], release),
  };
  const warmedUp = await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);
  for (const { databaseUrl } of [on, off]) await runSql(databaseUrl, 'analyze');

  const results = await runAlternately(sides, ROUNDS, seconds / ROUNDS / 2);
  const created = [warmedUp, ...results.ours].reduce((sum, { callCount }) => sum + callCount, 0);
  await subscriber.call({ waitForMessages: created }); // fails the run if an event was not pushed

  printTable(roundsTable({ ours: 'pushed', floor: 'not pushed' }, results));
  console.log(`Goal: a ratio of at least ${GOAL}.`);
  const ratio = roundTo(median(ratiosByRound(results)), 3);
  const figures = { on: medianPerSecond(results.ours), off: medianPerSecond(results.floor), ratio };
  console.log(JSON.stringify({ bench: 'notify-tax', ...figures }));
};
