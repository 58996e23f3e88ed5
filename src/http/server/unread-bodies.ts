import { type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { skipArrived, stopParsing } from './pipelined-requests.js';

/** What is read and discarded of a body after its request was answered. Above the limits of all routes but uploads. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;
const MAX_DISCARD_MS = 30_000;
/** A client that sends nothing for this long does not get its answer by sending more. */
const MAX_PAUSE_MS = 5_000;
const CHECK_INTERVAL_MS = 250;

/**
 * Pieces that a body of unknown length may have if they are small on average. Each keeps the event loop busy for some
 * microseconds and takes some hundred bytes until it is read, however small it is.
 */
export const MAX_SMALL_PIECES = 2_048;
const SMALL_PIECE_BYTES = 64;

const SMALL_PIECES = {
  code: 'BAD_REQUEST',
  message: `The request body arrives in more than ${MAX_SMALL_PIECES} pieces with less than ${SMALL_PIECE_BYTES} bytes on average. Send it in larger pieces, or with a content-length.`,
};
/** For clients of GraphQL and for all others: nothing is known of the request yet. */
const SMALL_PIECES_BODY = JSON.stringify({
  error: SMALL_PIECES,
  errors: [{ message: SMALL_PIECES.message, extensions: { code: SMALL_PIECES.code } }],
});

interface Discard {
  bytesAtStart: number;
  startedAt: number;
  bytesRead: number;
  readAt: number;
}

/**
 * Lets clients read the answer to a request whose body has not arrived completely. Closing a connection with unread bytes
 * resets it, and a client that sends everything before it reads would lose the answer. So the rest of the body is read and
 * discarded, within bounds, and only then the connection is closed or used for the next request.
 */
export class UnreadBodies {
  private readonly discards = new Map<Socket, Discard>();
  /** The request whose response was sent last. Those behind it may have arrived already. */
  private readonly lastAnswered = new WeakMap<Socket, IncomingMessage>();
  /** Sockets whose last response is sent. They close when the body has arrived. */
  private readonly closing = new WeakSet<Socket>();
  private readonly timer = setInterval(() => this.check(), CHECK_INTERVAL_MS);

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => this.delayClose(socket));
  }

  /** Wraps the handler of all requests. */
  handler(handle: RequestListener): RequestListener {
    return (request, response) => {
      const { socket } = request;
      // The client has pipelined a request behind the last one that this connection serves.
      if (this.closing.has(socket)) {
        socket.destroy();
        stopParsing(socket);
        return;
      }
      // Right before Node calls `destroySoon` for the last response.
      response.once('prefinish', () => this.lastAnswered.set(socket, request));
      response.once('close', () => this.forget(request));
      response.once('finish', () => {
        if (!request.complete && !socket.destroyed) this.discard(request);
      });
      if (request.headers['transfer-encoding'] !== undefined) boundPieces(request, response);
      handle(request, response);
    };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** A connection can be open for hours, and must not keep what a request has. */
  private forget(request: IncomingMessage): void {
    if (request.complete && this.lastAnswered.get(request.socket) === request)
      this.lastAnswered.delete(request.socket);
  }

  /** After the last response of a connection Node calls `destroySoon`, which stops reading. */
  private delayClose(socket: Socket): void {
    const destroySoon = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      const request = this.lastAnswered.get(socket);
      if (!request || request.complete) {
        destroySoon();
        return;
      }
      this.closing.add(socket);
      socket.end();
    };
  }

  private discard(request: IncomingMessage): void {
    const { socket } = request;
    const { bytesRead } = socket;
    const now = performance.now();
    this.discards.set(socket, { bytesAtStart: bytesRead, startedAt: now, bytesRead, readAt: now });
    const end = () => {
      request.off('close', end);
      // The connection can serve many more requests.
      socket.off('close', abort);
      this.discards.delete(socket);
      this.forget(request);
      if (this.closing.has(socket)) socket.destroy();
    };
    // Node forgets an answered request, so it would stay open for whoever reads it.
    const abort = () => {
      end();
      request.destroy();
    };
    request.on('close', end).resume();
    socket.on('close', abort);
  }

  private check(): void {
    const now = performance.now();
    for (const [socket, discard] of this.discards) {
      const { bytesRead } = socket;
      if (bytesRead !== discard.bytesRead) Object.assign(discard, { bytesRead, readAt: now });
      const isTooMuch = bytesRead - discard.bytesAtStart > MAX_DISCARDED_BYTES;
      if (isTooMuch || now - discard.startedAt > MAX_DISCARD_MS || now - discard.readAt > MAX_PAUSE_MS)
        socket.destroy();
    }
  }
}

/**
 * Refuses a body in too many small pieces before they are kept, whether it is read, waits for its client to be authenticated or
 * is discarded. What else has arrived of it is not even discarded, so its client is cut, and may miss the response.
 */
function boundPieces(request: IncomingMessage, response: ServerResponse): void {
  // Node drops the rest of an answered request without `push`, unless it flows.
  response.once('prefinish', () => void (request.complete || request.resume()));
  const push = request.push.bind(request);
  let pieces = 0;
  let bytes = 0;
  let isRefused = false;
  request.push = (piece: Buffer | null) => {
    if (isRefused) return false;
    pieces += 1;
    bytes += piece?.length ?? 0;
    if (piece === null || pieces <= MAX_SMALL_PIECES || bytes >= pieces * SMALL_PIECE_BYTES)
      return push(piece);
    isRefused = true;
    const { socket } = request;
    skipArrived(socket);
    if (response.headersSent) socket.destroy();
    // It waits for the responses of earlier requests, and the connection ends with them.
    else if (response.socket === null) response.once('socket', () => socket.end(() => socket.destroy()));
    else {
      // Also ends the request for whoever reads it. Closing the connection would not, because it was answered.
      response.once('finish', () => request.destroy());
      response
        .writeHead(400, { 'content-type': 'application/json', connection: 'close' })
        .end(SMALL_PIECES_BODY);
    }
    return false;
  };
}
