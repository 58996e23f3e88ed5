import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { quantile } from './bench.js';
import { serveOrders, startHelper } from './helper.js';
import { type OnRelease } from './releases.js';

/** What a stretch of load came to. */
export interface Stretch {
  done: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/** A process that makes load when it is asked to and is idle otherwise. */
export interface LoadProcess {
  /** Rejects with the first failure: then nothing was measured. */
  run(seconds: number): Promise<Stretch>;
  /** Starts so many calls a second, whether or not the ones before have ended: what waits is seen. */
  pace(seconds: number, perSecond: number): Promise<Stretch>;
}

interface Order {
  seconds: number;
  perSecond?: number;
}

/** Starts a module that calls `serveLoad`. */
export async function startLoad(
  module: URL,
  args: readonly string[],
  release: OnRelease,
): Promise<LoadProcess> {
  const helper = await startHelper<Order, Stretch>(module, args, release);
  return {
    run: (seconds) => helper.ask({ seconds }),
    pace: (seconds, perSecond) => helper.ask({ seconds, perSecond }),
  };
}

/** In the load process: makes load with `lanes`, each of which starts its next call when its last one has ended. */
export function serveLoad(lanes: readonly (() => Promise<void>)[]): void {
  serveOrders(({ seconds, perSecond }: Order) =>
    perSecond ? openLoop(lanes, seconds, perSecond) : closedLoop(lanes, seconds),
  );
}

async function closedLoop(lanes: readonly (() => Promise<void>)[], seconds: number): Promise<Stretch> {
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
  return toStretch(latencies, start);
}

async function openLoop(
  lanes: readonly (() => Promise<void>)[],
  seconds: number,
  perSecond: number,
): Promise<Stretch> {
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
  return toStretch(latencies, start);
}

function toStretch(latencies: number[], start: number): Stretch {
  return {
    done: latencies.length,
    perSecond: latencies.length / ((performance.now() - start) / 1000),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}
