import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { quantile } from './bench.js';
import { serveCommands, startHelper } from './helper.js';
import { type RegisterRelease } from './releases.js';

/** The result of one period of load. */
export interface LoadResult {
  callCount: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/** A process that generates load on command. */
export interface LoadProcess {
  /** Runs a closed loop. Rejects with the first error. */
  run(seconds: number): Promise<LoadResult>;
  /** Starts calls at a fixed rate, whether or not earlier ones have finished, so that queueing is measured. */
  runPaced(seconds: number, perSecond: number): Promise<LoadResult>;
}

interface LoadCommand {
  seconds: number;
  perSecond?: number;
}

/** Starts a module that calls `serveLoad`. */
export async function startLoad(
  module: URL,
  args: readonly string[],
  release: RegisterRelease,
): Promise<LoadProcess> {
  const helper = await startHelper<LoadCommand, LoadResult>(module, args, release);
  return {
    run: (seconds) => helper.call({ seconds }),
    runPaced: (seconds, perSecond) => helper.call({ seconds, perSecond }),
  };
}

/** In the load process: generates load with `lanes`, each of which runs one call at a time. */
export function serveLoad(lanes: readonly (() => Promise<void>)[]): void {
  serveCommands(({ seconds, perSecond }: LoadCommand) =>
    perSecond ? openLoop(lanes, seconds, perSecond) : closedLoop(lanes, seconds),
  );
}

async function closedLoop(lanes: readonly (() => Promise<void>)[], seconds: number): Promise<LoadResult> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  const run = async (call: () => Promise<void>) => {
    for (let now = performance.now(); now < end;) {
      await call();
      const after = performance.now();
      latencies.push(after - now);
      now = after;
    }
  };
  await Promise.all(lanes.map(run));
  return toLoadResult(latencies, start);
}

/** Starts calls at a fixed rate, in the lanes in turn. Rejects with the first error. */
export async function openLoop(
  lanes: readonly (() => Promise<void>)[],
  seconds: number,
  perSecond: number,
): Promise<LoadResult> {
  const latencies: number[] = [];
  const start = performance.now();
  const total = Math.round(seconds * perSecond);
  const calls = Array.from({ length: total }, async (_, index) => {
    const due = start + (index * 1000) / perSecond;
    await pause(due - start);
    await lanes[index % lanes.length]?.();
    latencies.push(performance.now() - due);
  });
  await Promise.all(calls);
  return toLoadResult(latencies, start);
}

function toLoadResult(latencies: number[], start: number): LoadResult {
  return {
    callCount: latencies.length,
    perSecond: latencies.length / ((performance.now() - start) / 1000),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}
