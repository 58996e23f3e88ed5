import { type Socket } from 'node:net';
import { type WebSocket } from 'ws';

/** What a client may send before its key is accepted: connection_init, and some pings. Each message takes time to read. */
export const MAX_BYTES_BEFORE_INIT = 64 * 1024;
/** What a frame counts besides its content, which can be empty. */
const FRAME_BYTES = 64;

/**
 * Cuts a WebSocket that sends too much before its key is accepted, whatever it sends. That includes what it sends after the close
 * frame, because ws goes on reading until the client has answered that. Returns a function to be called when the key is accepted.
 */
export function boundBytesBeforeInit(socket: WebSocket, tcpSocket: Socket): () => void {
  const bytesAtStart = tcpSocket.bytesRead;
  let countedBytes = 0;
  const count = ({ length }: Buffer) => {
    countedBytes += FRAME_BYTES + length;
    // The fragments of a message have headers as well.
    const bytes = Math.max(countedBytes, tcpSocket.bytesRead - bytesAtStart);
    if (bytes > MAX_BYTES_BEFORE_INIT) cut(socket);
  };
  // ws emits a Buffer, because `binaryType` has its default.
  const countMessage = (data: unknown) => count(data as Buffer);
  socket.on('message', countMessage).on('ping', count).on('pong', count);
  return () => socket.off('message', countMessage).off('ping', count).off('pong', count);
}

/**
 * Terminates the socket, and reads nothing more of what has arrived: 64 kB can hold ten thousand frames. ws has no public way to
 * stop that, and test/api/limits/bytes-before-init.test.ts fails if a new version needs something else than 8.23 does.
 */
function cut(socket: WebSocket): void {
  socket.terminate();
  const { _receiver: receiver } = socket as { _receiver?: { _loop: boolean } };
  if (receiver) receiver._loop = false;
}
