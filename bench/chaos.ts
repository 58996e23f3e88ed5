/**
 * `npm run chaos -- [--seed <n>] [--seconds <n>] [--rate <n>] [--instances <n>] [--keep]`: does the service keep its
 * promises while everything around it breaks? Postgres, an upstream and three instances, each in processes of their own,
 * tasks at a steady rate, and faults from a seed. Then it waits for quiet and judges from Postgres, the upstream's ledger
 * and the folder of pictures. Prints a table, and one line of JSON at the end. Ends with 1 when a promise was broken.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setBudgets, PRICES } from './chaos/budgets.js';
import { countUnfinished, gatherEvidence } from './chaos/evidence.js';
import { planFaults } from './chaos/fault-plan.js';
import { countEach } from './chaos/group.js';
import { Injector } from './chaos/injector.js';
import { Instances } from './chaos/instances.js';
import { type AskedTask, runLoad, TASK_TIMEOUT_SECONDS } from './chaos/load.js';
import { type ChaosOptions, readOptions } from './chaos/options.js';
import { Postgres } from './chaos/postgres.js';
import { Random } from './chaos/random.js';
import { measureRecovery } from './chaos/recovery.js';
import { Receiver } from './chaos/receiver.js';
import { isKept, printReport } from './chaos/report.js';
import { SandboxProcess } from './chaos/sandbox.js';
import { TcpProxy } from './chaos/tcp-proxy.js';
import { judge } from './chaos/verdict.js';

/** After the last deadline: what has not ended by then is lost. */
const GRACE_MS = 30_000;
/** The upstream's longest delay and a late callback after it; results can come to tasks that have ended. */
const LAST_RESULTS_MS = 10_000;
/** Starting, and everything that is read at the end. Whatever hangs is cut off then. */
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

async function run(options: ChaosOptions): Promise<boolean> {
  const { seed, seconds, rate } = options;
  const startedAt = Date.now();
  console.log(
    `chaos --seed ${seed}: ${seconds} s with ${rate} tasks a second over ${options.instances} instances`,
  );
  const dir = await mkdtemp(join(tmpdir(), 'darkroom-chaos-'));
  releases.push(async () => {
    if (options.keep) console.log(`Everything is kept in ${dir}`);
    else await rm(dir, { recursive: true, force: true });
  });
  const dataDir = join(dir, 'data');
  await mkdir(dataDir);
  const pricesFile = join(dir, 'prices.json');
  await writeFile(pricesFile, JSON.stringify(PRICES));
  const postgres = await Postgres.start(join(dir, 'database'));
  releases.push(() => postgres.stop());
  const sandbox = await SandboxProcess.start(join(dir, 'sandbox.log'));
  releases.push(() => sandbox.stop());

  const receiver = await Receiver.open();
  releases.push(() => receiver.close());

  const instances = new Instances();
  const answered = new Set<string>();
  const random = new Random(seed, 'balancer');
  const balancer = await TcpProxy.open({
    targets: () => random.shuffle(instances.ports),
    onExchange: (requestLine, status) => {
      const [, taskId] = /^POST \/callbacks\/flux\/([^/]+)\//.exec(requestLine) ?? [];
      if (taskId && status >= 200 && status < 300) answered.add(taskId);
    },
  });
  releases.push(() => balancer.cut());
  releases.push(() => instances.stop());
  const url = `http://127.0.0.1:${balancer.port}`;
  const environment = {
    ...sandbox.environment,
    DATABASE_URL: postgres.url,
    DATA_DIR: dataDir,
    PUBLIC_URL: url,
    SECRET_KEY: 'chaos '.repeat(6),
    PRICES_FILE: pricesFile,
  };
  await instances.start(options.instances, dir, environment);
  await setBudgets(url, instances.apiKey);

  const loadStartedAt = Date.now();
  const say = (line: string) =>
    console.log(`${((Date.now() - loadStartedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  say(`everything runs; ${((loadStartedAt - startedAt) / 1000).toFixed(1)} s to start`);
  const injector = new Injector(seed, { instances, postgres, sandbox, say, signal: abort.signal });
  const asked: AskedTask[] = [];
  const { apiKey } = instances;
  const callbackUrl = receiver.url;
  const load = { seed, seconds, rate, url, apiKey, callbackUrl, inBurst: () => injector.inBurst };
  await Promise.all([
    runLoad({ ...load, signal: abort.signal }, asked),
    injector.run(planFaults(seed, seconds)),
  ]);
  say('the load and the faults have ended');
  await waitForQuiet(postgres);
  say('quiet');

  const evidence = await gatherEvidence(postgres, sandbox);
  const verdict = await judge(asked, evidence, answered, receiver.taken, join(dataDir, 'images'));
  const recoveries = measureRecovery(injector.faults, evidence);
  const statuses = countEach(evidence.tasks.map(({ status }) => status));
  const { faults } = injector;
  const { ownEnds } = instances;
  const took = (Date.now() - startedAt) / 1000;
  printReport({ options, faults, asked, statuses, verdict, recoveries, ownEnds, seconds: took });
  return isKept(verdict);
}

/** Until nothing is left to do, or nothing should be. */
async function waitForQuiet(postgres: Postgres): Promise<void> {
  const from = Date.now();
  const deadline = from + TASK_TIMEOUT_SECONDS * 1000 + GRACE_MS;
  while (Date.now() < deadline && !abort.signal.aborted) {
    const unfinished = await countUnfinished(postgres);
    if (unfinished === 0 && Date.now() - from > LAST_RESULTS_MS) return;
    await pause(500);
  }
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const end = async (exitCode: number) => {
    if (isReleasing) return;
    await release();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void end(130));
  const longestMs = options.seconds * 1000 + TASK_TIMEOUT_SECONDS * 1000 + GRACE_MS + MARGIN_MS;
  setTimeout(() => {
    console.error(`Not done after ${longestMs / 1000} s: given up.`);
    void end(1);
  }, longestMs).unref();
  try {
    await end((await run(options)) ? 0 : 1);
  } catch (error) {
    if (!isReleasing) console.error(error);
    await end(1);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
