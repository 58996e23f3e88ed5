import { fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { quantile } from './bench.js';
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

const ARGS_VARIABLE = 'DARKROOM_BENCH_LOAD';

/** In the load process: what it was started with. */
export function loadArgs(): string[] {
  return JSON.parse(process.env[ARGS_VARIABLE] ?? '[]') as string[];
}

interface Order {
  seconds: number;
  perSecond?: number;
}
type Message = { ready: true } | { stretch: Stretch } | { failure: string };

/** Starts a module that calls `serveLoad`, with `args` in its environment: passwords in it are not for every `ps`. */
export async function startLoad(
  module: URL,
  args: readonly string[],
  release: OnRelease,
): Promise<LoadProcess> {
  const child = fork(module, { env: { ...process.env, [ARGS_VARIABLE]: JSON.stringify(args) } });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const next = async (): Promise<Message> => {
    const answer = once(child, 'message').then(([message]) => message as Message);
    const gone = exited.then(([code]) => Promise.reject(new Error(`A load process ended with ${code}.`)));
    gone.catch(() => undefined);
    const message = await Promise.race([answer, gone]);
    if ('failure' in message) throw new Error(message.failure);
    return message;
  };
  await next();
  const ask = async (order: Order): Promise<Stretch> => {
    child.send(order);
    const message = await next();
    if (!('stretch' in message)) throw new Error('A load process answered out of turn.');
    return message.stretch;
  };
  return { run: (seconds) => ask({ seconds }), pace: (seconds, perSecond) => ask({ seconds, perSecond }) };
}

/** In the load process: makes load with `lanes`, each of which starts its next call when its last one has ended. */
export function serveLoad(lanes: readonly (() => Promise<void>)[]): void {
  process.on('disconnect', () => process.exit());
  process.on('SIGINT', () => undefined); // Ctrl-C reaches all of us; the parent ends us when it is time
  process.on('message', ({ seconds, perSecond }: Order) => {
    const load = perSecond ? openLoop(lanes, seconds, perSecond) : closedLoop(lanes, seconds);
    load.then(
      (stretch) => process.send?.({ stretch }),
      (error: unknown) => process.send?.({ failure: String(error) }),
    );
  });
  process.send?.({ ready: true });
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
