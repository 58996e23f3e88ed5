/**
 * `npm run chaos -- [--seed <n>] [--seconds <n>] [--rate <n>] [--instances <n>] [--keep]`: checks that the service keeps its
 * promises while everything around it fails. Runs PostgreSQL, an upstream and three instances as separate processes, creates
 * tasks at a steady rate, and injects faults from a seed. Then it waits until everything has settled and checks PostgreSQL,
 * the upstream's ledger and the image folder. Prints a table and, as the last line, one JSON object. Exits with 1 when a
 * promise was broken.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeafnessMeter } from './chaos/deafness.js';
import { planFaults } from './chaos/fault-plan.js';
import { countEach } from './chaos/group.js';
import { FaultInjector } from './chaos/injector.js';
import { type RequestedTask, runLoad, TASK_TIMEOUT_SECONDS } from './chaos/load.js';
import { type ChaosOptions, readOptions } from './chaos/options.js';
import { measureRecovery } from './chaos/recovery.js';
import { arePromisesKept, printReport } from './chaos/report.js';
import { ChaosWorld, SETTLE_GRACE_MS } from './chaos/world.js';

/** For the start and the reads at the end. A run that hangs is aborted after that. */
const MARGIN_MS = 120_000;

const releases: (() => Promise<unknown>)[] = [];
const abort = new AbortController();
let isReleasing = false;

async function release(): Promise<void> {
  isReleasing = true;
  abort.abort();
  for (const each of releases.splice(0).reverse()) {
    await each().catch((error: unknown) => console.error('Cleaning up failed:', error));
  }
}

async function runChaos(options: ChaosOptions): Promise<boolean> {
  const { seed, seconds, rate } = options;
  const startedAt = Date.now();
  console.log(
    `chaos --seed ${seed}: ${seconds} s with ${rate} tasks per second on ${options.instances} instances`,
  );
  const dir = await mkdtemp(join(tmpdir(), 'darkroom-chaos-'));
  releases.push(async () => {
    if (options.keep) console.log(`All files were kept in ${dir}`);
    else await rm(dir, { recursive: true, force: true });
  });
  const world = await ChaosWorld.start({ seed, instances: options.instances, dir }, (each) =>
    releases.push(each),
  );
  const { postgres, sandbox, instances, url } = world;

  const loadStartedAt = Date.now();
  const logLine = (line: string) =>
    console.log(`${((Date.now() - loadStartedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  logLine(`everything is running; the start took ${((loadStartedAt - startedAt) / 1000).toFixed(1)} s`);
  const injector = new FaultInjector(seed, { instances, postgres, sandbox, logLine, signal: abort.signal });
  const requestedTasks: RequestedTask[] = [];
  const deafness = new DeafnessMeter(postgres, injector.faults);
  const measured = new AbortController();
  const measuring = deafness.run(AbortSignal.any([measured.signal, abort.signal]));
  const { apiKey } = instances;
  const webhookUrl = world.webhookEndpoint.url;
  const load = { seed, seconds, rate, url, apiKey, webhookUrl, inBurst: () => injector.inBurst };
  await Promise.all([
    runLoad({ ...load, signal: abort.signal }, requestedTasks),
    injector.run(planFaults(seed, seconds)),
  ]);
  logLine('no more load and faults; waiting for everything to settle');
  await world.waitUntilSettled(abort.signal);
  logLine('settled');
  measured.abort();
  await measuring;

  const { evidence, verdict } = await world.judge(requestedTasks);
  const recoveries = measureRecovery(injector.faults, evidence);
  const statuses = countEach(evidence.tasks.map(({ status }) => status));
  const { faults } = injector;
  const { unexpectedExits } = instances;
  const elapsedSeconds = (Date.now() - startedAt) / 1000;
  printReport({
    options,
    faults,
    requestedTasks,
    statuses,
    verdict,
    recoveries,
    unexpectedExits,
    deafSecondsMax: deafness.max,
    seconds: elapsedSeconds,
  });
  return arePromisesKept(verdict);
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const exit = async (exitCode: number) => {
    if (isReleasing) return;
    await release();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void exit(130));
  const maxRunMs = options.seconds * 1000 + TASK_TIMEOUT_SECONDS * 1000 + SETTLE_GRACE_MS + MARGIN_MS;
  setTimeout(() => {
    console.error(`Not finished after ${maxRunMs / 1000} s. Aborting.`);
    void exit(1);
  }, maxRunMs).unref();
  try {
    await exit((await runChaos(options)) ? 0 : 1);
  } catch (error) {
    if (!isReleasing) console.error(error);
    await exit(1);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
