import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/** What one client may leave unread. Above the largest result, image or file that the service sends at once. */
export const MAX_UNREAD_RESPONSE_BYTES = 32 * 1024 * 1024;
/** What all clients together may leave unread, over HTTP and WebSocket. */
export const MAX_UNREAD_BYTES_IN_ALL = 64 * 1024 * 1024;
/** How long a client may read nothing of what waits for it. The same as for pushed events. */
const STALL_TIMEOUT_MS = 30_000;
const CHECK_INTERVAL_MS = 250;

export interface UnreadResponsesOptions {
  stallTimeoutMs?: number | undefined;
  maxBytes?: number;
  maxBytesInAll?: number;
}

/**
 * Bounds the responses that clients do not read: a client that reads nothing for a while is cut, and so is one with too many
 * unread bytes. If all clients together leave too many, the ones that have left some for the longest time are cut. A client
 * that stops in the middle of a request is cut as well.
 */
export class UnreadResponses {
  /** Since when each open socket has had unread bytes. Null: it has none. */
  private readonly unreadSince = new Map<Socket, number | null>();
  /** Requests whose response has not ended. */
  private readonly openRequests = new WeakMap<Socket, Set<IncomingMessage>>();
  private readonly timer = setInterval(() => this.check(), CHECK_INTERVAL_MS);
  private readonly maxBytes: number;
  private readonly maxBytesInAll: number;

  constructor(server: Server, options: UnreadResponsesOptions = {}) {
    this.maxBytes = options.maxBytes ?? MAX_UNREAD_RESPONSE_BYTES;
    this.maxBytesInAll = options.maxBytesInAll ?? MAX_UNREAD_BYTES_IN_ALL;
    server.on('connection', (socket: Socket) => {
      this.unreadSince.set(socket, null);
      socket.once('close', () => this.unreadSince.delete(socket));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request;
      const open = this.openRequests.get(socket) ?? new Set();
      this.openRequests.set(socket, open.add(request));
      response.once('close', () => open.delete(request));
    });
    // Emitted after a time in which the client neither sent nor read anything.
    server.timeout = options.stallTimeoutMs ?? STALL_TIMEOUT_MS;
    server.on('timeout', (socket: Socket) => {
      if (!this.waitsForUs(socket)) socket.destroy();
    });
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Whether the client has sent a whole request, has read everything, and the response has not ended. */
  private waitsForUs(socket: Socket): boolean {
    const open = [...(this.openRequests.get(socket) ?? [])];
    return open.length > 0 && open.every(({ complete }) => complete) && socket.writableLength === 0;
  }

  private check(): void {
    const now = performance.now();
    const unread: { socket: Socket; bytes: number; since: number }[] = [];
    let total = 0;
    for (const [socket, since] of this.unreadSince) {
      const bytes = socket.writableLength;
      if (bytes > this.maxBytes) socket.destroy();
      else if (bytes > 0) {
        total += bytes;
        unread.push({ socket, bytes, since: since ?? now });
        if (since === null) this.unreadSince.set(socket, now);
      } else if (since !== null) this.unreadSince.set(socket, null);
    }
    if (total <= this.maxBytesInAll) return;
    for (const { socket, bytes } of unread.sort((one, other) => one.since - other.since)) {
      if (total <= this.maxBytesInAll) return;
      socket.destroy();
      total -= bytes;
    }
  }
}
