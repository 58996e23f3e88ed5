import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { expressMiddleware } from '@as-integrations/express5';
import { type RequestHandler } from 'express';
import { type GraphQLSchema } from 'graphql';
import { type Logger } from 'pino';
import { type Caller } from '../core/caller.js';
import { type Context, type ContextMaker } from './context.js';
import { formatError } from './format-error.js';

export interface GraphqlOverHttp {
  /** Answers a request whose JSON body was parsed and whose caller is in `res.locals.caller`. */
  handler: RequestHandler;
  stop(): Promise<void>;
}

/** GraphQL over HTTP. Sends nothing to anybody: no landing page from a CDN, no usage reports. */
export async function serveGraphqlOverHttp(
  schema: GraphQLSchema,
  makeContext: ContextMaker,
  log: Logger,
): Promise<GraphqlOverHttp> {
  const server = new ApolloServer<Context>({
    schema,
    introspection: true,
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
  const handler = expressMiddleware(server, {
    context: ({ req, res }) => {
      const request = {
        idempotencyKey: req.get('idempotency-key'),
        traceId: String(res.get('x-request-id')),
      };
      return Promise.resolve(makeContext(res.locals.caller as Caller, request));
    },
  });
  return { handler, stop: () => server.stop() };
}
