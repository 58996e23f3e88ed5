import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as errors from '../../src/core/errors.js';
import { USER_ERROR_CODES } from '../../src/core/primitives/user-error.js';
import { TASK_ERROR_CODES } from '../../src/core/tasks/task-failure.js';
import { UpstreamError } from '../../src/core/tasks/upstream-error.js';

/** The codes of all error classes. */
const classCodes = Object.values({ ...errors, UpstreamError }).flatMap((value) =>
  typeof value === 'function' && 'code' in value && typeof value.code === 'string' ? [value.code] : [],
);
const path = new URL('../../docs/ERRORS.md', import.meta.url);

describe('docs/ERRORS.md', () => {
  /** The codes in the first column of the tables below each heading. */
  function sections(): { title: string; codes: string[] }[] {
    return readFileSync(path, 'utf8')
      .split(/^## /m)
      .slice(1)
      .map((section) => ({
        title: section.split('\n')[0] ?? '',
        codes: [...section.matchAll(/^\| *`([A-Z][A-Z0-9_]*)`/gm)].map(([, code]) => code ?? ''),
      }));
  }
  const listed = (title: RegExp) =>
    sections()
      .find((section) => title.test(section.title))
      ?.codes.sort();

  test('lists exactly the codes of error classes, user errors and tasks', () => {
    expect(listed(/^Errors of/)).toEqual([...classCodes].sort());
    expect(listed(/userErrors/)).toEqual([...USER_ERROR_CODES].sort());
    expect(listed(/^Codes of tasks/)).toEqual([...TASK_ERROR_CODES].sort());
  });

  test('lists no code that does not exist', () => {
    const fromApollo = [
      'GRAPHQL_PARSE_FAILED',
      'GRAPHQL_VALIDATION_FAILED',
      'BAD_USER_INPUT',
      'OPERATION_RESOLUTION_FAILURE',
      'INTERNAL_SERVER_ERROR',
      'PERSISTED_QUERY_NOT_FOUND',
      'PERSISTED_QUERY_NOT_SUPPORTED',
    ];
    const known = [...classCodes, ...USER_ERROR_CODES, ...TASK_ERROR_CODES, ...fromApollo];
    const unknown = sections()
      .flatMap((section) => section.codes)
      .filter((code) => !known.includes(code));
    expect(unknown).toEqual([]);
  });
});

describe('the error classes', () => {
  test('have unique codes', () => {
    expect(classCodes.length).toBeGreaterThan(8);
    expect(new Set(classCodes).size).toBe(classCodes.length);
  });

  test('set the name of each error to its class', () => {
    expect(new errors.Forbidden('tasks:write')).toMatchObject({ name: 'Forbidden', code: 'FORBIDDEN' });
  });
});

describe('an upstream error', () => {
  const failure = {
    code: 'UPSTREAM_FAILED',
    message: 'reason',
    retryable: true,
    upstreamCode: null,
    upstreamTraceId: null,
  } as const;

  test('says when to try again, with jitter, and when to give up', () => {
    const error = new UpstreamError('refused', failure, { retryDelaysMs: [1_000, 8_000] });
    for (let run = 0; run < 100; run += 1) {
      expect(error.retryAfterMs(1)).toBeGreaterThanOrEqual(1_000);
      expect(error.retryAfterMs(1)).toBeLessThanOrEqual(1_250);
      expect(error.retryAfterMs(2)).toBeGreaterThanOrEqual(8_000);
    }
    expect(error.retryAfterMs(3)).toBeNull();
  });

  test('of a request that may have arrived never allows another attempt, whatever its delays are', () => {
    const error = new UpstreamError('unknown', failure, { retryDelaysMs: [1_000] });
    expect(error.retryAfterMs(1)).toBeNull();
  });
});
