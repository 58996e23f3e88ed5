import { describe, expect, test } from '@jest/globals';
import {
  cachedFor,
  runEach,
  singleFlight,
  SingleFlights,
  singleFlightWithRerun,
  TIMED_OUT,
  withTimeout,
} from '../../../src/core/primitives/async.js';

describe('withTimeout', () => {
  test('returns the result, or TIMED_OUT when it takes too long', async () => {
    expect(await withTimeout(Promise.resolve('result'), 60_000)).toBe('result');
    expect(await withTimeout(new Promise(() => undefined), 1)).toBe(TIMED_OUT);
  });

  test('rejects when the work rejects in time, and ignores a later rejection', async () => {
    await expect(withTimeout(Promise.reject(new Error('broken')), 60_000)).rejects.toThrow('broken');
    let fail = (_error: Error) => {};
    const late = new Promise<never>((_, reject) => (fail = reject));
    expect(await withTimeout(late, 1)).toBe(TIMED_OUT);
    fail(new Error('too late'));
    await new Promise(setImmediate);
  });
});

describe('singleFlight', () => {
  test('joins calls while the work is in progress, and starts it again afterwards', async () => {
    let runs = 0;
    let finish = () => {};
    const work = singleFlight(async () => {
      runs += 1;
      await new Promise<void>((resolve) => (finish = resolve));
      return runs;
    });
    const joined = [work(), work()];
    finish();
    expect(await Promise.all(joined)).toEqual([1, 1]);
    const next = work();
    finish();
    expect(await next).toBe(2);
  });

  test('starts the work again after a failure', async () => {
    let runs = 0;
    const work = singleFlight(() => Promise.reject(new Error(`failure ${(runs += 1)}`)));
    await expect(work()).rejects.toThrow('failure 1');
    await expect(work()).rejects.toThrow('failure 2');
  });
});

describe('singleFlightWithRerun', () => {
  test('runs once more for all calls during a run, and resolves when nothing is left to run', async () => {
    let runs = 0;
    const work = singleFlightWithRerun(async () => {
      runs += 1;
      await new Promise(setImmediate);
    });
    const calls = [work(), work(), work()];
    expect(runs).toBe(1);
    await Promise.all(calls);
    expect(runs).toBe(2);
    await work();
    expect(runs).toBe(3);
  });

  test('loses no call that comes between the end of a run and its promise', async () => {
    let runs = 0;
    const work = singleFlightWithRerun(() => {
      runs += 1;
      return Promise.resolve();
    });
    const expected = 200;
    for (let calls = 0; calls < expected; calls += 1) {
      const before = runs;
      const call = work();
      for (let microtasks = 0; microtasks < calls % 5; microtasks += 1) await Promise.resolve();
      await Promise.all([call, work()]);
      expect(runs).toBe(before + 2);
    }
  });

  test('starts the work again after a failure', async () => {
    let runs = 0;
    const work = singleFlightWithRerun(() => Promise.reject(new Error(`failure ${(runs += 1)}`)));
    await expect(work()).rejects.toThrow('failure 1');
    await expect(work()).rejects.toThrow('failure 2');
  });
});

describe('SingleFlights', () => {
  test('shares work by its key', async () => {
    const flights = new SingleFlights<string, string>();
    let runs = 0;
    const work = (key: string) =>
      flights.run(key, async () => {
        runs += 1;
        await new Promise(setImmediate);
        return key;
      });
    const results = Promise.all([work('a'), work('a'), work('b')]);
    expect([flights.size, flights.has('a'), flights.has('c')]).toEqual([2, true, false]);
    expect(await results).toEqual(['a', 'a', 'b']);
    expect([runs, flights.size]).toEqual([2, 0]);
    await work('a');
    expect(runs).toBe(3);
  });
});

describe('cachedFor', () => {
  test('shares one result until it is too old', async () => {
    let runs = 0;
    const work = () => Promise.resolve((runs += 1));
    const forLong = cachedFor(60_000, work);
    expect(await Promise.all([forLong(), forLong()])).toEqual([1, 1]);
    expect(await forLong()).toBe(1);
    const forNoTime = cachedFor(-1, work);
    expect(await forNoTime()).toBe(2);
    expect(await forNoTime()).toBe(3);
  });

  test('does not keep a failure', async () => {
    let runs = 0;
    const work = cachedFor(60_000, () => Promise.reject(new Error(`failure ${(runs += 1)}`)));
    await expect(work()).rejects.toThrow('failure 1');
    await expect(work()).rejects.toThrow('failure 2');
  });
});

describe('runEach', () => {
  test('runs every step, also after one that fails, and throws its error', async () => {
    const steps: string[] = [];
    const step = (name: string, error?: Error) => () => {
      steps.push(name);
      return error ? Promise.reject(error) : Promise.resolve();
    };
    const poison = new Error('poison');
    await expect(runEach([step('a', poison), step('b'), step('c')])).rejects.toBe(poison);
    expect(steps).toEqual(['a', 'b', 'c']);
    await expect(runEach([step('d', poison), step('e', poison)])).rejects.toThrow('2 of 2 steps');
    await expect(runEach([step('f')])).resolves.toBeUndefined();
  });
});
