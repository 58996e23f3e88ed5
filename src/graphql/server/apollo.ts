import { type IncomingHttpHeaders } from 'node:http';
import { ApolloServer, HeaderMap } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { GraphQLError, type GraphQLSchema } from 'graphql';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { toPublicError } from '../../core/public-error.js';
import { type RateLimits, type RateLimitStatus } from '../../services/limits/rate-limits.js';
import { checkComplexity } from '../limits/complexity-check.js';
import { type Context, type ContextFactory } from './context.js';
import { createErrorFormatter } from './format-error.js';
import { createDocumentStore, PersistedQueries } from './apollo-caches.js';
import { type Introspection, introspectionPlugin, serializeResult } from './introspection.js';
import { type OperationCache } from './operation-cache.js';
import { type ReadRequest, RequestReader } from './request-reader.js';

/** An HTTP request from an authenticated caller. */
interface GraphqlRequest {
  method: string;
  headers: IncomingHttpHeaders;
  /** The header `Idempotency-Key`. */
  idempotencyKey: string | undefined;
  /** Query string with its question mark, or empty. */
  search: string;
  /** Waits for the body, and returns it parsed. */
  readBody: () => Promise<unknown>;
  /** Returns the caller when the request is about to run. Throws Unauthenticated. */
  authenticateAgain: () => Caller | Promise<Caller>;
  /** ID of the request in the log. */
  traceId: string;
  makeLeftSignal: Context['makeLeftSignal'];
}

interface GraphqlResponse {
  status: number;
  headers: Iterable<[string, string]>;
  body: string;
  /** State of the caller's request limit. Null if it has none. */
  rateLimit: RateLimitStatus | null;
}

interface CountedRequest {
  rateLimit: RateLimitStatus | null;
  /** Or why nothing of it runs. */
  read: ReadRequest | { error: unknown };
}

export interface GraphqlOverHttpServices {
  schema: GraphQLSchema;
  operations: OperationCache;
  introspection: Introspection;
  createContext: ContextFactory;
  rateLimits: RateLimits;
  maxOperationsPerRequest: number;
  log: Logger;
}

/** GraphQL over HTTP. Apollo's landing page from a CDN and its usage reports are off, so that no data leaves the server. */
export async function createGraphqlOverHttp(services: GraphqlOverHttpServices) {
  const { schema, operations, createContext, rateLimits, maxOperationsPerRequest, log } = services;
  const { introspection, limits } = operations.policy;
  const persistedQueries = new PersistedQueries();
  const reader = new RequestReader(persistedQueries, maxOperationsPerRequest);
  const server = new ApolloServer<Context>({
    schema,
    introspection,
    hideSchemaDetailsFromClientErrors: !introspection,
    allowBatchedHttpRequests: maxOperationsPerRequest > 1,
    parseOptions: { maxTokens: limits.tokens },
    documentStore: createDocumentStore(operations),
    persistedQueries: { cache: persistedQueries },
    stringifyResult: (result) => `${serializeResult(result)}\n`,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    formatError: createErrorFormatter(log),
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginCacheControlDisabled(),
      introspectionPlugin(services.introspection),
    ],
    logger: log,
  });
  await server.start();

  /**
   * Counts a request before its body is read, because reading takes time, and keeps nothing but what was read: a body of a
   * megabyte can take twenty when it is parsed. Returns what the reader and the limit refuse, because Apollo answers it after its
   * CSRF check.
   */
  const countAndRead = async (
    { method, search, readBody }: GraphqlRequest,
    caller: Caller,
  ): Promise<CountedRequest> => {
    let rateLimit: RateLimitStatus | null = null;
    try {
      rateLimit = await rateLimits.countRequests(caller, 1);
    } catch (error) {
      return { rateLimit, read: { error } };
    }
    const body = await readBody();
    try {
      const read = reader.read({ method, search, body });
      const count = read.operations.length;
      if (count > 1) rateLimit = await rateLimits.countRequests(caller, count, { counted: 1 });
      return { rateLimit, read };
    } catch (error) {
      return { rateLimit, read: { error } };
    }
  };

  /** Throws what `readBody` throws. The response reports every other error. */
  const execute = async (request: GraphqlRequest, caller: Caller): Promise<GraphqlResponse> => {
    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(request.headers))
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    const { rateLimit, read } = await countAndRead(request, caller);
    const { search, body } = 'error' in read ? NOTHING_TO_RUN : read;
    let requestBytes = 0;
    const response = await server.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { method: request.method, headers, search, body },
      // Apollo calls this after its CSRF check and before it parses a document.
      context: async () => {
        const { idempotencyKey, authenticateAgain, traceId, makeLeftSignal } = request;
        let callerNow = caller;
        try {
          if ('error' in read) throw read.error;
          requestBytes = operations.measure(read.operations);
          await checkComplexity(operations, read.operations, { caller, requestBytes });
          callerNow = await authenticateAgain();
        } catch (error) {
          throw toGraphqlError(error);
        }
        return createContext(callerNow, { rateLimit, requestBytes, idempotencyKey, traceId, makeLeftSignal });
      },
    });
    if (response.body.kind !== 'complete') throw new Error('Incremental delivery is not supported.');
    const { status = 200, headers: responseHeaders } = response;
    return { status, headers: responseHeaders, body: response.body.string, rateLimit };
  };
  return { execute, stop: () => server.stop() };
}

/** For a request that was refused. Apollo rejects it with the error, after its CSRF check. */
const NOTHING_TO_RUN = { search: '', body: undefined };

/**
 * Wraps an error that rejects the whole request. Apollo takes the status and the headers from it, and hands it to
 * `formatError`.
 */
function toGraphqlError(error: unknown): GraphQLError {
  const { message, code, status, headers } = toPublicError(error);
  const http = { status, headers: new Map(Object.entries(headers)) };
  const originalError = error instanceof Error ? error : undefined;
  return new GraphQLError(message, { originalError, extensions: { code, http } });
}
