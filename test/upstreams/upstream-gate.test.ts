import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { UpstreamPaused } from '../../src/core/errors.js';
import { type Reach, UpstreamGate } from '../../src/upstreams/upstream-gate.js';

const PROBE_AFTER_MS = 3_000;

let now: number;
const lines: string[] = [];
const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
beforeEach(() => {
  // The gate asks for the time and sets no timer.
  now = 1_000_000;
  jest.spyOn(Date, 'now').mockImplementation(() => now);
  lines.length = 0;
});
afterEach(() => {
  jest.restoreAllMocks();
});

/** Work that goes on until the test ends it. */
class Work {
  started = false;
  private settle: (reach: Promise<Reach>) => void = () => undefined;
  private readonly reach = new Promise<Reach>((resolve) => (this.settle = resolve));

  readonly run = (): Promise<Reach> => {
    this.started = true;
    return this.reach;
  };
  end(reach: Reach): void {
    this.settle(Promise.resolve(reach));
  }
  fail(error: Error): void {
    this.settle(Promise.reject(error));
  }
}

const unreachable = () => Promise.resolve<Reach>('unreachable');
const reached = () => Promise.resolve<Reach>('reached');
/** Lets everything go on that waits for nothing but what has happened. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function times(count: number, work: () => Promise<void>): Promise<void> {
  for (let time = 1; time <= count; time += 1) await work();
}
/** A gate that has just shut itself. */
async function openGate(limit = 3): Promise<UpstreamGate> {
  const gate = new UpstreamGate(limit, log);
  await times(5, () => gate.run(unreachable));
  return gate;
}

describe('the cap', () => {
  test('lets at most as many through at once as it says, and all of them in the end', async () => {
    const gate = new UpstreamGate(3, log);
    const works = Array.from({ length: 10 }, () => new Work());
    const runs = works.map((work) => gate.run(work.run));
    for (const [index, work] of works.entries()) {
      await turn();
      expect(works.filter(({ started }) => started)).toHaveLength(Math.min(index + 3, 10));
      expect(gate.state).toEqual({ breaker: 'closed', inFlight: Math.min(3, 10 - index), limit: 3 });
      work.end('reached');
    }
    await Promise.all(runs);
    expect(gate.state.inFlight).toBe(0);
  });

  test('is shut while no place is free', async () => {
    const gate = new UpstreamGate(2, log);
    const [first, second] = [new Work(), new Work()];
    const runs = [gate.run(first.run)];
    expect(gate.isShut).toBe(false);
    runs.push(gate.run(second.run));
    expect(gate.isShut).toBe(true);
    first.end('reached');
    await turn();
    expect(gate.isShut).toBe(false);
    second.end('reached');
    await Promise.all(runs);
  });

  test('gives the place of work that throws to the next, and throws on what it threw', async () => {
    const gate = new UpstreamGate(1, log);
    const failure = new Error('ours');
    const work = new Work();
    const run = gate.run(work.run);
    const next = gate.run(reached);
    work.fail(failure);
    await expect(run).rejects.toBe(failure);
    await next;
    expect(gate.state).toMatchObject({ breaker: 'closed', inFlight: 0 });
  });
});

describe('the breaker', () => {
  test('opens after five in a row that could not be sent, and says so once', async () => {
    const gate = new UpstreamGate(3, log);
    await times(4, () => gate.run(unreachable));
    expect({ state: gate.state.breaker, isShut: gate.isShut }).toEqual({ state: 'closed', isShut: false });
    await gate.run(unreachable);
    expect({ state: gate.state.breaker, isShut: gate.isShut }).toEqual({ state: 'open', isShut: true });
    expect(lines.filter((line) => line.includes('the upstream is down'))).toHaveLength(1);
  });

  test('counts from the start after one that arrived', async () => {
    const gate = new UpstreamGate(3, log);
    await times(4, () => gate.run(unreachable));
    await gate.run(reached);
    await times(4, () => gate.run(unreachable));
    expect(gate.state.breaker).toBe('closed');
  });

  test('does not count what threw', async () => {
    const gate = new UpstreamGate(3, log);
    await times(10, () => gate.run(() => Promise.reject(new Error('ours'))).catch(() => undefined));
    expect(gate.state.breaker).toBe('closed');
  });

  test('throws UpstreamPaused while it is open, and does not begin the work', async () => {
    const gate = await openGate();
    const work = new Work();
    await expect(gate.run(work.run)).rejects.toBeInstanceOf(UpstreamPaused);
    now += PROBE_AFTER_MS - 1;
    await expect(gate.run(work.run)).rejects.toBeInstanceOf(UpstreamPaused);
    expect(gate.isShut).toBe(true);
    expect(work.started).toBe(false);
    expect(gate.state.inFlight).toBe(0);
  });

  test('stays open after a probe that was not sent, or that threw', async () => {
    const gate = await openGate();
    now += PROBE_AFTER_MS;
    await gate.run(() => Promise.resolve('not-tried'));
    expect(gate.state.breaker).toBe('open');
    now += PROBE_AFTER_MS;
    await gate.run(() => Promise.reject(new Error('ours'))).catch(() => undefined);
    expect(gate.state.breaker).toBe('open');
    now += PROBE_AFTER_MS;
    await gate.run(reached);
    expect(gate.state.breaker).toBe('closed');
  });

  test('lets one probe through after three seconds, and the others when it has arrived', async () => {
    const gate = await openGate(5);
    now += PROBE_AFTER_MS;
    expect(gate.isShut).toBe(false);
    const [probe, second, third] = [new Work(), new Work(), new Work()];
    const runs = [probe, second, third].map((work) => gate.run(work.run));
    await turn();
    expect([probe, second, third].map(({ started }) => started)).toEqual([true, false, false]);
    expect({ state: gate.state.breaker, isShut: gate.isShut }).toEqual({ state: 'half-open', isShut: true });

    probe.end('reached');
    await turn();
    expect([second, third].map(({ started }) => started)).toEqual([true, true]);
    second.end('reached');
    third.end('reached');
    await Promise.all(runs);
    expect({ state: gate.state.breaker, isShut: gate.isShut }).toEqual({ state: 'closed', isShut: false });
    expect(lines.filter((line) => line.includes('the upstream is back'))).toHaveLength(1);
  });

  test('rests for five seconds more when the probe does not arrive, and begins none of the others', async () => {
    const gate = await openGate();
    now += PROBE_AFTER_MS;
    const [probe, other] = [new Work(), new Work()];
    const runs = [gate.run(probe.run), gate.run(other.run)];
    probe.end('unreachable');
    await runs[0];
    await expect(runs[1]).rejects.toBeInstanceOf(UpstreamPaused);
    expect(other.started).toBe(false);
    expect({ state: gate.state.breaker, isShut: gate.isShut }).toEqual({ state: 'open', isShut: true });

    now += PROBE_AFTER_MS - 1;
    expect(gate.isShut).toBe(true);
    now += 1;
    expect(gate.isShut).toBe(false);
    await gate.run(reached);
    expect(gate.state.breaker).toBe('closed');
  });

  test('needs five in a row again after it has closed', async () => {
    const gate = await openGate();
    now += PROBE_AFTER_MS;
    await gate.run(reached);
    await times(4, () => gate.run(unreachable));
    expect(gate.state.breaker).toBe('closed');
    await gate.run(unreachable);
    expect(gate.state.breaker).toBe('open');
  });
});
