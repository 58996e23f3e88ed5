import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  type AttemptResponse,
  attemptOutcomeOf,
  DEFAULT_RETRY_DELAYS_MS,
} from '../../../src/services/webhooks/webhook-retries.js';

const HOUR_MS = 3_600_000;
/** Tolerance for the time between computing a delay and comparing it. */
const SLACK_MS = 5_000;

function responseWith(statusCode: number | null, headers: AttemptResponse['headers'] = {}): AttemptResponse {
  const errorMessage = statusCode === null ? 'the connection was refused' : null;
  const mayBeOurs = false;
  return { at: new Date(), statusCode, errorMessage, mayBeOurs, responseBody: null, latencyMs: 1, headers };
}
function outcomeOf(
  attemptSinceRedelivery: number,
  response: AttemptResponse,
  attemptNumber = attemptSinceRedelivery,
) {
  const delivery = {
    id: newId(),
    attemptNumber,
    attemptSinceRedelivery,
    failures: attemptSinceRedelivery - 1,
  };
  return attemptOutcomeOf(delivery, response, DEFAULT_RETRY_DELAYS_MS);
}
function delayMsOf(attemptSinceRedelivery: number, response: AttemptResponse): number {
  const { status, retryDelayMs } = outcomeOf(attemptSinceRedelivery, response);
  expect(status).toBe('PENDING');
  return retryDelayMs ?? NaN;
}

/** Statuses that schedule another attempt. Null: the endpoint did not respond. */
const retriedStatuses = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 300, max: 999 }).filter((status) => status !== 410),
);

describe('an attempt', () => {
  test('delivers the webhook if the status is 200 to 299, and only then', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), fc.integer({ min: 1, max: 9 }), (status, attempt) => {
        const isDelivered = outcomeOf(attempt, responseWith(status)).status === 'DELIVERED';
        expect(isDelivered).toBe(status >= 200 && status <= 299);
      }),
    );
  });

  test('is followed by another one after the scheduled delay and at most a fifth later', () => {
    fc.assert(
      fc.property(
        retriedStatuses,
        fc.integer({ min: 1, max: DEFAULT_RETRY_DELAYS_MS.length }),
        (status, attempt) => {
          const delayMs = DEFAULT_RETRY_DELAYS_MS[attempt - 1] ?? NaN;
          const actualDelayMs = delayMsOf(attempt, responseWith(status));
          expect(actualDelayMs).toBeGreaterThan(delayMs - SLACK_MS);
          expect(actualDelayMs).toBeLessThan(delayMs * 1.2 + SLACK_MS);
        },
      ),
    );
  });

  test('is the last one after the whole schedule, however many attempts preceded a redelivery', () => {
    fc.assert(
      fc.property(retriedStatuses, fc.nat(100), (statusCode, earlierAttempts) => {
        const last = DEFAULT_RETRY_DELAYS_MS.length + 1;
        const { status, event, retryDelayMs } = outcomeOf(
          last,
          responseWith(statusCode),
          earlierAttempts + last,
        );
        expect(status).toBe('ABANDONED');
        expect(retryDelayMs).toBeNull();
        expect(event).toMatchObject({ type: 'WEBHOOK_ABANDONED', data: { attempt: earlierAttempts + last } });
        expect(outcomeOf(1, responseWith(statusCode), earlierAttempts + 1).status).toBe('PENDING');
      }),
    );
  });

  test('abandons the webhook at once if the status is 410', () => {
    expect(outcomeOf(1, responseWith(410)).status).toBe('ABANDONED');
  });

  test('spreads the retries of simultaneous failures over a fifth of the delay', () => {
    const delays = Array.from({ length: 200 }, () => delayMsOf(4, responseWith(500)));
    const [shortest, longest] = [Math.min(...delays), Math.max(...delays)];
    expect(longest - shortest).toBeGreaterThan(0.1 * 2 * HOUR_MS);
    expect(new Set(delays).size).toBeGreaterThan(100);
  });
});

describe('an attempt that our side of the network may have failed', () => {
  const unreached: AttemptResponse = { ...responseWith(null), mayBeOurs: true };
  const outcomeAfter = (failures: number, uncounted: number) =>
    attemptOutcomeOf(
      { id: newId(), attemptNumber: 500, attemptSinceRedelivery: failures + uncounted + 1, failures },
      unreached,
      DEFAULT_RETRY_DELAYS_MS,
    );

  test('is none of the eight, and followed by another one within about an hour', () => {
    for (let failures = 0; failures <= DEFAULT_RETRY_DELAYS_MS.length; failures += 1)
      for (let uncounted = 0; uncounted < 150; uncounted += 1) {
        const { status, countsAsFailure, retryDelayMs } = outcomeAfter(failures, uncounted);
        expect({ status, countsAsFailure }).toEqual({ status: 'PENDING', countsAsFailure: false });
        expect(retryDelayMs).toBeGreaterThanOrEqual(5_000);
        expect(retryDelayMs).toBeLessThanOrEqual(1.2 * HOUR_MS);
      }
  });

  test('counts after about a week of them, so that every delivery ends', () => {
    let waitedMs = 0;
    let uncounted = 0;
    for (; uncounted < 1_000 && !outcomeAfter(0, uncounted).countsAsFailure; uncounted += 1)
      waitedMs += outcomeAfter(0, uncounted).retryDelayMs ?? NaN;
    expect(waitedMs / (24 * HOUR_MS)).toBeGreaterThan(6.5);
    expect(waitedMs / (24 * HOUR_MS)).toBeLessThan(8.5);
    expect(outcomeAfter(7, uncounted)).toMatchObject({ status: 'ABANDONED', countsAsFailure: true });
  });
});

describe('Retry-After', () => {
  const inSeconds = (seconds: number) => ({ 'retry-after': String(seconds) });
  test.each([
    ['seconds', inSeconds(3_600)],
    ['a date', { 'retry-after': new Date(Date.now() + HOUR_MS).toUTCString() }],
  ])('in %s extends the delay', (_form, headers) => {
    for (const status of [429, 503, 500, 302]) {
      const delayMs = delayMsOf(1, responseWith(status, headers));
      expect(delayMs).toBeGreaterThan(HOUR_MS - SLACK_MS);
      expect(delayMs).toBeLessThan(1.2 * HOUR_MS + SLACK_MS);
    }
  });

  test('never shortens the scheduled delay', () => {
    expect(delayMsOf(4, responseWith(503, inSeconds(1)))).toBeGreaterThan(2 * HOUR_MS - SLACK_MS);
  });

  test.each([
    ['a week', inSeconds(7 * 24 * 3_600)],
    ['more seconds than a number can hold', { 'retry-after': '9'.repeat(400) }],
    ['the year 9999', { 'retry-after': 'Fri, 31 Dec 9999 23:59:59 GMT' }],
  ])('of %s counts as a day', (_value, headers) => {
    expect(delayMsOf(1, responseWith(503, headers))).toBeLessThan(1.2 * 24 * HOUR_MS + SLACK_MS);
    expect(delayMsOf(1, responseWith(503, headers))).toBeGreaterThan(24 * HOUR_MS - SLACK_MS);
  });

  test.each(['', 'soon', '-1', 'NaN', '1e9', '0x10'])('of "%s" is invalid and ignored', (text) => {
    expect(delayMsOf(1, responseWith(503, { 'retry-after': text }))).toBeLessThan(6_000 + SLACK_MS);
  });

  test('is ignored for abandoned and delivered webhooks', () => {
    expect(outcomeOf(8, responseWith(503, inSeconds(1))).status).toBe('ABANDONED');
    expect(outcomeOf(1, responseWith(410, inSeconds(1))).status).toBe('ABANDONED');
    expect(outcomeOf(1, responseWith(200, inSeconds(60))).retryDelayMs).toBeNull();
  });
});
