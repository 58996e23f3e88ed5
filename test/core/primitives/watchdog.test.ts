import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Progress } from '../../../src/core/primitives/progress.js';
import { Watchdog } from '../../../src/core/primitives/watchdog.js';
import { waitFor } from '../../support/wait-for.js';

let watchdog: Watchdog | undefined;
afterEach(() => watchdog?.stop());

/** Watches a part that makes progress when the test records it, or when it is replaced. */
function watch({ isHelpful = false, isWritable = true } = {}) {
  const progress = new Progress();
  const state = { checks: 0, replacements: 0, fatal: [] as string[] };
  watchdog = new Watchdog({
    part: 'part',
    stalledMs: () => progress.ageMs,
    stalledAfterMs: 1,
    probe: () => {
      state.checks += 1;
      return isWritable ? Promise.resolve() : Promise.reject(new Error('PostgreSQL is down'));
    },
    replace: () => {
      state.replacements += 1;
      if (isHelpful) progress.record();
    },
    onFatal: (reason) => state.fatal.push(reason),
    log: pino({ level: 'silent' }),
  });
  watchdog.start();
  return state;
}

describe('a part without progress', () => {
  test('is replaced five times, and then the process is ended with a reason', async () => {
    const state = watch();
    await waitFor('the end', () => state.fatal.length > 0);
    expect(state.replacements).toBe(6);
    expect(state.fatal).toEqual(['the part makes no progress although PostgreSQL responds']);
  });

  test('does not end the process if it makes progress between two replacements', async () => {
    const state = watch({ isHelpful: true });
    await waitFor('the replacements', () => state.replacements > 6);
    expect(state.fatal).toEqual([]);
  });

  test('is not replaced while PostgreSQL is down or read-only', async () => {
    const state = watch({ isWritable: false });
    await waitFor('some checks', () => state.checks > 2);
    expect(state).toMatchObject({ replacements: 0, fatal: [] });
  });
});
