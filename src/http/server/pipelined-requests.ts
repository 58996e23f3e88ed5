import { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/** Requests that one connection may have sent behind the one that is being handled. Browsers and proxies send none. */
export const MAX_PIPELINED_REQUESTS = 16;

type Exchange = [IncomingMessage, ServerResponse];

/**
 * Handles the requests of a connection one after another. Node would start all of them at once, however many a client sends before
 * it reads a response. A client that sends too many is cut, and what has arrived of it is not parsed: a piece of 64 kB can hold
 * thousands of requests, and each costs several objects and an error.
 */
export class PipelinedRequests {
  /** The requests that wait, for each connection with a request that is being handled. */
  private readonly waiting = new WeakMap<Socket, Exchange[]>();

  /** Wraps the handler of all requests. */
  handler(handle: RequestListener): RequestListener {
    const start = (request: IncomingMessage, response: ServerResponse) => {
      response.once('close', () => startNext(request.socket));
      handle(request, response);
    };
    const startNext = (socket: Socket) => {
      const next = socket.destroyed ? undefined : this.waiting.get(socket)?.shift();
      if (next) start(...next);
      else this.waiting.delete(socket);
    };
    return (request, response) => {
      const { socket } = request;
      const waiting = this.waiting.get(socket);
      if (!waiting) {
        this.waiting.set(socket, []);
        start(request, response);
      } else if (waiting.length < MAX_PIPELINED_REQUESTS) waiting.push([request, response]);
      else {
        socket.destroy();
        stopParsing(socket);
      }
    };
  }
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
