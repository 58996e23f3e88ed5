/**
 * `npm run chaos -- [--seed <n>] [--seconds <n>] [--rate <n>] [--instances <n>] [--faults <kind,kind>] [--store s3|disk]
 * [--keep]`: checks that the service keeps its promises while everything around it fails. Runs PostgreSQL, an upstream, a
 * store and three instances as separate processes, creates tasks at a steady rate that suits the machine, and injects faults
 * from a seed. Then it waits until everything has settled and checks PostgreSQL, the upstream's ledger and the store. Prints a
 * table and, as the last line, one JSON object. `--keep` keeps the logs, and `timeline.json`: when each fault and each event
 * of a task was. Exits with 1 when a promise was broken.
 */
import { join } from 'node:path';
import { planFaults } from './chaos/fault-plan.js';
import { paceLoad } from './chaos/pipeline-floor.js';
import { runProgram } from './chaos/program.js';
import { arePromisesKept, printReport, writeTimeline } from './chaos/report.js';
import { runUnderFaults } from './chaos/run.js';
import { ChaosWorld } from './chaos/world.js';

await runProgram({
  defaults: { seconds: 150 },
  extraMs: 0,
  run: async ({ options, dir, release, signal }) => {
    const { seed, seconds, instances, store } = options;
    const world = await ChaosWorld.start({ seed, instances, dir, store }, release);
    const rate = options.rate ?? paceLoad(world.pipelinePerSecond, seconds);
    console.log(`chaos --seed ${seed}: ${seconds} s with ${rate} tasks per second on ${instances} instances`);
    const plan = planFaults(seed, seconds, options.kinds);
    const result = await runUnderFaults(world, { ...options, rate }, plan, signal);
    if (options.keep) await writeTimeline(join(dir, 'timeline.json'), result);
    printReport(result);
    return arePromisesKept(result.verdict);
  },
});
