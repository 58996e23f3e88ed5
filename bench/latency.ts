import { type LatencyOrder } from './latency-load.js';
import { type Bench, median, printOccasion, printTable, quantile, rounded } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { makeScratch, withClient } from './support/postgres.js';
import { makeRunning } from './support/running-tasks.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 36;
const ROUNDS = 6;
const WARM_UP_SECONDS = 3;
/** As many finish a second when 24,000 run and each takes two minutes. */
const PER_SECOND = 200;
/** Besides those that end: watched when the bench is over. */
const WATCHED = 1_000;
const GOAL_RATIO = 8;
const GOAL_P50_MS = 10;
const GOAL_P99_MS = 50;
const SECRET = 'a secret of this bench alone, 32 bytes and more';

const LOAD = new URL('./latency-load.js', import.meta.url);

/**
 * How long after the upstream's callback has arrived at one instance does the watcher at another one know? 1,000 tasks are
 * watched at any time, each by a subscription of its own, over 200 sockets; as one ends, the next is subscribed to. The
 * floor is a row and its notification in one statement, and a connection that listens, on the same Postgres.
 *
 * In our time are: HTTP, the callback's checking, the commit of the task's end, a second commit that seals the event, the
 * notification, the reading of the event and of what the watcher asked for, and the socket. In the floor's: one commit and
 * the notification. Sent and received is by one process on each side, at the same rate, in turns.
 */
export const latency: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion(`From a callback at one instance to the watcher at another, at ${PER_SECOND} a second`);
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('latency');
  const floorUrl = await scratch.database('latency_floor');
  const shared = { databaseUrl, roles: 'api', environment: { SECRET_KEY: SECRET } };
  const door = await startService({ ...shared, dataDir: scratch.folder('door') }, release);
  const pushing = await startService({ ...shared, dataDir: scratch.folder('pushing') }, release);

  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string }>('select id from workspaces'),
  );
  const count = Math.ceil((seconds / 2 + WARM_UP_SECONDS) * PER_SECOND) + WATCHED + ROUNDS;
  const ids = await makeRunning(databaseUrl, rows[0]?.id ?? '', count, scratch.folder('ids.json'));
  const pushArgs = ['push', door.url, pushing.url, door.apiKey, ids, SECRET];
  const sides = {
    ours: await startHelper<LatencyOrder, number[]>(LOAD, pushArgs, release),
    floor: await startHelper<LatencyOrder, number[]>(LOAD, ['notify', floorUrl], release),
  };
  const done: Record<keyof typeof sides, number[][]> = { ours: [], floor: [] };
  for (const side of Object.values(sides))
    await side.ask({ seconds: WARM_UP_SECONDS, perSecond: PER_SECOND });
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order)
      done[side].push(await sides[side].ask({ seconds: seconds / ROUNDS / 2, perSecond: PER_SECOND }));
  }

  const p50s = { ours: done.ours.map(p50), floor: done.floor.map(p50) };
  const ratios = p50s.ours.map((ms, round) => ms / (p50s.floor[round] ?? NaN));
  const row = (name: string, side: keyof typeof done) => [
    name,
    ...p50s[side].map((ms) => ms.toFixed(1)),
    median(p50s[side]).toFixed(1),
    quantile(done[side].flat(), 0.99).toFixed(1),
    Math.max(...done[side].flat()).toFixed(1),
  ];
  printTable([
    ['p50 ms, by round', ...ratios.map((_, round) => String(round + 1)), 'median', 'p99 of all', 'max'],
    row('callback to watcher', 'ours'),
    row('insert and notify', 'floor'),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ]);
  console.log(
    `Goals: a p50 of at most ${GOAL_RATIO} times the floor's and ${GOAL_P50_MS} ms, a p99 of at most ${GOAL_P99_MS} ms.`,
  );
  const figures = {
    p50Ms: rounded(median(p50s.ours), 1),
    p99Ms: rounded(quantile(done.ours.flat(), 0.99), 1),
    floorP50Ms: rounded(median(p50s.floor), 1),
    floorP99Ms: rounded(quantile(done.floor.flat(), 0.99), 1),
    ratio: rounded(median(ratios), 2),
  };
  console.log(JSON.stringify({ bench: 'latency', ...figures }));
};

function p50(latencies: readonly number[]): number {
  return quantile(latencies, 0.5);
}
