import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ApolloServer, type ApolloServerOptionsWithSchema, HeaderMap } from '@apollo/server';
import { describe, expect, test } from '@jest/globals';
import {
  buildSchema,
  type DocumentNode,
  execute,
  GraphQLError,
  type GraphQLFormattedError,
  parse,
  validate,
} from 'graphql';
import { createDocumentStore, PersistedQueries } from '../../src/graphql/server/apollo-caches.js';
import { isArgumentError } from '../../src/graphql/server/format-error.js';
import { OperationCache } from '../../src/graphql/server/operation-cache.js';

/**
 * Darkroom relies on these undocumented details of two libraries. After an update, a failure says which detail changed
 * and which file of src to adapt.
 */
const APOLLO_VERSION = '5.5.1';
const GRAPHQL_VERSION = '16.15.0';

const versionOf = (name: string) =>
  (JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')) as { version: string }).version;
const schema = buildSchema('type Query { color: String, shape: String, named(id: ID!): String }');
const limits = { tokens: 20, depth: 9, aliases: 9, directives: 9, rootFields: 9, listSize: 9, cost: 99 };
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');

/** Fails with a sentence that names the library, the detail and the file. */
function check(library: string, detail: string, isTrue: boolean): void {
  if (isTrue) return;
  throw new Error(`${library} ${versionOf(library)} differs: ${detail}`);
}

/** Sends a request to a server of its own, and waits until it has done everything. */
async function executeOverHttp(
  options: Partial<ApolloServerOptionsWithSchema<object>>,
  body: object,
  context = () => Promise.resolve({}),
) {
  const server = new ApolloServer({ schema, rootValue: { color: 'red', shape: 'round' }, ...options });
  await server.start();
  const headers = new HeaderMap([['content-type', 'application/json']]);
  const httpGraphQLRequest = { method: 'POST', headers, search: '', body };
  const response = await server.executeHTTPGraphQLRequest({ httpGraphQLRequest, context });
  await server.stop();
  return { ...response, text: response.body.kind === 'complete' ? response.body.string : '' };
}

test('the details were checked with the installed versions', () => {
  expect([versionOf('@apollo/server'), versionOf('graphql')]).toEqual([APOLLO_VERSION, GRAPHQL_VERSION]);
});

const OWNER = { workspaceId: 'a workspace', endUserId: null };

describe('@apollo/server', () => {
  test('looks documents up by a key that ends with the SHA-256 of the text, and does not parse what it finds', async () => {
    const keys: string[] = [];
    const other = parse('{ shape }');
    const documentStore = createDocumentStore({
      findByTextHash: (hash: string): DocumentNode => {
        keys.push(hash);
        return other;
      },
    });
    const { text } = await executeOverHttp({ documentStore }, { query: '{ color }' });
    check(
      '@apollo/server',
      'the key of a document does not end with the hash of its text. Adapt graphql/server/apollo-caches.ts.',
      keys.at(-1) === hashOf('{ color }'),
    );
    check(
      '@apollo/server',
      'it parses documents that the document store returned. Adapt graphql/server/apollo.ts.',
      text.includes('"shape":"round"'),
    );
  });

  test('stores persisted queries under the prefix that Darkroom looks them up with, and asks the cache for others', async () => {
    const cache = new PersistedQueries();
    const query = '{ color }';
    const extensions = { persistedQuery: { version: 1, sha256Hash: hashOf(query) } };
    await executeOverHttp({ persistedQueries: { cache } }, { query, extensions });
    check(
      '@apollo/server',
      'persisted queries have another key, so that they are never found. Adapt graphql/server/apollo-caches.ts.',
      cache.findText(hashOf(query)) === query,
    );
    const { text } = await executeOverHttp({ persistedQueries: { cache } }, { extensions });
    check(
      '@apollo/server',
      'it runs persisted queries without the cache, so that their cost is not checked. Adapt graphql/server/apollo-caches.ts.',
      text.includes('PERSISTED_QUERY_NOT_FOUND'),
    );
  });

  test('takes the status and the headers of an error from its extensions, and hands the original error to formatError', async () => {
    const originalError = new Error('original');
    const errors: unknown[] = [];
    const formatError = (formatted: GraphQLFormattedError, error: unknown) => {
      errors.push(error);
      return formatted;
    };
    const http = { status: 418, headers: new Map([['retry-after', '7']]) };
    const rejected = new GraphQLError('wrapped', { originalError, extensions: { code: 'TEAPOT', http } });
    const response = await executeOverHttp({ formatError }, { query: '{ color }' }, () =>
      Promise.reject(rejected),
    );
    const [error] = errors as GraphQLError[];
    check(
      '@apollo/server',
      'an error that rejects the request loses its status, headers or cause. Adapt graphql/server/apollo.ts.',
      response.status === 418 &&
        response.headers.get('retry-after') === '7' &&
        error?.originalError === originalError,
    );
  });
});

describe('graphql', () => {
  test('says in a message that a document has too many tokens', async () => {
    const operations = new OperationCache(schema, { limits, introspection: true });
    const code = await operations
      .prepare({ query: `{ ${'color '.repeat(30)} }` }, OWNER)
      .catch((error: unknown) => (error as { code?: unknown }).code);
    check(
      'graphql',
      'the error about the token limit has another message. Adapt TOKEN_LIMIT_MESSAGE in graphql/server/operation-cache.ts.',
      code === 'QUERY_TOO_COMPLEX',
    );
  });

  test('suggests names of the schema in the way that Darkroom removes when introspection is off', async () => {
    const query = '{ colr }';
    expect(validate(schema, parse(query))[0]?.message).toContain('color');
    const operations = new OperationCache(schema, { limits, introspection: false });
    const result = await operations.prepare({ query }, OWNER);
    const text = JSON.stringify('errors' in result ? result.errors : result);
    check(
      'graphql',
      'suggestions are worded differently and reveal the schema. Adapt SUGGESTIONS in graphql/server/operation-cache.ts.',
      text.includes('colr') && !text.includes('color'),
    );
  });

  test('begins what it says of an argument in the way by which Darkroom knows it', async () => {
    const document = parse('query ($id: ID = "x") { named(id: $id) }');
    const { errors = [] } = await execute({ schema, document, variableValues: { id: null } });
    check(
      'graphql',
      'errors about the value of an argument are reported in another way. Adapt isArgumentError in graphql/server/format-error.ts.',
      errors.length === 1 && errors.every(isArgumentError),
    );
  });
});
