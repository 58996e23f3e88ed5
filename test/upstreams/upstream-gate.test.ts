import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { UpstreamPaused } from '../../src/core/errors.js';
import {
  PACED_CLAIM_INTERVAL_MS,
  type Reachability,
  UpstreamGate,
} from '../../src/upstreams/upstream-gate.js';

const PROBE_DELAY_MS = 3_000;

let now: number;
const lines: string[] = [];
const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
beforeEach(() => {
  // The gate reads the clock and sets no timers.
  now = 1_000_000;
  jest.spyOn(performance, 'now').mockImplementation(() => now);
  lines.length = 0;
});
afterEach(() => {
  jest.restoreAllMocks();
});

/** Work that runs until the test ends it. */
class Work {
  started = false;
  private resolve: (result: Promise<Reachability>) => void = () => undefined;
  private readonly result = new Promise<Reachability>((resolve) => (this.resolve = resolve));

  readonly run = (): Promise<Reachability> => {
    this.started = true;
    return this.result;
  };
  end(result: Reachability): void {
    this.resolve(Promise.resolve(result));
  }
  fail(error: Error): void {
    this.resolve(Promise.reject(error));
  }
}

const unreachable = () => Promise.resolve<Reachability>('unreachable');
const reached = () => Promise.resolve<Reachability>('reached');
/** Resolves when all pending promise callbacks have run. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

async function repeat(count: number, work: () => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index += 1) await work();
}
/** A gate that has just opened its breaker. */
async function openGate(limit = 3): Promise<UpstreamGate> {
  const gate = new UpstreamGate(limit, log);
  await repeat(5, () => gate.run(unreachable));
  return gate;
}

describe('the concurrency limit', () => {
  test('lets at most that many run at the same time, and all of them eventually', async () => {
    const gate = new UpstreamGate(3, log);
    const works = Array.from({ length: 10 }, () => new Work());
    const runs = works.map((work) => gate.run(work.run));
    for (const [index, work] of works.entries()) {
      await settle();
      expect(works.filter(({ started }) => started)).toHaveLength(Math.min(index + 3, 10));
      expect(gate.state).toEqual({ breaker: 'closed', inFlight: Math.min(3, 10 - index), limit: 3 });
      work.end('reached');
    }
    await Promise.all(runs);
    expect(gate.state.inFlight).toBe(0);
  });

  test('blocks while no slot is free', async () => {
    const gate = new UpstreamGate(2, log);
    const [first, second] = [new Work(), new Work()];
    const runs = [gate.run(first.run)];
    expect(gate.isBlocked).toBe(false);
    runs.push(gate.run(second.run));
    expect(gate.isBlocked).toBe(true);
    first.end('reached');
    await settle();
    expect(gate.isBlocked).toBe(false);
    second.end('reached');
    await Promise.all(runs);
  });

  test('gives the slot of failed work to the next, and rethrows its error', async () => {
    const gate = new UpstreamGate(1, log);
    const failure = new Error('not from the upstream');
    const work = new Work();
    const run = gate.run(work.run);
    const next = gate.run(reached);
    work.fail(failure);
    await expect(run).rejects.toBe(failure);
    await next;
    expect(gate.state).toMatchObject({ breaker: 'closed', inFlight: 0 });
  });
});

describe('the limits of all instances', () => {
  test('block this instance after a claim that found no room, and no longer after one that did', async () => {
    const gate = new UpstreamGate(3, log);
    await gate.claim(() => Promise.resolve({ isPaused: true }));
    expect(gate.isBlocked).toBe(true);
    await gate.claim(() => Promise.resolve({}));
    expect(gate.isBlocked).toBe(false);
  });

  test('let one claim at a time ask again', async () => {
    let time = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => time);
    const gate = new UpstreamGate(3, log);
    await gate.claim(() => Promise.resolve({ isPaused: true }));
    time += PACED_CLAIM_INTERVAL_MS;
    expect(gate.isBlocked).toBe(false);
    let answer: (claim: { isPaused?: boolean }) => void = () => undefined;
    const claim = gate.claim(() => new Promise<{ isPaused?: boolean }>((resolve) => (answer = resolve)));
    expect(gate.isBlocked).toBe(true);
    answer({});
    await claim;
    expect(gate.isBlocked).toBe(false);
  });
});

describe('the breaker', () => {
  test('opens after five consecutive requests that could not be sent, and logs it once', async () => {
    const gate = new UpstreamGate(3, log);
    await repeat(4, () => gate.run(unreachable));
    expect({ state: gate.state.breaker, isBlocked: gate.isBlocked }).toEqual({
      state: 'closed',
      isBlocked: false,
    });
    await gate.run(unreachable);
    expect({ state: gate.state.breaker, isBlocked: gate.isBlocked }).toEqual({
      state: 'open',
      isBlocked: true,
    });
    expect(lines.filter((line) => line.includes('the upstream is down'))).toHaveLength(1);
  });

  test('starts counting again after a request that arrived', async () => {
    const gate = new UpstreamGate(3, log);
    await repeat(4, () => gate.run(unreachable));
    await gate.run(reached);
    await repeat(4, () => gate.run(unreachable));
    expect(gate.state.breaker).toBe('closed');
  });

  test('does not count work that throws', async () => {
    const gate = new UpstreamGate(3, log);
    await repeat(10, () =>
      gate.run(() => Promise.reject(new Error('not from the upstream'))).catch(() => undefined),
    );
    expect(gate.state.breaker).toBe('closed');
  });

  test('throws UpstreamPaused while it is open, and does not start the work', async () => {
    const gate = await openGate();
    const work = new Work();
    await expect(gate.run(work.run)).rejects.toBeInstanceOf(UpstreamPaused);
    now += PROBE_DELAY_MS - 1;
    await expect(gate.run(work.run)).rejects.toBeInstanceOf(UpstreamPaused);
    expect(gate.isBlocked).toBe(true);
    expect(work.started).toBe(false);
    expect(gate.state.inFlight).toBe(0);
  });

  test('stays open after a probe that was not sent, or that threw', async () => {
    const gate = await openGate();
    now += PROBE_DELAY_MS;
    await gate.run(() => Promise.resolve('not-tried'));
    expect(gate.state.breaker).toBe('open');
    now += PROBE_DELAY_MS;
    await gate.run(() => Promise.reject(new Error('not from the upstream'))).catch(() => undefined);
    expect(gate.state.breaker).toBe('open');
    now += PROBE_DELAY_MS;
    await gate.run(reached);
    expect(gate.state.breaker).toBe('closed');
  });

  test('lets one probe through after three seconds, and the others once it has arrived', async () => {
    const gate = await openGate(5);
    now += PROBE_DELAY_MS;
    expect(gate.isBlocked).toBe(false);
    const [probe, second, third] = [new Work(), new Work(), new Work()];
    const runs = [probe, second, third].map((work) => gate.run(work.run));
    await settle();
    expect([probe, second, third].map(({ started }) => started)).toEqual([true, false, false]);
    expect({ state: gate.state.breaker, isBlocked: gate.isBlocked }).toEqual({
      state: 'half-open',
      isBlocked: true,
    });

    probe.end('reached');
    await settle();
    expect([second, third].map(({ started }) => started)).toEqual([true, true]);
    second.end('reached');
    third.end('reached');
    await Promise.all(runs);
    expect({ state: gate.state.breaker, isBlocked: gate.isBlocked }).toEqual({
      state: 'closed',
      isBlocked: false,
    });
    expect(lines.filter((line) => line.includes('the upstream is back'))).toHaveLength(1);
  });

  test('lets the probe through after three seconds even if the clock of the instance has jumped back', async () => {
    const gate = await openGate();
    const right = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => right - 600_000);
    now += PROBE_DELAY_MS;
    await gate.run(reached);
    expect(gate.state.breaker).toBe('closed');
  });

  test('stays open for three more seconds when the probe does not arrive, and starts none of the others', async () => {
    const gate = await openGate();
    now += PROBE_DELAY_MS;
    const [probe, other] = [new Work(), new Work()];
    const runs = [gate.run(probe.run), gate.run(other.run)];
    probe.end('unreachable');
    await runs[0];
    await expect(runs[1]).rejects.toBeInstanceOf(UpstreamPaused);
    expect(other.started).toBe(false);
    expect({ state: gate.state.breaker, isBlocked: gate.isBlocked }).toEqual({
      state: 'open',
      isBlocked: true,
    });

    now += PROBE_DELAY_MS - 1;
    expect(gate.isBlocked).toBe(true);
    now += 1;
    expect(gate.isBlocked).toBe(false);
    await gate.run(reached);
    expect(gate.state.breaker).toBe('closed');
  });

  test('needs five consecutive failures again after it has closed', async () => {
    const gate = await openGate();
    now += PROBE_DELAY_MS;
    await gate.run(reached);
    await repeat(4, () => gate.run(unreachable));
    expect(gate.state.breaker).toBe('closed');
    await gate.run(unreachable);
    expect(gate.state.breaker).toBe('open');
  });
});
