import { describe, expect, test } from '@jest/globals';
import { buildSchema, execute, getOperationAST, parse } from 'graphql';
import { type WorkOwner } from '../../../src/core/limits/work-owner.js';
import { RateLimited } from '../../../src/core/errors.js';
import { type FormatError } from '../../../src/graphql/server/format-error.js';
import { Introspection, serializeResult } from '../../../src/graphql/server/introspection.js';
import { INTROSPECTION_QUERY } from '../../support/app/hostile-documents.js';
import { waitFor } from '../../support/wait-for.js';

const schema = buildSchema('type Query { color: String, shape(size: Int): String }');
/** The time that is assumed for an operation with other fields, divided by the part of the loop that it may take. */
const PAUSE_MS = 300;
const WORKSPACE = ownerOf('a workspace');
const HOSTILE = ownerOf('hostile');
/** Valid, and with an error when it is executed. */
const FAILING =
  'query ($x: Boolean = true) { __schema { types { name } mutationType { name @include(if: $x) } queryType { name @include(if: $x) } } }';
const MIXED = '{ color __schema { queryType { name } } }';

const different = (n: number) => `{ a${n}: __schema { types { name fields { name } } } }`;

/** Sends queries that differ until some are refused, because the burst is used up. */
async function useUpBurst(introspection: Introspection, owner: WorkOwner): Promise<void> {
  for (let n = 1_000; ; n += 20) {
    const queries = Array.from({ length: 20 }, (_, index) => request(different(n + index)));
    const results = await Promise.allSettled(queries.map((query) => introspection.resultOf(query, owner)));
    if (results.some(({ status }) => status === 'rejected')) return;
  }
}

function ownerOf(workspaceId: string): WorkOwner {
  return { workspaceId, endUserId: null };
}

const formatError: FormatError = (error) => ({ ...error, message: 'formatted' });

function request(query: string, variables: Record<string, unknown> = {}) {
  const document = parse(query);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('The document has no operation.');
  return { document, operation, query, variables, requestBytes: 0 };
}

describe('introspection', () => {
  test.each([
    ['of the whole schema', INTROSPECTION_QUERY, {}],
    ['of a type', '{ __type(name: "Query") { name fields { name } } }', {}],
    [
      'in a fragment',
      '{ ... { __typename ...f } } fragment f on Query { a: __schema { types { name } } }',
      {},
    ],
    [
      'that depends on variables',
      'query ($a: String!, $b: Boolean!) { __type(name: $a) { name fields @skip(if: $b) { name } } }',
      { a: 'Query', b: false },
    ],
  ])('%s gets the result of graphql-js, and is computed once', async (_what, query, variables) => {
    const introspection = new Introspection(schema, formatError);
    const asked = request(query, variables);
    const expected = execute({ schema, document: asked.document, variableValues: variables });
    const result = await introspection.resultOf(asked, WORKSPACE);
    expect(JSON.parse(serializeResult(result ?? {}))).toEqual(JSON.parse(JSON.stringify(expected)));
    expect((await introspection.resultOf(request(query, variables), WORKSPACE))?.data).toBe(result?.data);
  });

  test('is computed for each document and for all of its variables', async () => {
    const introspection = new Introspection(schema, formatError);
    const query = 'query ($a: String!) { __type(name: $a) { name } }';
    const textOf = async (name: string) =>
      serializeResult((await introspection.resultOf(request(query, { a: name }), WORKSPACE)) ?? {});
    expect(await textOf('Query')).toBe('{"data":{"__type":{"name":"Query"}}}');
    expect(await textOf('Nothing')).toBe('{"data":{"__type":null}}');
  });

  test.each([
    ['other fields', '{ color }', {}],
    ['the type name alone', '{ __typename }', {}],
    ['variables that are invalid', 'query ($a: String!) { __type(name: $a) { name } }', {}],
    ['other fields beside it', MIXED, {}],
  ])('does not answer an operation with %s', async (_what, query, variables) => {
    expect(
      await new Introspection(schema, formatError).resultOf(request(query, variables), WORKSPACE),
    ).toBeNull();
  });

  test('answers with the errors of fields, so that nothing is executed again', async () => {
    const introspection = new Introspection(schema, formatError);
    const query = 'query ($n: String = "x") { __schema { queryType { name } } __type(name: $n) { name } }';
    expect(await introspection.resultOf(request(query, { n: null }), WORKSPACE)).toMatchObject({
      data: { __schema: { queryType: { name: 'Query' } }, __type: null },
      errors: [{ message: 'formatted', path: ['__type'] }],
    });
    // The error takes the place of all data.
    expect(await introspection.resultOf(request(FAILING, { x: null }), WORKSPACE)).toMatchObject({
      data: null,
      errors: [{ message: 'formatted' }],
    });
  });

  test('does not answer a request whose operation does not exist', async () => {
    const asked = { ...request(INTROSPECTION_QUERY), operation: undefined };
    expect(await new Introspection(schema, formatError).resultOf(asked, WORKSPACE)).toBeNull();
  });

  test('leaves most of the time to others', async () => {
    const introspection = new Introspection(schema, formatError);
    const start = performance.now();
    await Promise.all([1, 2, 3].map(() => introspection.resultOf(request(MIXED), WORKSPACE)));
    expect(performance.now() - start).toBeGreaterThanOrEqual(2 * PAUSE_MS - 5);
  });

  test('does not count for another operation of the same document', async () => {
    const document = parse('query Plain { color } query Schema { __schema { queryType { name } } }');
    const operation = getOperationAST(document, 'Plain');
    const asked = {
      ...{ document, operation: operation ?? undefined, query: 'both' },
      ...{ operationName: 'Plain', requestBytes: 0 },
    };
    const introspection = new Introspection(schema, formatError);
    const start = performance.now();
    for (let n = 0; n < 20; n += 1) expect(await introspection.resultOf(asked, WORKSPACE)).toBeNull();
    expect(performance.now() - start).toBeLessThan(PAUSE_MS);
  });

  test('is computed once for equal requests at the same time, beyond what may wait', async () => {
    const introspection = new Introspection(schema, formatError);
    await useUpBurst(introspection, WORKSPACE);
    const asked = Array.from({ length: 30 }, () =>
      introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE),
    );
    const [first, ...others] = await Promise.all(asked);
    expect(first?.data).toBeTruthy();
    for (const result of others) expect(result?.data).toBe(first?.data);
  });

  // Enforces MAX_WAITING in src/graphql/server/introspection.ts.
  test('is refused when too many wait, also if equal ones have no result, unless it is known', async () => {
    const introspection = new Introspection(schema, formatError);
    await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE);
    await useUpBurst(introspection, WORKSPACE);
    const outcomes: unknown[] = [];
    for (let n = 0; n < 50; n += 1)
      introspection
        .resultOf(request(FAILING, { x: null }), WORKSPACE)
        .catch((error: unknown) => outcomes.push(error));
    expect(await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE)).not.toBeNull();
    await waitFor('the others to be refused', () => outcomes.length >= 40);
    expect(outcomes.every((error) => error instanceof RateLimited)).toBe(true);
  });

  test('of one workspace is answered while another one sends much more than may wait', async () => {
    const introspection = new Introspection(schema, formatError);
    await useUpBurst(introspection, HOSTILE);
    let refused = 0;
    for (let n = 0; n < 50; n += 1)
      introspection.resultOf(request(different(n)), HOSTILE).catch(() => (refused += 1));
    expect(await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE)).not.toBeNull();
    await waitFor('the others to be refused', () => refused >= 40);
  });
});
