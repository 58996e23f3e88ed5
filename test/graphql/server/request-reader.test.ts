import { ApolloServer, HeaderMap } from '@apollo/server';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { buildSchema, type GraphQLResolveInfo } from 'graphql';
import { PersistedQueries } from '../../../src/graphql/server/apollo-caches.js';
import { type ReadRequest, RequestReader } from '../../../src/graphql/server/request-reader.js';
import { type Envelope, hostileEnvelopes, sha256Of } from '../../support/app/hostile-envelopes.js';

const SEED = Number(process.env['ENVELOPE_SEED'] ?? Date.now() % 1_000_000);
const RUNS = 1_000;
const DOCUMENTS = [
  'query One($n: Int) { pick(n: $n) }',
  'query Two($n: Int = 3) { pick(n: $n) }',
  'query Three { pick }',
];
/** The value of $n in each document if the variables have none. The last document does not declare it. */
const valueOfN = (query: string | undefined, variables: Record<string, unknown>) => {
  if (query === DOCUMENTS[2]) return undefined;
  if (Object.hasOwn(variables, 'n')) return variables['n'];
  return query === DOCUMENTS[1] ? 3 : undefined;
};

/** A document that was executed, with its variables. */
interface Execution {
  query: string | undefined;
  n: unknown;
}

let executions: Execution[] = [];
const persistedQueries = new PersistedQueries();
const reader = new RequestReader(persistedQueries, 3);
const server = new ApolloServer({
  schema: buildSchema('type Query { pick(n: Int): Int }'),
  rootValue: {
    pick: (_args: object, _context: object, { operation, variableValues }: GraphQLResolveInfo) => {
      executions.push({ query: operation.loc?.source.body, n: variableValues['n'] });
      return 1;
    },
  },
  allowBatchedHttpRequests: true,
  persistedQueries: { cache: persistedQueries },
});
beforeAll(async () => {
  await server.start();
  for (const query of DOCUMENTS) await persistedQueries.set(`apq:${sha256Of(query)}`, query);
});
afterAll(() => server.stop());

/** What the reader makes of a request. Null if it is refused. */
function read({ method, search, body }: Envelope): ReadRequest | null {
  try {
    return reader.read({ method, search, body: method === 'POST' ? (JSON.parse(body) as unknown) : {} });
  } catch (error) {
    expect(error).toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringMatching(/^[A-Z`].*\.$/s) as unknown,
    });
    return null;
  }
}

async function execute(method: string, { search, body }: ReadRequest): Promise<Execution[]> {
  executions = [];
  const headers = new HeaderMap([['content-type', 'application/json']]);
  await server.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method, headers, search, body },
    context: () => Promise.resolve({}),
  });
  return executions;
}

describe('reading a request', () => {
  test(`gives exactly the documents and variables that Apollo executes (ENVELOPE_SEED=${SEED})`, async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(hostileEnvelopes(DOCUMENTS, [{ n: 1 }, { n: 2 }]), async (envelope) => {
        const request = read(envelope);
        if (!request) return;
        const executed = await execute(envelope.method, request);
        accepted += executed.length;
        const checked = request.operations.map(({ query, variables = {} }) => ({
          query,
          n: valueOfN(query, variables),
        }));
        for (const one of executed) expect(checked).toContainEqual(one);
        expect(executed.length).toBeLessThanOrEqual(checked.length);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    expect(accepted).toBeGreaterThan(RUNS / 50);
  });

  test.each([
    ['two values of one parameter', '?query=%7Ba%7D&query=%7Bb%7D'],
    ['variables that are not JSON', '?query=%7Ba%7D&variables=%7B'],
    ['variables that are a list', '?query=%7Ba%7D&variables=%5B%5D'],
    ['no document', '?operationName=A'],
    ['an empty document', '?query='],
  ])('refuses %s in a query string', (_what, search) => {
    expect(read({ method: 'GET', search, body: '' })).toBeNull();
  });

  test('reads nothing from a request with another method', () => {
    const body = { query: DOCUMENTS[0] };
    expect(reader.read({ method: 'PUT', search: '?query=%7Ba%7D', body }).operations).toEqual([]);
  });

  test('refuses a list where one operation is allowed, without looking at its elements', () => {
    const single = new RequestReader(persistedQueries, 1);
    expect(() => single.read({ method: 'POST', search: '', body: [{ query: 1 }] })).toThrow(
      /list of operations/,
    );
  });
});
