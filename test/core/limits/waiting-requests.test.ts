import { describe, expect, test } from '@jest/globals';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { type WorkOwner } from '../../../src/core/limits/work-owner.js';
import { QueryTooComplex, RateLimited } from '../../../src/core/errors.js';
import { Introspection } from '../../../src/graphql/server/introspection.js';
import { OperationCache } from '../../../src/graphql/server/operation-cache.js';

const schema = buildSchema('type Query { color: String }');
const limits = {
  ...{ tokens: 6_000, depth: 15, aliases: 2_000, directives: 30, rootFields: 2_000 },
  ...{ listSize: 1_000, cost: 10_000 },
};
const OWNER = ownerOf('a workspace');
/** More than an end user's requests may take that wait, but for one. */
const LARGE_BYTES = 11 * 1024 * 1024;
const LIST_THAT_IS_TOO_LONG = { n: Array<number>(1_001).fill(0) };

/** Parsing it takes some milliseconds, after which all others rest. */
const slow = (name: string) =>
  `query ${name} { ${Array.from({ length: 1_900 }, (_, n) => `c${n}: color`).join(' ')} }`;
const quick = (n: number) => `query q${n} { color }`;

function ownerOf(workspaceId: string, endUserId: string | null = null): WorkOwner {
  return { workspaceId, endUserId };
}

function countRefused(outcomes: readonly PromiseSettledResult<unknown>[]): number {
  const refused = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  for (const reason of refused) expect(reason).toBeInstanceOf(RateLimited);
  return refused.length;
}

/** A cache that has just parsed for a while, so that what follows waits. */
function busyCache(query = slow('first')): OperationCache {
  const operations = new OperationCache(schema, { limits, introspection: true });
  void operations.prepare({ query }, ownerOf('another workspace'));
  return operations;
}

describe('requests that wait', () => {
  test('for their turn take a bounded part of memory, and small ones do not count', async () => {
    const operations = busyCache();
    const prepare = (n: number, bytes: number) => operations.prepare({ query: quick(n) }, OWNER, bytes);
    const large = Array.from({ length: 10 }, (_, n) => prepare(n, LARGE_BYTES));
    const small = [101, 102].map((n) => prepare(n, 1_000));
    expect(countRefused(await Promise.allSettled(large))).toBe(9);
    expect(countRefused(await Promise.allSettled(small))).toBe(0);
  });

  // Enforces MAX_WAITING_BYTES_PER_END_USER in src/core/limits/waiting-requests.ts.
  test('of an end user leave room for others of its workspace', async () => {
    const operations = busyCache();
    const prepare = (n: number, endUserId: string | null) =>
      operations.prepare({ query: quick(n) }, ownerOf('a workspace', endUserId), 3_000_000);
    const hostile = Array.from({ length: 10 }, (_, n) => prepare(n, 'hostile'));
    const others = [prepare(101, 'honest'), prepare(102, null)];
    expect(countRefused(await Promise.allSettled(hostile))).toBe(9);
    expect(countRefused(await Promise.allSettled(others))).toBe(0);
  });

  // Enforces MAX_WAITING_BYTES_PER_WORKSPACE in src/core/limits/waiting-requests.ts.
  test('of many end users of a workspace leave room for other workspaces', async () => {
    const operations = busyCache();
    const prepare = (n: number, owner: WorkOwner) =>
      operations.prepare({ query: quick(n) }, owner, LARGE_BYTES);
    const hostile = Array.from({ length: 10 }, (_, n) => prepare(n, ownerOf('hostile', `user ${n}`)));
    const others = [101, 102, 103].map((n) => prepare(n, ownerOf(`workspace ${n}`)));
    expect(countRefused(await Promise.allSettled(hostile))).toBe(7);
    expect(countRefused(await Promise.allSettled(others))).toBe(0);
  });

  test('for an equal one leave room for those of other workspaces', async () => {
    const operations = busyCache();
    const prepare = (workspaceId: string) => operations.prepare({ query: quick(1) }, ownerOf(workspaceId), 0);
    const hostile = Array.from({ length: 65 }, () => prepare('hostile'));
    // Those that do not wait for an equal one take a place in the line, which has 16.
    const others = Array.from({ length: 30 }, () => prepare('honest'));
    expect(countRefused(await Promise.allSettled([...hostile, ...others]))).toBe(0);
  });

  // Enforces MAX_WAITING_BYTES in src/core/limits/waiting-requests.ts.
  test('of many workspaces take a bounded part of memory', async () => {
    const operations = busyCache();
    const large = Array.from({ length: 10 }, (_, n) =>
      operations.prepare({ query: quick(n) }, ownerOf(`workspace ${n}`), LARGE_BYTES),
    );
    expect(countRefused(await Promise.allSettled(large))).toBe(2);
  });

  test('for an equal one take a bounded part of memory', async () => {
    const operations = busyCache();
    const large = Array.from({ length: 10 }, () =>
      operations.prepare({ query: quick(0) }, OWNER, LARGE_BYTES),
    );
    expect(countRefused(await Promise.allSettled(large))).toBe(9);
  });

  test('and introspect take a bounded part of memory', async () => {
    const introspection = new Introspection(schema, (error) => error);
    const query = '{ color __schema { queryType { name } } }';
    const document = parse(query);
    const operation = getOperationAST(document) ?? undefined;
    const large = Array.from({ length: 4 }, () =>
      introspection.resultOf({ document, operation, query, requestBytes: LARGE_BYTES }, OWNER),
    );
    expect(countRefused(await Promise.allSettled(large))).toBe(3);
  });

  test('count all that their variables take when they are parsed', () => {
    const lists = Array.from({ length: 1_000 }, () => Array.from({ length: 340 }, () => ({})));
    // A megabyte of JSON.
    expect(busyCache().measure([{ query: quick(0) }, { variables: { lists } }])).toBeGreaterThan(22_000_000);
  });

  test('are none whose variables are over a limit', async () => {
    const operations = busyCache();
    const ends: string[] = [];
    const waiting = operations.prepare({ query: quick(1) }, OWNER).then(() => ends.push('waited'));
    const refused = operations.prepare({ query: quick(2), variables: LIST_THAT_IS_TOO_LONG }, OWNER);
    await expect(refused.finally(() => ends.push('refused'))).rejects.toBeInstanceOf(QueryTooComplex);
    await waiting;
    expect(ends).toEqual(['refused', 'waited']);
  });

  test('are refused only while others wait', async () => {
    const operations = busyCache();
    for (let n = 0; n < 3; n += 1) {
      const prepared = await operations.prepare({ query: quick(n) }, OWNER, 2 * LARGE_BYTES);
      expect(prepared).not.toHaveProperty('errors');
    }
  });
});
