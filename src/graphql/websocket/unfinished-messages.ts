import { type Socket } from 'node:net';
import { type WebSocket } from 'ws';

/** What all WebSockets whose key was accepted may have sent together of messages that have not ended. */
export const MAX_UNFINISHED_MESSAGE_BYTES = 8 * 1024 * 1024;
const CHECK_INTERVAL_MS = 250;
/** The header and the mask of a ping or a pong. */
const CONTROL_FRAME_BYTES = 6;

interface Sender {
  tcpSocket: Socket;
  /** What it has sent up to the end of its last message. */
  handledBytes: number;
}

/**
 * Bounds the messages that clients begin and do not end, over all WebSockets. If they are too large together, the WebSockets
 * that have sent most are cut. Before a key is accepted, WaitingConnections does the same.
 */
export class UnfinishedMessages {
  private readonly senders = new Map<WebSocket, Sender>();
  private readonly timer = setInterval(() => this.check(), CHECK_INTERVAL_MS);

  constructor(private readonly maxBytes = MAX_UNFINISHED_MESSAGE_BYTES) {}

  /** To be called when the key of a WebSocket was accepted. */
  watch(socket: WebSocket, tcpSocket: Socket): void {
    const sender = { tcpSocket, handledBytes: tcpSocket.bytesRead };
    this.senders.set(socket, sender);
    const skip = (data: Buffer) => (sender.handledBytes += CONTROL_FRAME_BYTES + data.length);
    socket.on('message', () => (sender.handledBytes = tcpSocket.bytesRead));
    socket.on('ping', skip).on('pong', skip);
    socket.once('close', () => this.senders.delete(socket));
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private check(): void {
    let total = 0;
    for (const sender of this.senders.values()) total += unfinishedBytesOf(sender);
    if (total <= this.maxBytes) return;
    const sorted = [...this.senders].sort(
      ([, one], [, other]) => unfinishedBytesOf(other) - unfinishedBytesOf(one),
    );
    for (const [socket, sender] of sorted) {
      if (total <= this.maxBytes) return;
      total -= unfinishedBytesOf(sender);
      this.senders.delete(socket);
      socket.terminate();
    }
  }
}

function unfinishedBytesOf({ tcpSocket, handledBytes }: Sender): number {
  return Math.max(0, tcpSocket.bytesRead - handledBytes);
}
