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
import { type RateLimits, type RateStanding } from '../../services/limits/rate-limits.js';
import { type Context, type ContextMaker } from './context.js';
import { formatError } from './format-error.js';
import { asGraphqlError, type Operations } from './operations.js';
import { PersistedQueries } from './persisted-queries.js';
import { RequestCheck } from '../limits/operation-check.js';

/** A request whose caller is known and whose body was parsed. */
export interface GraphqlRequest {
  method: string;
  headers: IncomingHttpHeaders;
  /** From the question mark on, or empty. */
  search: string;
  body: unknown;
  /** The request's id in our log. */
  traceId: string;
}

export interface GraphqlAnswer {
  status: number;
  headers: Iterable<[string, string]>;
  body: string;
  /** How the caller's limits stand; null where it has none. */
  rate: RateStanding | null;
}

export interface GraphqlOverHttp {
  /** Never throws: what goes wrong is in the answer. */
  answer: (request: GraphqlRequest, caller: Caller) => Promise<GraphqlAnswer>;
  stop(): Promise<void>;
}

/** GraphQL over HTTP. Sends nothing to anybody: no landing page from a CDN, no usage reports. */
export async function serveGraphqlOverHttp(
  schema: GraphQLSchema,
  operations: Operations,
  makeContext: ContextMaker,
  rateLimits: RateLimits,
  operationsPerRequest: number,
  log: Logger,
): Promise<GraphqlOverHttp> {
  const { introspection, limits } = operations.rules;
  const persistedQueries = new PersistedQueries();
  const check = new RequestCheck(operations, persistedQueries, operationsPerRequest);
  const server = new ApolloServer<Context>({
    schema,
    introspection,
    hideSchemaDetailsFromClientErrors: !introspection,
    allowBatchedHttpRequests: operationsPerRequest > 1,
    parseOptions: { maxTokens: limits.tokens },
    // Ours are checked before Apollo sees them: it finds them by the hash of their text, and never parses twice.
    documentStore: {
      get: (key) => Promise.resolve(operations.byTextHash(key.slice(-64))),
      set: () => Promise.resolve(),
      delete: () => Promise.resolve(),
    },
    persistedQueries: { cache: persistedQueries },
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    formatError: formatError(log),
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginCacheControlDisabled(),
    ],
    logger: log,
  });
  await server.start();

  const answer = async (request: GraphqlRequest, caller: Caller): Promise<GraphqlAnswer> => {
    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(request.headers))
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    const { method, search, body, traceId } = request;
    const idempotencyKey = headers.get('idempotency-key');
    let rate: RateStanding | null = null;
    const response = await server.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { method, headers, search, body },
      // After Apollo's guard against forged requests, and before it looks at the document.
      context: async () => {
        try {
          rate = await rateLimits.admitRequests(caller, check.check(request));
        } catch (error) {
          throw asGraphqlError(error);
        }
        return makeContext(caller, { rate, idempotencyKey, traceId });
      },
    });
    if (response.body.kind !== 'complete') throw new Error('There is no incremental delivery here.');
    const { status = 200, headers: answered } = response;
    return { status, headers: answered, body: response.body.string, rate };
  };
  return { answer, stop: () => server.stop() };
}
