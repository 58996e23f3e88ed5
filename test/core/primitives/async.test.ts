import { describe, expect, test } from '@jest/globals';
import { singleFlight, TIMED_OUT, withTimeout } from '../../../src/core/primitives/async.js';

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
