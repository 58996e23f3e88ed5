import { type Duplex } from 'node:stream';
import { type WebSocket } from 'ws';

/** What a client without an accepted key may leave unread. It has nothing to read but an acknowledgement and pongs. */
export const MAX_UNREAD_BYTES_BEFORE_INIT = 64 * 1024;
/** The same as for pushed events. */
export const MAX_UNREAD_BYTES = 1024 * 1024;
/** Results of queries can have a few megabytes. Those that run when the client stops reading are kept until it reads again. */
export const MAX_CONCURRENT_STARTS = 10;

/**
 * Bounds what one WebSocket makes the service keep, because WebSocket itself has no flow control.
 *
 *   untrusted -> trusted    the client's key was accepted
 *
 * An untrusted client that leaves more than its bound unread is cut. A trusted one is not read from until it has read
 * everything, and operations that have not started wait for that as well.
 */
export class SocketBacklog {
  private isTrusted = false;
  private isClosed = false;
  private running = 0;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly socket: WebSocket,
    duplex: Duplex,
  ) {
    duplex.on('drain', () => {
      if (this.isFull) return;
      this.socket.resume();
      this.wakeWaiting();
    });
  }

  private get isFull(): boolean {
    return this.socket.bufferedAmount > (this.isTrusted ? MAX_UNREAD_BYTES : MAX_UNREAD_BYTES_BEFORE_INIT);
  }

  /** To be called when the key of the client was accepted. */
  trust(): void {
    this.isTrusted = true;
  }

  send(text: string): void {
    this.socket.send(text);
    if (!this.isFull) return;
    if (this.isTrusted) this.socket.pause();
    else this.socket.terminate();
  }

  /** Runs `work` when the client has read enough and few others are running, or when the socket has closed. */
  async run(work: () => Promise<void>): Promise<void> {
    while (!this.isClosed && (this.running >= MAX_CONCURRENT_STARTS || this.isFull))
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      await work();
    } finally {
      this.running -= 1;
      if (!this.isFull) this.wakeWaiting();
    }
  }

  /** To be called when the socket closes. */
  close(): void {
    this.isClosed = true;
    this.wakeWaiting();
  }

  private wakeWaiting(): void {
    const count = this.isClosed ? this.waiting.length : MAX_CONCURRENT_STARTS - this.running;
    for (const wake of this.waiting.splice(0, count)) wake();
  }
}
