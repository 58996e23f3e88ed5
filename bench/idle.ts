import { setTimeout as pause } from 'node:timers/promises';
import { type Client } from 'pg';
import { type Bench, printHeader, printTable, roundTo } from './support/bench.js';
import { createScratch, openClient } from './support/postgres.js';
import { cpuMs, cpuMsOfTree, parentOf, rssMb } from './support/process-account.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 120;
/** What instances do after their start: the first recurring jobs, and the just-in-time compiler. */
const SETTLE_MS = 10_000;
const INSTANCES = [0, 1, 3] as const;
const GOAL_PERCENT = 0.5;
const GOAL_RSS_MB = 150;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

interface Idle {
  instances: number;
  /** Of one processor, by one instance. NaN without any. */
  nodePercent: number;
  /** Of one processor, by all processes of the server. */
  postgresPercent: number;
  transactionsPerSecond: number;
  /** Resident memory of one instance. */
  rssMb: number;
}

/**
 * What do instances cost that have nothing to do? Polls, heartbeats and recurring jobs are what remains. The floor is the same
 * PostgreSQL without any instance.
 */
export const idle: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('What instances take that have nothing to do');
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('idle');
  const observer = await openClient(new URL('/postgres', databaseUrl).href, release);
  const { rows } = await observer.query<{ pid: number }>('select pg_backend_pid() as pid');
  const postmaster = parentOf(rows[0]?.pid ?? 0);
  const pids: number[] = [];
  const measured: Idle[] = [];
  for (const count of INSTANCES) {
    while (pids.length < count) {
      const dataDir = scratch.folder(`data-${pids.length}`);
      const environment = { SECRET_KEY: SECRET };
      const { pid } = await startService({ databaseUrl, dataDir, roles: 'api,worker', environment }, release);
      pids.push(pid);
    }
    await pause(SETTLE_MS);
    measured.push(await measure({ seconds: seconds / 2, pids, postmaster, databaseUrl, observer }));
  }
  printTable([
    ['instances', ...measured.map(({ instances }) => String(instances))],
    ['Node.js, % of a processor for each', ...measured.map(({ nodePercent }) => nodePercent.toFixed(2))],
    ['PostgreSQL, % of a processor', ...measured.map(({ postgresPercent }) => postgresPercent.toFixed(2))],
    ['transactions per second', ...measured.map((one) => one.transactionsPerSecond.toFixed(1))],
    ['resident MB for each', ...measured.map((one) => one.rssMb.toFixed(0))],
  ]);
  console.log(
    `Goals for one instance: at most ${GOAL_PERCENT} % each of Node.js and of PostgreSQL, and below ${GOAL_RSS_MB} MB.`,
  );
  console.log(JSON.stringify({ bench: 'idle', ...Object.fromEntries(measured.map(figuresOf)) }));
};

function figuresOf({ instances, ...idle }: Idle): [string, object] {
  return [
    `instances${instances}`,
    Object.fromEntries(Object.entries(idle).map(([key, value]) => [key, roundTo(value, 2)])),
  ];
}

interface Subject {
  seconds: number;
  pids: readonly number[];
  postmaster: number;
  databaseUrl: string;
  observer: Client;
}

async function measure({ seconds, pids, postmaster, databaseUrl, observer }: Subject): Promise<Idle> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const read = async () => ({
    at: performance.now(),
    node: pids.reduce((sum, pid) => sum + cpuMs(pid), 0),
    postgres: cpuMsOfTree(postmaster),
    transactions: await transactionsOf(observer, name),
  });
  const before = await read();
  await pause(seconds * 1000);
  const after = await read();
  const elapsedMs = after.at - before.at;
  return {
    instances: pids.length,
    nodePercent: (100 * (after.node - before.node)) / elapsedMs / pids.length,
    postgresPercent: (100 * (after.postgres - before.postgres)) / elapsedMs,
    transactionsPerSecond: (1000 * (after.transactions - before.transactions)) / elapsedMs,
    rssMb: pids.reduce((sum, pid) => sum + rssMb(pid), 0) / pids.length,
  };
}

/** A statement outside a transaction counts as one. */
async function transactionsOf(observer: Client, database: string): Promise<number> {
  const { rows } = await observer.query<{ count: string }>(
    'select xact_commit + xact_rollback as count from pg_stat_database where datname = $1',
    [database],
  );
  return Number(rows[0]?.count);
}
