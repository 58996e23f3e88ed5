import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  BadRequest,
  DatabaseUnavailable,
  PayloadTooLarge,
  RateLimited,
  ResultNotReady,
} from '../../src/core/errors.js';
import { reportError, toPublicError } from '../../src/core/public-error.js';

/** Collects what is logged. */
function createLog() {
  const lines: { fields: object; message: string }[] = [];
  return { lines, error: (fields: object, message: string) => void lines.push({ fields, message }) };
}

describe('a translated error', () => {
  test('keeps the code, the status and the message of an error of ours', () => {
    expect(toPublicError(new BadRequest('Send less.'))).toEqual({
      ...{ status: 400, code: 'BAD_REQUEST', message: 'Send less.', expected: true },
      ...{ headers: { 'cache-control': 'no-store' }, details: {} },
    });
  });

  test('says when to try again, in whole seconds for HTTP', () => {
    expect(toPublicError(new RateLimited('Too fast.', 1_200))).toMatchObject({
      headers: { 'retry-after': '2' },
      details: { retryAfterMs: 1_200 },
    });
    expect(toPublicError(new RateLimited('Too fast.', 0)).headers['retry-after']).toBe('1');
    expect(toPublicError(new DatabaseUnavailable()).headers['retry-after']).toBe('5');
  });

  test('ends the connection of a client that sent too much', () => {
    expect(toPublicError(new PayloadTooLarge(1_024)).headers['connection']).toBe('close');
  });

  test('ends the connection when the instance stops', () => {
    expect(toPublicError(new ResultNotReady('id', 'going-away')).headers['connection']).toBe('close');
    expect(toPublicError(new ResultNotReady('id', 'timed-out')).headers['connection']).toBeUndefined();
  });

  test.each([
    [Object.assign(new Error('x'), { type: 'entity.too.large', limit: 2_048 }), 413, /larger than 2 kB/],
    [Object.assign(new Error('x'), { type: 'request.aborted', status: 400 }), 400, /connection was closed/],
    [Object.assign(new URIError('x'), { status: 400 }), 400, /request is malformed/],
  ])('of an HTTP library is ours: %s', (error, status, message) => {
    expect(toPublicError(error)).toMatchObject({ status, expected: true });
    expect(toPublicError(error).message).toMatch(message);
  });

  test.each([new Error('secret'), Object.assign(new Error('secret'), { status: 500 }), 'secret', null])(
    'that is unknown is masked with its ID: %s',
    (error) => {
      const publicError = toPublicError(error, 'the-id');
      expect(publicError).toMatchObject({ status: 500, code: 'INTERNAL_SERVER_ERROR', expected: false });
      expect(publicError.details).toEqual({ errorId: 'the-id' });
      expect(JSON.stringify(publicError)).not.toContain('secret');
      expect(publicError.message).toContain('the-id');
    },
  );
});

describe('reporting an error', () => {
  test('logs it once with its ID, unless it belongs to normal operation', () => {
    const log = createLog();
    reportError(new BadRequest('Send less.'), log);
    expect(log.lines).toEqual([]);
    const error = new Error('unexpected');
    const { details } = reportError(error, log);
    reportError(new DatabaseUnavailable(error), log, 'request');
    expect(log.lines).toEqual([
      { fields: { err: error, errorId: details.errorId }, message: 'a request failed' },
      { fields: { err: expect.any(DatabaseUnavailable), errorId: 'request' }, message: 'a request failed' },
    ]);
  });
});

test('the sentence about an unexpected error stands once in src', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.ts$/.test(name),
  );
  const found = files.filter((name) => /whose log has the cause/.test(readFileSync(`src/${name}`, 'utf8')));
  expect(found).toEqual(['core/public-error.ts']);
});
