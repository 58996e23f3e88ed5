import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Answered, endOf, RETRY_DELAYS_MS } from '../../../src/services/webhooks/delivery-outcome.js';

const HOUR_MS = 3_600_000;
/** For the clock to go on between the call and what it is compared with. */
const SLACK_MS = 5_000;

function answered(statusCode: number | null, headers: Answered['headers'] = {}): Answered {
  const failure = statusCode === null ? 'the connection was refused' : null;
  return { statusCode, failure, answer: null, latencyMs: 1, headers };
}
function end(attemptOfRound: number, outcome: Answered, attempt = attemptOfRound) {
  const callback = { id: newId(), attempt, attemptOfRound };
  return endOf(callback, { id: newId(), at: new Date() }, outcome, RETRY_DELAYS_MS);
}
function waitOf(attemptOfRound: number, outcome: Answered): number {
  const { status, delivery } = end(attemptOfRound, outcome);
  expect(status).toBe('PENDING');
  return (delivery.nextAttemptAt?.getTime() ?? NaN) - Date.now();
}

const failing = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 300, max: 999 }).filter((status) => status !== 410),
);

describe('the end of an attempt', () => {
  test('is delivered by every status from 200 to 299, and by no other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), fc.integer({ min: 1, max: 9 }), (status, attempt) => {
        const isDelivered = end(attempt, answered(status)).status === 'DELIVERED';
        expect(isDelivered).toBe(status >= 200 && status <= 299);
      }),
    );
  });

  test('is followed by another attempt no sooner than the schedule says, and at most a fifth later', () => {
    fc.assert(
      fc.property(failing, fc.integer({ min: 1, max: RETRY_DELAYS_MS.length }), (status, attempt) => {
        const delayMs = RETRY_DELAYS_MS[attempt - 1] ?? NaN;
        const waitMs = waitOf(attempt, answered(status));
        expect(waitMs).toBeGreaterThan(delayMs - SLACK_MS);
        expect(waitMs).toBeLessThan(delayMs * 1.2 + SLACK_MS);
      }),
    );
  });

  test('is the last one behind the schedule, whatever was tried in earlier rounds', () => {
    fc.assert(
      fc.property(failing, fc.nat(100), (status, before) => {
        const last = RETRY_DELAYS_MS.length + 1;
        const { status: last8, event, delivery } = end(last, answered(status), before + last);
        expect(last8).toBe('ABANDONED');
        expect(delivery.nextAttemptAt).toBeNull();
        expect(event).toMatchObject({ type: 'CALLBACK_ABANDONED', data: { attempt: before + last } });
        expect(end(1, answered(status), before + 1).status).toBe('PENDING');
      }),
    );
  });

  test('is abandoned by a 410 at once', () => {
    expect(end(1, answered(410)).status).toBe('ABANDONED');
  });

  test('spreads what failed at one time over a fifth of the wait', () => {
    const waits = Array.from({ length: 200 }, () => waitOf(4, answered(500)));
    const [least, most] = [Math.min(...waits), Math.max(...waits)];
    expect(most - least).toBeGreaterThan(0.1 * 2 * HOUR_MS);
    expect(new Set(waits).size).toBeGreaterThan(100);
  });
});

describe('Retry-After', () => {
  const inSeconds = (seconds: number) => ({ 'retry-after': String(seconds) });
  test.each([
    ['seconds', inSeconds(3_600)],
    ['a date', { 'retry-after': new Date(Date.now() + HOUR_MS).toUTCString() }],
  ])('in %s lets us wait longer', (_form, headers) => {
    for (const status of [429, 503, 500, 302]) {
      const waitMs = waitOf(1, answered(status, headers));
      expect(waitMs).toBeGreaterThan(HOUR_MS - SLACK_MS);
      expect(waitMs).toBeLessThan(1.2 * HOUR_MS + SLACK_MS);
    }
  });

  test('never lets us come sooner than the schedule', () => {
    expect(waitOf(4, answered(503, inSeconds(1)))).toBeGreaterThan(2 * HOUR_MS - SLACK_MS);
  });

  test.each([
    ['a week', inSeconds(7 * 24 * 3_600)],
    ['more seconds than a number holds', { 'retry-after': '9'.repeat(400) }],
    ['the year 9999', { 'retry-after': 'Fri, 31 Dec 9999 23:59:59 GMT' }],
  ])('of %s counts as a day', (_what, headers) => {
    expect(waitOf(1, answered(503, headers))).toBeLessThan(1.2 * 24 * HOUR_MS + SLACK_MS);
    expect(waitOf(1, answered(503, headers))).toBeGreaterThan(24 * HOUR_MS - SLACK_MS);
  });

  test.each(['', 'soon', '-1', 'NaN', '1e9', '0x10'])(
    'of "%s" is not understood and changes nothing',
    (text) => {
      expect(waitOf(1, answered(503, { 'retry-after': text }))).toBeLessThan(6_000 + SLACK_MS);
    },
  );

  test('does not bring back what was abandoned, nor delay what was delivered', () => {
    expect(end(8, answered(503, inSeconds(1))).status).toBe('ABANDONED');
    expect(end(1, answered(410, inSeconds(1))).status).toBe('ABANDONED');
    expect(end(1, answered(200, inSeconds(60))).delivery.nextAttemptAt).toBeNull();
  });
});
