/**
 * `npm run chaos -- [--seed <n>] [--seconds <n>] [--rate <n>] [--instances <n>] [--faults <kind,kind>] [--store s3|disk]
 * [--keep]`: checks that the service keeps its promises while everything around it fails. Runs PostgreSQL, an upstream, a
 * store and three instances as separate processes, creates tasks at a steady rate, and injects faults from a seed. Then it
 * waits until everything has settled and checks PostgreSQL, the upstream's ledger and the store. Prints a table and, as the
 * last line, one JSON object. `--keep` keeps the logs, and `timeline.json`: when each fault and each event of a task was. Exits
 * with 1 when a promise was broken.
 */
import { planFaults } from './chaos/fault-plan.js';
import { runProgram } from './chaos/program.js';
import { join } from 'node:path';
import { arePromisesKept, printReport, writeTimeline } from './chaos/report.js';
import { runUnderFaults } from './chaos/run.js';
import { ChaosWorld } from './chaos/world.js';

await runProgram({
  // A fifth of what two processors do without faults, together with the upstream and the store that they also run.
  defaults: { seconds: 150, rate: 3 },
  extraMs: 0,
  run: async ({ options, dir, release, signal }) => {
    const { seed, seconds, rate, instances } = options;
    console.log(`chaos --seed ${seed}: ${seconds} s with ${rate} tasks per second on ${instances} instances`);
    const world = await ChaosWorld.start({ seed, instances, dir, store: options.store }, release);
    const result = await runUnderFaults(world, options, planFaults(seed, seconds, options.kinds), signal);
    if (options.keep) await writeTimeline(join(dir, 'timeline.json'), result);
    printReport(result);
    return arePromisesKept(result.verdict);
  },
});
