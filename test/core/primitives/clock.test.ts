import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { databaseNow, databaseTimeMs, recordDatabaseTime } from '../../../src/core/primitives/clock.js';
import { idTime, newId } from '../../../src/core/primitives/ids.js';

/** Noon by PostgreSQL's clock, when the process has run for a minute. */
const NOON_MS = Date.parse('2026-11-29T12:00:00Z');
let processMs: number;
beforeEach(() => {
  processMs = 60_000;
  jest.spyOn(performance, 'now').mockImplementation(() => processMs);
  // From any state that another test has left.
  recordDatabaseTime(new Date(NOON_MS), processMs);
});
afterEach(() => {
  jest.restoreAllMocks();
});
/** Milliseconds since noon. */
const elapsed = () => databaseTimeMs() - NOON_MS;

test('counts on from the last reading, whatever the clock of the instance does', () => {
  const right = Date.now();
  jest.spyOn(Date, 'now').mockImplementation(() => right - 3_600_000);
  processMs += 1_500;
  expect(elapsed()).toBeGreaterThanOrEqual(1_500);
  expect(elapsed()).toBeLessThanOrEqual(1_501);
  expect(databaseNow().getTime()).toBe(databaseTimeMs());
});

test('is not moved by a reading that took long, as far as the reading may be right', () => {
  const askedAt = processMs;
  processMs += 4_000;
  recordDatabaseTime(new Date(NOON_MS + 500), askedAt);
  expect(elapsed()).toBeGreaterThanOrEqual(4_000);
  expect(elapsed()).toBeLessThanOrEqual(4_001);
});

test('follows PostgreSQL, forwards and backwards', () => {
  for (const hours of [1, -1]) {
    recordDatabaseTime(new Date(NOON_MS + hours * 3_600_000), processMs);
    expect(Math.abs(elapsed() - hours * 3_600_000)).toBeLessThanOrEqual(1);
  }
});

test('gives IDs their time, and keeps their order when it is corrected a little', () => {
  const first = newId();
  expect(Math.abs(idTime(first).getTime() - databaseTimeMs())).toBeLessThanOrEqual(1);
  recordDatabaseTime(new Date(NOON_MS - 900), processMs);
  const second = newId();
  expect(second > first).toBe(true);
  recordDatabaseTime(new Date(NOON_MS - 600_000), processMs);
  expect(Math.abs(idTime(newId()).getTime() - databaseTimeMs())).toBeLessThanOrEqual(1);
});
