/**
 * `npm run soak -- [--seed <n>] [--seconds <n>] [--rate <n>] [--instances <n>] [--faults <kind,kind>] [--store s3|disk]
 * [--keep]`: the chaos benchmark with one fault a minute, three of each kind in turn. The first instance is never killed.
 * Checks in addition that memory, handles, connections and jobs return to where they were. Prints tables and, as the last
 * line, one JSON object. Exits with 1 when a promise was broken or something was leaked. Needs Linux.
 */
import { type PlannedFault } from './chaos/fault-plan.js';
import { FAULT_KINDS } from './chaos/faults/registry.js';
import { type RequestedTask, runLoad } from './chaos/load.js';
import { type ChaosOptions } from './chaos/options.js';
import { runProgram } from './chaos/program.js';
import { SeededStream } from './chaos/random.js';
import { arePromisesKept, printReport } from './chaos/report.js';
import { runUnderFaults } from './chaos/run.js';
import { hasReturned, measureSteadyState, waitForSteadyState } from './chaos/steady-state.js';
import { ChaosWorld } from './chaos/world.js';
import { printTable, roundTo } from './support/bench.js';
import { COLLECT_ON_SIGNAL_OPTION } from './support/process-account.js';

const FAULT_INTERVAL_SECONDS = 60;
const FAULTS_OF_EACH_KIND = 3;
/** Load without faults before the first measurement, so that everything is loaded and every pool has been used. */
const WARM_UP_SECONDS = 60;
/** Tasks per second. */
const DEFAULT_RATE = 2;
/** More than this would be a leak: caches and fragmented memory account for the rest. */
const MAX_MEMORY_GROWTH = 1.25;

/** One fault a minute, each kind in turn, in an order of the seed. The last half minute is quiet. */
function planSoak({ seed, seconds, kinds: allowed }: ChaosOptions): PlannedFault[] {
  const kinds = new SeededStream(seed, 'soak').shuffle(allowed);
  const count = Math.floor(seconds / FAULT_INTERVAL_SECONDS);
  return Array.from({ length: count }, (_, index) => ({
    kind: kinds[index % kinds.length] ?? 'terminate',
    atMs: (index + 0.5) * FAULT_INTERVAL_SECONDS * 1000,
  }));
}

await runProgram({
  defaults: { seconds: FAULT_INTERVAL_SECONDS * FAULTS_OF_EACH_KIND * FAULT_KINDS.length },
  extraMs: 900_000,
  run: async ({ options, dir, release, signal }) => {
    const { seed, seconds, instances } = options;
    const rate = options.rate ?? DEFAULT_RATE;
    console.log(`soak --seed ${seed}: ${seconds} s with ${rate} tasks per second on ${instances} instances`);
    const environment = { NODE_OPTIONS: COLLECT_ON_SIGNAL_OPTION };
    const world = await ChaosWorld.start(
      { seed, instances, dir, environment, store: options.store },
      release,
    );
    world.instances.spareFirst();

    const warmUpTasks: RequestedTask[] = [];
    const { url, webhookEndpoint } = world;
    const load = {
      rate,
      url,
      apiKey: () => world.client.apiKey,
      webhookUrl: webhookEndpoint.url,
      signal,
    };
    await runLoad({ ...load, seed: seed + 1, seconds: WARM_UP_SECONDS }, warmUpTasks);
    await world.waitUntilSettled(signal);
    const start = await measureSteadyState(world);

    const result = await runUnderFaults(world, { ...options, rate }, planSoak(options), signal);
    printReport(result);
    const end = await waitForSteadyState(world, start);

    console.log();
    printTable([
      ['', 'start', 'end'],
      ['memory (MB)', start.memoryMb.toFixed(0), end.memoryMb.toFixed(0)],
      ...(['handles', 'connections', 'jobs'] as const).map((name) => [
        name,
        `${start[name]}`,
        `${end[name]}`,
      ]),
    ]);
    const memoryRatio = roundTo(end.memoryMb / start.memoryMb, 2);
    const leaked = !hasReturned(end, start) || memoryRatio > MAX_MEMORY_GROWTH;
    console.log(
      JSON.stringify({
        bench: 'soak',
        seed,
        seconds,
        faults: result.faults.length,
        memoryRatio,
        start,
        end,
        leaked,
      }),
    );
    return arePromisesKept(result.verdict) && !leaked;
  },
});
