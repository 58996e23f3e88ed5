import { hash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { OperationCache } from '../../../src/graphql/server/operation-cache.js';

const schema = buildSchema('type Query { color: String }');
const limits = {
  ...{ tokens: 6_000, depth: 15, aliases: 2_000, directives: 30, rootFields: 2_000 },
  ...{ listSize: 1_000, cost: 10_000 },
};
const OWNER = { workspaceId: 'a workspace', endUserId: null };

/** A document with about 5,700 tokens. */
const large = (name: string) =>
  `query ${name} { ${Array.from({ length: 1_900 }, (_, n) => `c${n}: color`).join(' ')} }`;

// Enforces MAX_CACHED_TOKENS in src/graphql/server/operation-cache.ts.
test('documents that were used last are kept parsed, up to a number of tokens', async () => {
  const operations = new OperationCache(schema, { limits, introspection: true });
  const queries = ['a', 'b', 'c', 'd'].map(large);
  const prepare = (query: string) => operations.prepare({ query }, OWNER);
  const areKept = () =>
    queries.map((query) => operations.findByTextHash(hash('sha256', query)) !== undefined);
  for (const query of queries) await prepare(query);
  expect(areKept()).toEqual([true, true, true, true]);
  await prepare(large('a'));
  await prepare(large('e'));
  expect(areKept()).toEqual([true, false, true, true]);
});
