import { type IncomingHttpHeaders } from 'node:http';
import { ApolloServer, HeaderMap } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { type GraphQLSchema } from 'graphql';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { type RateLimits, type RateLimitStatus } from '../../services/limits/rate-limits.js';
import { ComplexityCheck } from '../limits/complexity-check.js';
import { type Context, type ContextFactory } from './context.js';
import { createErrorFormatter } from './format-error.js';
import { type OperationCache, toGraphqlError } from './operation-cache.js';
import { PersistedQueries } from './persisted-queries.js';

/** An HTTP request with a parsed body, from an authenticated caller. */
export interface GraphqlRequest {
  method: string;
  headers: IncomingHttpHeaders;
  /** Query string with its question mark, or empty. */
  search: string;
  body: unknown;
  /** ID of the request in the log. */
  traceId: string;
}

export interface GraphqlResponse {
  status: number;
  headers: Iterable<[string, string]>;
  body: string;
  /** State of the caller's request limit. Null if it has none. */
  rateLimit: RateLimitStatus | null;
}

export interface GraphqlOverHttp {
  /** Never throws. The response reports every error. */
  execute: (request: GraphqlRequest, caller: Caller) => Promise<GraphqlResponse>;
  stop(): Promise<void>;
}

/** GraphQL over HTTP. Apollo's landing page from a CDN and its usage reports are off, so that no data leaves the server. */
export async function createGraphqlOverHttp(
  schema: GraphQLSchema,
  operations: OperationCache,
  makeContext: ContextFactory,
  rateLimits: RateLimits,
  maxOperationsPerRequest: number,
  log: Logger,
): Promise<GraphqlOverHttp> {
  const { introspection, limits } = operations.policy;
  const persistedQueries = new PersistedQueries();
  const complexityCheck = new ComplexityCheck(operations, persistedQueries, maxOperationsPerRequest);
  const server = new ApolloServer<Context>({
    schema,
    introspection,
    hideSchemaDetailsFromClientErrors: !introspection,
    allowBatchedHttpRequests: maxOperationsPerRequest > 1,
    parseOptions: { maxTokens: limits.tokens },
    // Documents were parsed and validated before Apollo sees them. It finds them by the hash of their text and does not parse again.
    documentStore: {
      get: (key) => Promise.resolve(operations.findByTextHash(key.slice(-64))),
      set: () => Promise.resolve(),
      delete: () => Promise.resolve(),
    },
    persistedQueries: { cache: persistedQueries },
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    formatError: createErrorFormatter(log),
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginCacheControlDisabled(),
    ],
    logger: log,
  });
  await server.start();

  const execute = async (request: GraphqlRequest, caller: Caller): Promise<GraphqlResponse> => {
    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(request.headers))
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    const { method, search, body, traceId } = request;
    const idempotencyKey = headers.get('idempotency-key');
    let rateLimit: RateLimitStatus | null = null;
    const response = await server.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { method, headers, search, body },
      // Apollo calls this after its CSRF check and before it reads the document.
      context: async () => {
        try {
          rateLimit = await rateLimits.countRequests(caller, complexityCheck.checkAndCount(request));
        } catch (error) {
          throw toGraphqlError(error);
        }
        return makeContext(caller, { rateLimit, idempotencyKey, traceId });
      },
    });
    if (response.body.kind !== 'complete') throw new Error('Incremental delivery is not supported.');
    const { status = 200, headers: responseHeaders } = response;
    return { status, headers: responseHeaders, body: response.body.string, rateLimit };
  };
  return { execute, stop: () => server.stop() };
}
