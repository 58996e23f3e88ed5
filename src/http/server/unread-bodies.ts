import { type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type Socket } from 'node:net';
import { stopParsing } from './pipelined-requests.js';

/** What is read and discarded of a body after its request was answered. Above the limits of all routes but uploads. */
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;
const MAX_DISCARD_MS = 30_000;
/** A client that sends nothing for this long does not get its answer by sending more. */
const MAX_PAUSE_MS = 5_000;
const CHECK_INTERVAL_MS = 250;

/** Requests whose clients are cut, because even discarding the rest would cost too much. */
const cut = new WeakSet<IncomingMessage>();

/**
 * Closes the connection when the response is sent, although a client that does not read until it has sent everything may miss
 * it.
 */
export function cutAfterResponse(request: IncomingMessage): void {
  cut.add(request);
}

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
  private readonly lastRequest = new WeakMap<Socket, IncomingMessage>();
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
      this.lastRequest.set(socket, request);
      response.once('finish', () => {
        if (request.complete || socket.destroyed) return;
        if (cut.has(request)) socket.destroy();
        else this.discard(request);
      });
      handle(request, response);
    };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** After the last response of a connection Node calls `destroySoon`, which stops reading. */
  private delayClose(socket: Socket): void {
    const destroySoon = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      const request = this.lastRequest.get(socket);
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
      socket.off('close', end);
      this.discards.delete(socket);
      if (this.closing.has(socket)) socket.destroy();
    };
    request.on('close', end).resume();
    socket.on('close', end);
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
