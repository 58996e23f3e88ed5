import { readdir } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { rssMbAfterGc } from '../support/process-account.js';
import { type ChaosWorld } from './world.js';

/** What a service that leaks nothing comes back to. */
export interface SteadyState {
  /** Resident memory after garbage collection, in MB, of the instance that has most. */
  memoryMb: number;
  /** Open files and sockets of the instance that has most. */
  handles: number;
  /** Connections of all instances to PostgreSQL. */
  connections: number;
  /** Jobs of any kind in the queue, also the recurring ones. */
  jobs: number;
}

/** Idle database connections are closed after 5 minutes. */
const RETURN_TIMEOUT_MS = 420_000;
const CHECK_INTERVAL_MS = 5_000;
/** Sockets that clients and PostgreSQL are closing just now. */
const SPARE_HANDLES = 5;

/** Measures the instances, which must have been started with COLLECT_ON_SIGNAL_OPTION. */
export async function measureSteadyState({ instances, postgres }: ChaosWorld): Promise<SteadyState> {
  const pids = instances.running.flatMap(({ child }) => child?.process.pid ?? []);
  const memory = await Promise.all(pids.map(rssMbAfterGc));
  const handles = await Promise.all(pids.map(async (pid) => (await readdir(`/proc/${pid}/fd`)).length));
  const [counts] = await postgres.query<{ connections: number; jobs: number }>(
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
               AND application_name <> 'chaos')::int AS connections,
            (SELECT count(*) FROM graphile_worker._private_jobs)::int AS jobs`,
  );
  if (!counts) throw new Error('PostgreSQL returned no counts.');
  return { memoryMb: Math.max(...memory), handles: Math.max(...handles), ...counts };
}

/** Measures until handles, connections and jobs are back at `start`, or for 7 minutes. */
export async function waitForSteadyState(world: ChaosWorld, start: SteadyState): Promise<SteadyState> {
  const deadline = Date.now() + RETURN_TIMEOUT_MS;
  for (;;) {
    const state = await measureSteadyState(world);
    if (hasReturned(state, start) || Date.now() > deadline) return state;
    await pause(CHECK_INTERVAL_MS);
  }
}

/** Whether nothing was leaked but perhaps memory, which is a figure. */
export function hasReturned(state: SteadyState, start: SteadyState): boolean {
  return (
    state.handles <= start.handles + SPARE_HANDLES &&
    state.connections <= start.connections &&
    state.jobs <= start.jobs
  );
}
