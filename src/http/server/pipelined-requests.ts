import { type RequestListener, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/** Requests that one connection may have sent behind the one that is being handled. Browsers and proxies send none. */
export const MAX_PIPELINED_REQUESTS = 16;

/**
 * Handles the requests of a connection one after another. Node would start all of them at once, however many a client sends before
 * it reads a response. If a client sends too many, its connection ends with the response to the last one that may wait. What has
 * arrived behind it is not parsed: a piece of 64 kB can hold thousands of requests, and each costs several objects and an error.
 *
 * A request behind the last response of its connection is not handled. Its response would never be sent, and would never close.
 */
export class PipelinedRequests {
  /** The responses that wait, for each connection. */
  private readonly waiting = new WeakMap<Socket, ServerResponse[]>();

  /** Wraps the handler of all requests. */
  handler(handle: RequestListener): RequestListener {
    return (request, response) => {
      const { socket } = request;
      const start = () => {
        if (socket.writable) handle(request, response);
      };
      if (response.socket !== null) {
        start();
        return;
      }
      const waiting = this.waiting.get(socket) ?? [];
      const last = waiting.at(-1);
      if (last && waiting.length >= MAX_PIPELINED_REQUESTS) {
        last.shouldKeepAlive = false;
        stopParsing(socket);
        return;
      }
      waiting.push(response);
      this.waiting.set(socket, waiting);
      whenResponseHasSocket(response, () => {
        waiting.shift();
        start();
      });
    };
  }
}

/**
 * Node gives a response its socket when all earlier ones are sent and none of them was the last of the connection. That includes
 * those that it sends itself, such as for a request without a host. It has no public name for this event, and
 * test/http/server/pipelined-requests.test.ts fails if a new version has another one.
 */
function whenResponseHasSocket(response: ServerResponse, start: () => void): void {
  // Only the next tick closes the response before it, which frees what its request holds.
  response.once('socket', () => process.nextTick(start));
}

/** What the parser is told of a request whose connection goes on with another protocol: it stops behind its headers. */
const UPGRADED = 2;

/**
 * Node has no public name for it, and parses what has arrived to its end although the socket is destroyed.
 * test/http/server/waiting-connections.test.ts fails if a new version of Node needs something else.
 */
export function stopParsing(socket: Socket): void {
  const { parser } = socket as { parser?: { onIncoming: () => number } | null };
  if (parser) parser.onIncoming = () => UPGRADED;
}

/** Where the parser has its function for a piece of a body: `HTTPParser.kOnBody`, which has no public name. */
const ON_BODY = 3;

/**
 * Lets the parser skip what has arrived of the body, for a connection that is about to be closed. It is parsed to its end, and
 * 64 kB can hold ten thousand pieces, each of which costs an object and several calls.
 */
export function skipArrived(socket: Socket): void {
  const { parser } = socket as { parser?: { [ON_BODY]: unknown } | null };
  const readPiece = parser?.[ON_BODY];
  if (!parser || typeof readPiece !== 'function') return;
  parser[ON_BODY] = undefined;
  // Another connection gets the parser next, but no earlier: this runs when all that has arrived is parsed.
  setImmediate(() => (parser[ON_BODY] = readPiece));
}
