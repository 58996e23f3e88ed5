import { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/** Above the clients of an instance that reconnect at once. Each takes up to 64 kB. */
export const MAX_WAITING_CONNECTIONS = 8_192;
/** What they may have sent together, such as headers and messages that never end. 2 kB each, for browsers with their cookies. */
export const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const CHECK_INTERVAL_MS = 250;

interface Waiting {
  /** What the connection had sent when it began to wait. */
  bytesAtStart: number;
  /** Its bytes are not kept. */
  isDiscarding: boolean;
}

/**
 * Bounds the connections for which the service has nothing to do: those over HTTP without a complete header of a request, idle
 * ones, and WebSockets whose key was not accepted. If they have sent too much, the ones that sent most are cut. If there are
 * too many, the ones that have waited longest are cut. An honest client waits as long as its own network takes, and attackers
 * wait longer.
 *
 * There is no limit for each address, because a proxy gives all clients its own.
 */
export class WaitingConnections {
  /** In the order in which they began to wait. */
  private readonly waiting = new Map<Socket, Waiting>();
  /** Responses that have not ended. */
  private readonly openResponses = new WeakMap<Socket, number>();
  private readonly timer = setInterval(() => this.checkBytes(), CHECK_INTERVAL_MS);

  constructor(
    private readonly maxConnections = MAX_WAITING_CONNECTIONS,
    private readonly maxBytes = MAX_WAITING_BYTES,
  ) {}

  get count(): number {
    return this.waiting.size;
  }

  /** To be called once. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.openCountOf(socket);
      this.add(socket, { isDiscarding: false });
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request;
      this.openResponses.set(socket, this.openCountOf(socket) + 1);
      this.waiting.delete(socket);
      response.once('close', () => {
        const open = this.openCountOf(socket) - 1;
        this.openResponses.set(socket, open);
        // The rest of a refused body is read and discarded: see UnreadBodies.
        if (open === 0 && !socket.destroyed) this.add(socket, { isDiscarding: !request.complete });
      });
    });
  }

  /** To be called when the key of a WebSocket was accepted, with the connection under it. */
  release(socket: Socket): void {
    this.waiting.delete(socket);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** The number of open responses. */
  private openCountOf(socket: Socket): number {
    const count = this.openResponses.get(socket);
    if (count !== undefined) return count;
    this.openResponses.set(socket, 0);
    socket.once('close', () => this.waiting.delete(socket));
    return 0;
  }

  private add(socket: Socket, { isDiscarding }: { isDiscarding: boolean }): void {
    this.waiting.set(socket, { bytesAtStart: socket.bytesRead, isDiscarding });
    if (this.waiting.size > this.maxConnections) this.cutOldest();
  }

  private checkBytes(): void {
    const bytesOf = (socket: Socket, { bytesAtStart, isDiscarding }: Waiting) =>
      isDiscarding ? 0 : socket.bytesRead - bytesAtStart;
    let total = 0;
    for (const [socket, waiting] of this.waiting) total += bytesOf(socket, waiting);
    if (total <= this.maxBytes) return;
    const sent = [...this.waiting].map(([socket, waiting]) => ({
      socket,
      bytes: bytesOf(socket, waiting),
    }));
    for (const { socket, bytes } of sent.sort((one, other) => other.bytes - one.bytes)) {
      if (total <= this.maxBytes) return;
      total -= bytes;
      this.cut(socket);
    }
  }

  private cutOldest(): void {
    const [oldest] = this.waiting.keys();
    if (oldest) this.cut(oldest);
  }

  private cut(socket: Socket): void {
    this.waiting.delete(socket);
    socket.destroy();
  }
}
