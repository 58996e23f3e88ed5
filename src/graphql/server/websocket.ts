import { type IncomingMessage } from 'node:http';
import { type Duplex } from 'node:stream';
import { GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ClientAddressOf } from '../../core/access/client-address.js';
import { CLOSE, Connection, type ConnectionServices } from './websocket-session.js';

/** A message holds a document and its variables; the same limit for every message of a client. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** Below the idle time-outs of proxies, 60 s and sometimes 15 s. A client that has not answered by the next one is gone. */
const KEEP_ALIVE_MS = 12_000;
/** Sockets that have not answered our close by then are cut. */
const CLOSE_GRACE_MS = 2_000;

const NOTHING_HERE = 'HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n';
const ORIGIN_REFUSED = 'HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n';

export interface GraphqlOverWebSocket {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Pushes what is known, then tells every client that this instance is going away; they connect to another. */
  stop(): Promise<void>;
}

/** GraphQL over WebSocket: the protocol graphql-transport-ws. The key comes in connection_init as `authorization`. */
export function serveGraphqlOverWebSocket(
  services: ConnectionServices & { addressOf: ClientAddressOf },
  /** Null: pages of any. */
  allowedOrigins: readonly string[] | null,
): GraphqlOverWebSocket {
  const { subscriptions, log } = services;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (protocols) => handleProtocols(protocols),
  });
  server.on('error', (error) => log.warn({ err: error }, 'the WebSocket server had an error'));
  const unanswered = new WeakSet<WebSocket>();
  const accept = (socket: WebSocket, stream: Duplex, source: string | null) => {
    socket.on('error', (error) => log.debug({ error: error.message }, 'a WebSocket connection had an error'));
    if (socket.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
      socket.close(CLOSE.subprotocol.code, CLOSE.subprotocol.reason);
      return;
    }
    new Connection(socket, stream, source, services);
    socket.on('pong', () => unanswered.delete(socket));
  };
  const keepAlive = setInterval(() => {
    for (const socket of server.clients) {
      if (unanswered.has(socket)) socket.terminate();
      else if (socket.readyState === socket.OPEN) {
        unanswered.add(socket);
        socket.ping();
      }
    }
  }, KEEP_ALIVE_MS);
  return {
    upgrade: (request, stream, head) => {
      const { origin } = request.headers;
      if (request.url?.split('?')[0] !== '/graphql') stream.end(NOTHING_HERE);
      else if (origin && allowedOrigins && !allowedOrigins.includes(origin)) stream.end(ORIGIN_REFUSED);
      else
        server.handleUpgrade(request, stream, head, (socket) =>
          accept(socket, stream, services.addressOf(request)),
        );
    },
    stop: async () => {
      clearInterval(keepAlive);
      await subscriptions.flush();
      const closed = [...server.clients].map(
        (socket) => new Promise((resolve) => socket.once('close', resolve)),
      );
      for (const socket of server.clients) socket.close(CLOSE.goingAway.code, CLOSE.goingAway.reason);
      const cut = setTimeout(() => server.clients.forEach((socket) => socket.terminate()), CLOSE_GRACE_MS);
      await Promise.all(closed);
      clearTimeout(cut);
      server.close();
    },
  };
}
