import { createServer, IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { type Duplex } from 'node:stream';
import cors from 'cors';
import { BadRequest, ConfigInvalid, DatabaseUnavailable } from '../../core/errors.js';
import { bodyForAnyClient, lastResponse } from './reply-with-error.js';

/** Connections that the kernel queues. Node's default of 511 is too small when thousands of clients reconnect at once. */
const LISTEN_BACKLOG = 4_096;
/** For the headers of a request, from the connection or from their first byte. Node's default is 60 s. */
export const HEADERS_TIMEOUT_MS = 12_000;
/** For a whole request, from the end of its headers. The same as Node's own, which is off because it knows no exceptions. */
export const REQUEST_TIMEOUT_MS = 300_000;
/** An upload may take hours, because it ends when its client sends less than a bound: see UploadBounds. */
const UPLOAD_PATH = /^\/uploads\//;
const TIMED_OUT_RESPONSE = lastResponse(408, {
  code: BadRequest.code,
  message: 'The request did not arrive in time. Send it again.',
});
const MALFORMED_RESPONSE = lastResponse(400, {
  code: BadRequest.code,
  message: 'What arrived is not a valid HTTP request. Correct it and send it again.',
});
const STARTING_HEADERS = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
  'retry-after': '1',
};
/** Pages of every origin may read it: it says nothing of anybody. No preflight is cached, because the next one may be refused. */
const startingCors = cors({ origin: '*', maxAge: 0, exposedHeaders: ['Retry-After'] });
const STARTING_BODY = bodyForAnyClient({
  code: DatabaseUnavailable.code,
  message: 'The service is starting. Try again in a second.',
  details: { retryAfterMs: 1_000 },
});
/** The scheme, host and port of an absolute target. */
const ORIGIN_OF_TARGET = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?(?=[/?]|$)/i;
/** The client has closed its side in the middle of something. */
const CLIENT_HAS_LEFT = 'HPE_INVALID_EOF_STATE';
/** By the codes of the parser. */
const MALFORMED_RESPONSES: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: TIMED_OUT_RESPONSE,
  HPE_HEADER_OVERFLOW: lastResponse(431, {
    code: BadRequest.code,
    message: 'The headers of the request are larger than 16 kB. Send fewer or shorter ones.',
  }),
};
/** Node's default is 30 s, by which every time-out can be late. */
const TIMEOUT_CHECK_INTERVAL_MS = 1_000;
/** Requests that are still open after this time are closed, so that a shutdown fits into 15 s. */
const CLOSE_GRACE_MS = 3_000;

/**
 * The server for all transports. It cuts clients that do not complete the headers of a request in time. For the body
 * `watchRequestTimeouts` does.
 */
export function createHttpServer(headersTimeoutMs = HEADERS_TIMEOUT_MS): Server {
  return createServer({
    IncomingMessage: HttpRequest,
    headersTimeout: headersTimeoutMs,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_INTERVAL_MS, headersTimeoutMs),
  });
}

/**
 * A request that asks for an upgrade only if that is one to WebSocket. A server may ignore any other one (RFC 9110, 7.8), and some
 * clients offer one with each request: that of Java `h2c`, and that of Apache `TLS/1.2`. Node sets `upgrade` for all of them, and
 * test/http/server/listen.test.ts fails if a new version does otherwise.
 */
class HttpRequest extends IncomingMessage {
  private asked: unknown;

  get upgrade(): boolean {
    return (
      Boolean(this.asked) && (this.method === 'CONNECT' || /^websocket$/i.test(this.headers.upgrade ?? ''))
    );
  }

  set upgrade(asked: unknown) {
    this.asked = asked;
  }
}

/** Lets all handlers read `/path` where a client sent `http://host/path`. Every server must accept it (RFC 9112, 3.2.2). */
export function acceptAbsoluteTargets(server: Server): void {
  const read = (request: IncomingMessage) => {
    const target = request.url?.replace(ORIGIN_OF_TARGET, '');
    request.url = target?.replace(/^(?=\?|$)/, '/');
  };
  server.on('request', read).on('upgrade', read);
}

/**
 * Answers what is not a valid request. If it comes behind a request whose response is owed, the connection ends with that response:
 * the request may have been carried out, and a refusal would say that it was not.
 */
export function answerMalformedRequests(server: Server): void {
  const latest = new WeakMap<Duplex, { request: IncomingMessage; response: ServerResponse }>();
  /** The sockets that end with a response that is owed. More of what they send is not valid either. */
  const ending = new WeakSet<Duplex>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    latest.set(socket, { request, response });
    // A connection can be open for hours, and must not keep what a request has.
    const forget = () => {
      if (latest.get(socket)?.request === request && request.complete && response.closed)
        latest.delete(socket);
    };
    request.once('close', forget);
    response.once('close', forget);
    // The parser drops what has arrived behind a request with an upgrade, also if that is ignored.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { request, response } = latest.get(socket) ?? {};
    const isOwed = response !== undefined && !response.writableFinished;
    const end = () => socket.end(() => socket.destroy());
    if (ending.has(socket) && error.code !== CLIENT_HAS_LEFT) return;
    if (!socket.writable || error.code === CLIENT_HAS_LEFT) socket.destroy();
    else if (isOwed && response.socket === null) {
      // This request is the malformed one. It waits for the responses before it, and is not started then.
      ending.add(socket);
      response.once('socket', end);
    } else if (isOwed && request?.complete) {
      ending.add(socket);
      response.shouldKeepAlive = false;
      response.once('finish', end);
    } else if (request && !request.complete && response?.headersSent) {
      // The rest of its body is malformed, and it has its answer.
      socket.destroy();
    } else socket.end(MALFORMED_RESPONSES[error.code ?? ''] ?? MALFORMED_RESPONSE, () => socket.destroy());
  });
}

/** Cuts requests whose body does not arrive in time, except uploads. For one that waits for another one, the time begins then. */
export function watchRequestTimeouts(server: Server, timeoutMs = REQUEST_TIMEOUT_MS): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.complete || UPLOAD_PATH.test(request.url ?? '')) return;
    let timer: NodeJS.Timeout | undefined;
    const start = () => {
      timer = setTimeout(() => {
        // It does not end before it is read.
        if (!request.complete) cutRequest(request, response);
      }, timeoutMs).unref();
    };
    if (response.socket === null) response.once('socket', start);
    else start();
    const clear = () => clearTimeout(timer);
    request.once('end', clear).once('close', clear);
  });
}

function cutRequest({ socket }: IncomingMessage, response: ServerResponse): void {
  if (!response.headersSent && socket.writable) socket.write(TIMED_OUT_RESPONSE);
  socket.destroy();
}

/**
 * Starts listening before the service is ready, so that the port is known and a second instance fails at once. Requests get
 * status 503 until other handlers replace this one. Throws ConfigInvalid when the port is in use.
 */
export async function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  server.on('request', (request, response) =>
    startingCors(request, response, () => response.writeHead(503, STARTING_HEADERS).end(STARTING_BODY)),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      reject(
        new ConfigInvalid(
          `Port ${address.port} is in use. Set PORT to another port, or stop the process that uses it.`,
        ),
      );
    });
    server.listen({ port: address.port, host: address.host, backlog: LISTEN_BACKLOG }, resolve);
  });
}

/** Stops listening and waits up to CLOSE_GRACE_MS for open requests. */
export async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  const closeTimer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  server.closeIdleConnections();
  await closed;
  clearTimeout(closeTimer);
}

/** The URL of the server on this machine, without a trailing slash. */
export function localUrl(server: Server, address: { host: string; port: number }): string {
  const { port } = server.address() as AddressInfo;
  const host = ['0.0.0.0', '::'].includes(address.host) ? '127.0.0.1' : address.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
