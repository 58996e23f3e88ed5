import { describe, expect, test } from '@jest/globals';
import { parseRetryAfter } from '../../src/net/retry-after.js';

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  test.each([
    ['7', 7_000],
    [' 1.5 ', 1_500],
    ['3600', 60_000],
    ['Thu, 01 Jan 2026 00:00:20 GMT', 20_000],
    ['Thu, 01 Jan 2026 09:00:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 23:59:00 GMT', null],
    ['0', null],
    ['-5', null],
    ['soon 1', null],
    ['', null],
    [undefined, null],
  ])('%p is %p ms', (header, expected) => {
    expect(parseRetryAfter(header, 60_000, now)).toBe(expected);
  });
});
