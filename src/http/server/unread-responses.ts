import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { acceptedBytesOf } from '../../core/events/accepted-bytes.js';

/** What one client may leave unread. Above the largest result, image or file that the service sends at once. */
export const MAX_UNREAD_RESPONSE_BYTES = 24 * 1024 * 1024;
/** What all clients together may leave unread, over HTTP and WebSocket, except what PUSH_ALLOWANCE_BYTES allows. */
export const MAX_UNREAD_BYTES_IN_ALL = 24 * 1024 * 1024;
/**
 * What each connection that events are pushed to may leave in addition, as long as it accepts something every PROGRESS_MS.
 * Broadcaster bounds pushed events at half of it and the last event, and closes a slow connection with the cursor to resume from.
 */
export const PUSH_ALLOWANCE_BYTES = 2 * 1024 * 1024;
/**
 * How long a client may accept nothing of what waits for it. The kernel reports what a client has accepted only when about a
 * third of its own buffer is free again, which has up to 4 MB on Linux. So this lets a client that reads 10 kB/s finish.
 */
export const STALL_TIMEOUT_MS = 180_000;
/** How long a client may stop in the middle of a request. */
const PAUSE_TIMEOUT_MS = 30_000;
/** An idle connection stays open longer than its client was told, so that no request is reset that crosses the end on its way. */
const IDLE_GRACE_MS = 2_000;
/** A client that has accepted something within this time is cut after those that have not. */
const PROGRESS_MS = 5_000;
const CHECK_INTERVAL_MS = 250;
/** A client cannot show within less time that it reads. */
const FIRST_PROGRESS_MS = 2 * CHECK_INTERVAL_MS;
const EVENT_STREAM = 'text/event-stream';

export interface UnreadResponsesOptions {
  stallTimeoutMs?: number;
  pauseTimeoutMs?: number | undefined;
  progressMs?: number;
  maxBytes?: number;
  maxBytesInAll?: number;
}

interface Connection {
  /** Requests whose response has not ended. */
  open: Map<IncomingMessage, ServerResponse>;
  isWebSocket: boolean;
  /** Null: everything is read. */
  backlog: Backlog | null;
}

interface Backlog {
  since: number;
  acceptedBytes: number;
  /** When the client has last accepted something. Null: not since the backlog began. */
  acceptedAt: number | null;
}

/**
 * Bounds the responses that clients do not read: a client that accepts nothing for a while is cut, and so is one with too many
 * unread bytes. If all clients together leave too many, those that accept nothing are cut first, and among them those with the
 * most unread bytes. A client that stops in the middle of a request is cut as well.
 */
export class UnreadResponses {
  private readonly connections = new Map<Socket, Connection>();
  private readonly timer = setInterval(() => this.check(), CHECK_INTERVAL_MS);
  private readonly stallTimeoutMs: number;
  private readonly progressMs: number;
  private readonly maxBytes: number;
  private readonly maxBytesInAll: number;

  constructor(server: Server, options: UnreadResponsesOptions = {}) {
    this.stallTimeoutMs = options.stallTimeoutMs ?? STALL_TIMEOUT_MS;
    this.progressMs = options.progressMs ?? PROGRESS_MS;
    this.maxBytes = options.maxBytes ?? MAX_UNREAD_RESPONSE_BYTES;
    this.maxBytesInAll = options.maxBytesInAll ?? MAX_UNREAD_BYTES_IN_ALL;
    server.on('connection', (socket: Socket) => {
      this.connections.set(socket, { open: new Map(), isWebSocket: false, backlog: null });
      socket.once('close', () => this.connections.delete(socket));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const open = this.connections.get(request.socket)?.open;
      open?.set(request, response);
      response.once('close', () => open?.delete(request));
    });
    server.on('upgrade', ({ socket }: IncomingMessage) => {
      const connection = this.connections.get(socket);
      if (connection) connection.isWebSocket = true;
    });
    // Emitted after a time in which the client neither sent nor read anything, and for an idle connection after `keepAliveTimeout`.
    server.timeout = options.pauseTimeoutMs ?? PAUSE_TIMEOUT_MS;
    server.on('timeout', (socket: Socket) => {
      // `check` cuts a client that does not read.
      if (socket.writableLength > 0 || this.waitsForUs(socket)) return;
      // A request may be on its way, or has arrived and was not read, because timers come first after a pause of the event loop.
      const { bytesRead } = socket;
      setTimeout(() => {
        if (socket.bytesRead === bytesRead) socket.destroy();
      }, IDLE_GRACE_MS).unref();
    });
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Whether the client has sent a whole request, and the response has not ended. Nothing is read of the requests behind it. */
  private waitsForUs(socket: Socket): boolean {
    const open = [...(this.connections.get(socket)?.open ?? [])];
    const current = open.filter(([, response]) => response.socket !== null);
    return current.length > 0 && current.every(([{ complete }]) => complete);
  }

  private check(): void {
    const now = performance.now();
    const counted: { socket: Socket; bytes: number; backlog: Backlog }[] = [];
    let total = 0;
    for (const [socket, connection] of this.connections) {
      const unreadBytes = socket.writableLength;
      const backlog = unreadBytes > 0 ? updatedBacklog(connection.backlog, socket, now) : null;
      connection.backlog = backlog;
      if (!backlog) continue;
      // A WebSocket whose client reads nothing does not answer pings, and is cut because of that.
      const canStall = !connection.isWebSocket;
      const isStalled = canStall && now - (backlog.acceptedAt ?? backlog.since) > this.stallTimeoutMs;
      if (isStalled || unreadBytes > this.maxBytes) {
        socket.destroy();
        continue;
      }
      const makesProgress = now - (backlog.acceptedAt ?? backlog.since) < this.progressMs;
      const bytes = unreadBytes - (makesProgress && isPushedTo(connection) ? PUSH_ALLOWANCE_BYTES : 0);
      if (bytes <= 0) continue;
      total += bytes;
      counted.push({ socket, bytes, backlog });
    }
    if (total > this.maxBytesInAll) this.cut(counted, total - this.maxBytesInAll);
  }

  private cut(counted: { socket: Socket; bytes: number; backlog: Backlog }[], excessBytes: number): void {
    const now = performance.now();
    const candidates = counted.map(({ socket, bytes, backlog }) => ({
      socket,
      bytes,
      makesProgress:
        now - backlog.since < FIRST_PROGRESS_MS ||
        (backlog.acceptedAt !== null && now - backlog.acceptedAt < this.progressMs),
      // `writableLength` counts a write as a whole until its last byte is accepted.
      unreadBytes: socket.bytesWritten - backlog.acceptedBytes,
    }));
    candidates.sort(
      (one, other) =>
        Number(one.makesProgress) - Number(other.makesProgress) || other.unreadBytes - one.unreadBytes,
    );
    let rest = excessBytes;
    for (const { socket, bytes } of candidates) {
      if (rest <= 0) return;
      socket.destroy();
      rest -= bytes;
    }
  }
}

function updatedBacklog(before: Backlog | null, socket: Socket, now: number): Backlog {
  const acceptedBytes = acceptedBytesOf(socket);
  if (!before) return { since: now, acceptedBytes, acceptedAt: null };
  if (acceptedBytes === before.acceptedBytes) return before;
  return { ...before, acceptedBytes, acceptedAt: now };
}

function isPushedTo({ isWebSocket, open }: Connection): boolean {
  return (
    isWebSocket ||
    [...open.values()].some((response) => String(response.getHeader('content-type')).startsWith(EVENT_STREAM))
  );
}
