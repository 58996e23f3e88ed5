import { type IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { type GetClientAddress } from '../../core/access/client-address.js';
import { isOriginAllowed, type OriginRule } from '../../core/access/origins.js';
import { acceptedBytesOf } from '../../core/events/accepted-bytes.js';
import { KEEP_ALIVE_MS } from '../../core/events/event-sink.js';
import { type EventSubscriptions } from '../../services/events/event-subscriptions.js';
import { boundBytesBeforeInit } from './bytes-before-init.js';
import { CLOSE_FRAMES } from './close-frames.js';
import { UnfinishedMessages } from './unfinished-messages.js';
import { WebSocketSession, type WebSocketServices } from './websocket-session.js';

/** Limit for each message of a client. The largest ones hold a document and its variables. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/**
 * Pieces of a message, in the protocol and as they arrive. Each takes some hundred bytes, even if it has one. Browsers send
 * one.
 */
const MAX_FRAGMENTS = 64;
const MAX_BUFFERED_CHUNKS = 1_024;
/** Sockets that have not answered the close frame by then are terminated. The default of ws is 30 s. */
const CLOSE_TIMEOUT_MS = 5_000;
/** The same when the service stops. */
const CLOSE_GRACE_MS = 2_000;

const NOT_FOUND_RESPONSE = 'HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n';
const FORBIDDEN_ORIGIN_RESPONSE = 'HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n';

export interface GraphqlOverWebSocket {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Pushes every event known so far, then closes all sockets with 1001, so that clients connect to another instance. */
  stop(): Promise<void>;
}

/**
 * GraphQL over WebSocket with the protocol graphql-transport-ws. Clients send their API key as `authorization` in
 * connection_init.
 */
export function createGraphqlOverWebSocket(
  services: WebSocketServices & { clientAddressOf: GetClientAddress; eventSubscriptions: EventSubscriptions },
  /** Origins of web pages that may connect. Null: all. */
  allowedOrigins: readonly OriginRule[] | null,
): GraphqlOverWebSocket {
  const { eventSubscriptions, log } = services;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_BUFFERED_CHUNKS,
    perMessageDeflate: false,
    // The types of ws do not know it.
    ...{ closeTimeout: CLOSE_TIMEOUT_MS },
    // Messages are checked where they are read, so that the client learns which byte is wrong.
    skipUTF8Validation: true,
    handleProtocols: (protocols) => handleProtocols(protocols),
  });
  server.on('error', (error) => log.warn({ err: error }, 'WebSocket server error'));
  const unfinishedMessages = new UnfinishedMessages();
  const awaitingPong = new WeakSet<WebSocket>();
  /** With the bytes that the network had accepted at the last ping. */
  const connections = new WeakMap<WebSocket, { duplex: Socket; acceptedBytes: number }>();
  const accept = (socket: WebSocket, duplex: Socket, clientAddress: string | null) => {
    socket.on('error', (error) => log.debug({ error: error.message }, 'WebSocket connection error'));
    const stopCounting = boundBytesBeforeInit(socket, duplex);
    if (socket.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
      socket.close(CLOSE_FRAMES.subprotocolNotAcceptable.code, CLOSE_FRAMES.subprotocolNotAcceptable.reason);
      return;
    }
    new WebSocketSession(
      { socket, duplex, clientAddress },
      {
        ...services,
        onAcknowledged: (acknowledged) => {
          services.onAcknowledged(acknowledged);
          stopCounting();
          unfinishedMessages.watch(socket, acknowledged);
        },
      },
    );
    connections.set(socket, { duplex, acceptedBytes: 0 });
    socket.on('pong', () => awaitingPong.delete(socket));
  };
  /**
   * Whether a client that is not read from, because of what it has not read itself, has read since the last ping: see
   * SocketBacklog.
   */
  const makesProgress = (socket: WebSocket) => {
    const connection = connections.get(socket);
    if (!connection) return false;
    const { duplex, acceptedBytes } = connection;
    connection.acceptedBytes = acceptedBytesOf(duplex);
    return socket.isPaused && connection.acceptedBytes > acceptedBytes;
  };
  // A client without a pong by the next ping is disconnected.
  const keepAliveTimer = setInterval(() => {
    for (const socket of server.clients) {
      if (awaitingPong.has(socket) && !makesProgress(socket)) socket.terminate();
      else if (socket.readyState === socket.OPEN) {
        awaitingPong.add(socket);
        socket.ping();
      }
    }
  }, KEEP_ALIVE_MS);
  return {
    upgrade: (request, duplex, head) => {
      const { origin } = request.headers;
      if (request.url?.split('?')[0] !== '/graphql') refuse(duplex, NOT_FOUND_RESPONSE);
      else if (origin && !isOriginAllowed(origin, allowedOrigins)) refuse(duplex, FORBIDDEN_ORIGIN_RESPONSE);
      else
        server.handleUpgrade(request, duplex, head, (socket) =>
          accept(socket, request.socket, services.clientAddressOf(request)),
        );
    },
    stop: async () => {
      clearInterval(keepAliveTimer);
      unfinishedMessages.stop();
      await eventSubscriptions.flush();
      const closed = [...server.clients].map(
        (socket) => new Promise((resolve) => socket.once('close', resolve)),
      );
      for (const socket of server.clients)
        socket.close(CLOSE_FRAMES.goingAway.code, CLOSE_FRAMES.goingAway.reason);
      const terminateTimer = setTimeout(
        () => server.clients.forEach((socket) => socket.terminate()),
        CLOSE_GRACE_MS,
      );
      await Promise.all(closed);
      clearTimeout(terminateTimer);
      server.close();
    },
  };
}

/** After an upgrade the HTTP server applies no time-outs to the socket, so a client that keeps it open would hold it forever. */
function refuse(duplex: Duplex, response: string): void {
  duplex.on('error', () => undefined);
  duplex.once('finish', () => duplex.destroy()).end(response);
}
