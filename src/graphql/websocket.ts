import { type IncomingMessage } from 'node:http';
import { type Duplex } from 'node:stream';
import { type DocumentNode, GraphQLError, type GraphQLSchema, parse, validate } from 'graphql';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import { type Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { type Caller } from '../core/caller.js';
import { Unauthenticated } from '../core/errors.js';
import { type Access } from '../services/access.js';
import { type ContextMaker } from './context.js';
import { formatError } from './format-error.js';

/** A message holds a document and its variables; the same limit for every message of a client. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** RFC 6455: the endpoint is going away. */
const GOING_AWAY = 1001;
/** IANA's registry of close codes; graphql-ws clients connect again after it, as they do not after 4500. */
const TRY_AGAIN_LATER = 1013;
/** Sockets that have not answered our close by then are cut. */
const CLOSE_GRACE_MS = 2_000;

type ConnectionExtra = Extra & { caller?: Caller } & Record<PropertyKey, unknown>;

export interface GraphqlOverWebSocket {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Tells every client that this instance is going away; they connect to another. */
  stop(): Promise<void>;
}

/** GraphQL over WebSocket: the protocol graphql-transport-ws. The key comes in connection_init as `authorization`. */
export function serveGraphqlOverWebSocket(
  schema: GraphQLSchema,
  makeContext: ContextMaker,
  access: Access,
  log: Logger,
): GraphqlOverWebSocket {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  const format = formatError(log);
  const formatAll = (errors: readonly GraphQLError[]) => errors.map((error) => format(error.toJSON(), error));
  const graphql = useServer<Record<string, unknown> | undefined, ConnectionExtra>(
    {
      schema,
      onConnect: async ({ connectionParams, extra }) => {
        try {
          extra.caller = await access.authenticate(
            connectionParams?.authorization ?? connectionParams?.Authorization,
          );
          return true;
        } catch (error) {
          if (error instanceof Unauthenticated) return false;
          log.warn({ err: error }, 'a WebSocket connection could not be authenticated');
          extra.socket.close(TRY_AGAIN_LATER, 'Try again later');
          return false;
        }
      },
      onSubscribe: ({ extra }, _id, { query, operationName, variables }) => {
        const parsed = parseAndValidate(schema, query);
        if ('errors' in parsed) return parsed.errors;
        const contextValue = makeContext(extra.caller as Caller);
        return { schema, ...parsed, operationName, variableValues: variables, contextValue };
      },
      onError: (_context, _id, _payload, errors) => formatAll(errors),
      onNext: (_context, _id, _payload, _args, result) =>
        result.errors ? { ...result, errors: formatAll(result.errors) } : result,
    },
    server,
  );
  server.on('error', (error) => log.warn({ err: error }, 'the WebSocket server had an error'));
  return {
    upgrade: (request, socket, head) =>
      server.handleUpgrade(request, socket, head, (client) => server.emit('connection', client, request)),
    stop: async () => {
      for (const client of server.clients) client.close(GOING_AWAY, 'Going away');
      const cut = setTimeout(() => server.clients.forEach((client) => client.terminate()), CLOSE_GRACE_MS);
      await graphql.dispose();
      clearTimeout(cut);
    },
  };
}

/** A document that is wrong ends its own operation, with the codes that HTTP gives, and not the whole connection. */
function parseAndValidate(
  schema: GraphQLSchema,
  query: string,
): { document: DocumentNode } | { errors: readonly GraphQLError[] } {
  try {
    const document = parse(query);
    const errors = validate(schema, document);
    return errors.length > 0 ? { errors: withCode(errors, 'GRAPHQL_VALIDATION_FAILED') } : { document };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { errors: withCode([error], 'GRAPHQL_PARSE_FAILED') };
  }
}

function withCode(errors: readonly GraphQLError[], code: string): GraphQLError[] {
  return errors.map(({ message, nodes, source, positions }) => {
    return new GraphQLError(message, { nodes, source, positions, extensions: { code } });
  });
}
