import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as errors from '../../src/core/errors.js';
import { INPUT_FAULT_CODES } from '../../src/core/tasks/input-fault.js';
import { TASK_ERROR_CODES } from '../../src/core/tasks/task-failure.js';

/** Every `code` that a class of the family has. */
const classCodes = Object.values(errors).flatMap((value) =>
  typeof value === 'function' && 'code' in value && typeof value.code === 'string' ? [value.code] : [],
);
const path = new URL('../../docs/ERRORS.md', import.meta.url);

describe('docs/ERRORS.md', () => {
  /** The first column of its tables, for each heading. */
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

  test('lists exactly the codes of the classes, of userErrors and of tasks', () => {
    expect(listed(/^Errors of/)).toEqual([...classCodes].sort());
    expect(listed(/userErrors/)).toEqual([...INPUT_FAULT_CODES].sort());
    expect(listed(/^Codes of tasks/)).toEqual([...TASK_ERROR_CODES].sort());
  });

  test('names no code that nothing gives', () => {
    const fromApollo = [
      'GRAPHQL_PARSE_FAILED',
      'GRAPHQL_VALIDATION_FAILED',
      'BAD_USER_INPUT',
      'OPERATION_RESOLUTION_FAILURE',
      'INTERNAL_SERVER_ERROR',
      'PERSISTED_QUERY_NOT_FOUND',
      'PERSISTED_QUERY_NOT_SUPPORTED',
    ];
    const known = [...classCodes, ...INPUT_FAULT_CODES, ...TASK_ERROR_CODES, ...fromApollo];
    const unknown = sections()
      .flatMap((section) => section.codes)
      .filter((code) => !known.includes(code));
    expect(unknown).toEqual([]);
  });
});

describe('the family of errors', () => {
  test('has one class per code', () => {
    expect(classCodes.length).toBeGreaterThan(8);
    expect(new Set(classCodes).size).toBe(classCodes.length);
  });

  test('names each error by its class', () => {
    expect(new errors.Forbidden('tasks:write')).toMatchObject({ name: 'Forbidden', code: 'FORBIDDEN' });
  });
});

describe('an upstream error', () => {
  const failure = {
    code: 'UPSTREAM_FAILED',
    message: 'why',
    retryable: true,
    upstreamCode: null,
    upstreamTraceId: null,
  } as const;

  test('says when to try again, a little later each time than it must, and when to give up', () => {
    const error = new errors.UpstreamError('why', 'refused', failure, [1_000, 8_000]);
    for (let time = 0; time < 100; time += 1) {
      expect(error.retryAfterMs(1)).toBeGreaterThanOrEqual(1_000);
      expect(error.retryAfterMs(1)).toBeLessThanOrEqual(1_250);
      expect(error.retryAfterMs(2)).toBeGreaterThanOrEqual(8_000);
    }
    expect(error.retryAfterMs(3)).toBeNull();
  });

  test('whose request may have arrived never asks for another try, whatever its delays are', () => {
    const error = new errors.UpstreamError('why', 'unknown', failure, [1_000]);
    expect(error.retryAfterMs(1)).toBeNull();
  });
});
