import { describe, expect, test } from '@jest/globals';
import { buildSchema, execute, getOperationAST, parse } from 'graphql';
import { RateLimited } from '../../../src/core/errors.js';
import { Introspection, serializeResult } from '../../../src/graphql/server/introspection.js';
import { INTROSPECTION_QUERY } from '../../support/app/hostile-documents.js';
import { waitFor } from '../../support/wait-for.js';

const schema = buildSchema('type Query { color: String, shape(size: Int): String }');
/** Operations with other fields that fit into the burst. The next one waits for two seconds. */
const MIXED_IN_BURST = 9;
const PAUSE_MS = 2_000;
const MAX_WAITING = 4;
const WORKSPACE = 'a workspace';
const MIXED = '{ color __schema { queryType { name } } }';

function request(query: string, variables: Record<string, unknown> = {}) {
  const document = parse(query);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('The document has no operation.');
  return { document, operation, query, variables };
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
    const introspection = new Introspection(schema);
    const asked = request(query, variables);
    const expected = execute({ schema, document: asked.document, variableValues: variables });
    const result = await introspection.resultOf(asked, WORKSPACE);
    expect(JSON.parse(serializeResult(result ?? {}))).toEqual(JSON.parse(JSON.stringify(expected)));
    expect((await introspection.resultOf(request(query, variables), WORKSPACE))?.data).toBe(result?.data);
  });

  test('is computed for each document and for all of its variables', async () => {
    const introspection = new Introspection(schema);
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
    expect(await new Introspection(schema).resultOf(request(query, variables), WORKSPACE)).toBeNull();
  });

  test('does not answer a request whose operation does not exist', async () => {
    const asked = { ...request(INTROSPECTION_QUERY), operation: undefined };
    expect(await new Introspection(schema).resultOf(asked, WORKSPACE)).toBeNull();
  });

  test('leaves most of the time to others', async () => {
    const introspection = new Introspection(schema);
    const start = performance.now();
    const ask = () => introspection.resultOf(request(MIXED), WORKSPACE);
    await Promise.all(Array.from({ length: MIXED_IN_BURST }, ask));
    const late = ask();
    await introspection.resultOf(request('{ color }'), WORKSPACE);
    expect(performance.now() - start).toBeLessThan(PAUSE_MS);
    await late;
    expect(performance.now() - start).toBeGreaterThanOrEqual(PAUSE_MS - 5);
  });

  test('is computed once for requests of a workspace that wait at the same time', async () => {
    const introspection = new Introspection(schema);
    for (let n = 0; n < MIXED_IN_BURST; n += 1) await introspection.resultOf(request(MIXED), WORKSPACE);
    const asked = Array.from({ length: 10 * MAX_WAITING }, () =>
      introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE),
    );
    const [first, ...others] = await Promise.all(asked);
    expect(first?.data).toBeTruthy();
    for (const { data } of others.map((result) => result ?? {})) expect(data).toBe(first?.data);
  });

  test('is refused when too many wait, unless the result is known', async () => {
    const introspection = new Introspection(schema);
    await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE);
    const outcomes: unknown[] = [];
    for (let n = 0; n < 100; n += 1)
      introspection.resultOf(request(MIXED), WORKSPACE).catch((error: unknown) => outcomes.push(error));
    expect(await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE)).not.toBeNull();
    await waitFor('the others to be refused', () => outcomes.length >= 99 - MIXED_IN_BURST - MAX_WAITING);
    expect(outcomes.every((error) => error instanceof RateLimited)).toBe(true);
  });

  test('of one workspace is answered while another one sends much more than may wait', async () => {
    const introspection = new Introspection(schema);
    let refused = 0;
    for (let n = 0; n < 100; n += 1)
      introspection.resultOf(request(MIXED), 'hostile').catch(() => (refused += 1));
    expect(await introspection.resultOf(request(INTROSPECTION_QUERY), WORKSPACE)).not.toBeNull();
    expect(refused).toBeGreaterThanOrEqual(80);
  });
});
