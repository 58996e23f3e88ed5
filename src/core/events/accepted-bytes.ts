import { type Socket } from 'node:net';

/**
 * What the kernel has accepted, also of a write that has not ended. Node has no public name for it: `bytesWritten` counts what
 * still waits, and `writableLength` changes only at the end of a write. Node's own time-out for sockets uses the same fields.
 */
export function acceptedBytesOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } | null };
  return handle ? handle.bytesWritten - handle.writeQueueSize : socket.bytesWritten - socket.writableLength;
}
