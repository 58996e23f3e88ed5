import { type LatencyCommand } from './latency-load.js';
import { type Bench, median, printHeader, printTable, quantile, roundTo } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { createScratch, withClient } from './support/postgres.js';
import { createRunningTasks } from './support/running-tasks.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 36;
const ROUNDS = 6;
const WARM_UP_SECONDS = 3;
/** Of what the floor sends in a second at most, so that the load suits the machine. */
const PACE = 0.25;
/** Tasks that are subscribed to at any time. They are still running at the end. */
const SUBSCRIBED_TASKS = 1_000;
const GOAL_RATIO = 5;
/** The p99 may be the larger of this and of this many times the floor's own. */
const GOAL_P99_MS = 30;
const GOAL_P99_RATIO = 3;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

const LOAD = new URL('./latency-load.js', import.meta.url);

/**
 * How soon after an upstream callback at one instance does a subscriber at another instance receive the event? 1,000 tasks have
 * a subscription at any time, over 200 sockets. When one finishes, the next is subscribed to. The floor is a row inserted with a
 * notification in one statement, and a connection that listens, on the same PostgreSQL.
 *
 * The service's latency includes HTTP, verification of the callback, the commit of the result, a second commit that seals the
 * event, the notification, reading the event and the subscribed fields, and the socket. The floor's includes one commit and the
 * notification. On each side one process sends and receives, at a quarter of the rate that the floor
 * reaches. The sides alternate.
 */
export const latency: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(`From a callback at one instance to a subscriber at another`);
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('latency');
  const floorUrl = await scratch.database('latency_floor');
  const shared = { databaseUrl, roles: 'api', environment: { SECRET_KEY: SECRET } };
  const callbackInstance = await startService({ ...shared, dataDir: scratch.folder('callbacks') }, release);
  const pushInstance = await startService({ ...shared, dataDir: scratch.folder('push') }, release);

  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string }>('select id from workspaces'),
  );
  const floor = await startHelper<LatencyCommand, number[]>(LOAD, ['notify', floorUrl], release);
  const sent = await floor.call({ seconds: WARM_UP_SECONDS, perSecond: null });
  const perSecond = Math.round((PACE * sent.length) / WARM_UP_SECONDS);
  const count = Math.ceil((seconds / 2 + WARM_UP_SECONDS) * perSecond) + SUBSCRIBED_TASKS + ROUNDS;
  const ids = await createRunningTasks(databaseUrl, rows[0]?.id ?? '', count, scratch.folder('ids.json'));
  const pushArgs = ['push', callbackInstance.url, pushInstance.url, callbackInstance.apiKey, ids, SECRET];
  const sides = {
    ours: await startHelper<LatencyCommand, number[]>(LOAD, pushArgs, release),
    floor,
  };
  const latencies: Record<keyof typeof sides, number[][]> = { ours: [], floor: [] };
  for (const side of Object.values(sides)) await side.call({ seconds: WARM_UP_SECONDS, perSecond });
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order)
      latencies[side].push(await sides[side].call({ seconds: seconds / ROUNDS / 2, perSecond }));
  }

  const p50s = { ours: latencies.ours.map(p50), floor: latencies.floor.map(p50) };
  const ratios = p50s.ours.map((ms, round) => ms / (p50s.floor[round] ?? NaN));
  const row = (name: string, side: keyof typeof latencies) => [
    name,
    ...p50s[side].map((ms) => ms.toFixed(1)),
    median(p50s[side]).toFixed(1),
    quantile(latencies[side].flat(), 0.99).toFixed(1),
    Math.max(...latencies[side].flat()).toFixed(1),
  ];
  printTable([
    ['p50 ms, by round', ...ratios.map((_, round) => String(round + 1)), 'median', 'p99 of all', 'max'],
    row('callback to subscriber', 'ours'),
    row('insert and notify', 'floor'),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ]);
  console.log(
    `At ${perSecond} per second. Goals: a p50 of at most ${GOAL_RATIO} times the floor's, and a p99 of at most ` +
      `${GOAL_P99_RATIO} times the floor's or ${GOAL_P99_MS} ms.`,
  );
  const figures = {
    perSecond,
    p50Ms: roundTo(median(p50s.ours), 1),
    p99Ms: roundTo(quantile(latencies.ours.flat(), 0.99), 1),
    floorP50Ms: roundTo(median(p50s.floor), 1),
    floorP99Ms: roundTo(quantile(latencies.floor.flat(), 0.99), 1),
    ratio: roundTo(median(ratios), 2),
  };
  console.log(JSON.stringify({ bench: 'latency', ...figures }));
};

function p50(latencies: readonly number[]): number {
  return quantile(latencies, 0.5);
}
