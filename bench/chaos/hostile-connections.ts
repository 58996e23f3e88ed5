import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const WEBSOCKET_PATH = '/graphql';
const PING_BYTES = 120;
/** Frames from a client are masked. The mask of zeros leaves the content as it is. */
const PING_FRAME = Buffer.concat([Buffer.from([0x89, 0x80 | PING_BYTES]), Buffer.alloc(4 + PING_BYTES)]);
const WRITE_INTERVAL_MS = 50;
/** Bodies and pages that are asked for and not read are about this large. */
const CHUNK = 'x'.repeat(16_384);

interface Hostility {
  /** What the connection sends first. */
  opening: string;
  /** What it sends again and again. */
  more?: string | Buffer;
  /** Does not take what the service sends. */
  neverReads?: true;
}

const upgrade = (): string =>
  `GET ${WEBSOCKET_PATH} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`;
const post = (path: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n`;

const HOSTILITIES: readonly (() => Hostility)[] = [
  () => ({ opening: 'GET / HTTP/1.1\r\nHost: a\r\n', more: 'X-More: 1\r\n' }),
  () => ({ opening: post('/graphql'), more: CHUNK }),
  () => ({ opening: post(`/callbacks/flux/${randomBytes(8).toString('hex')}/guess`), more: CHUNK }),
  () => ({
    opening: 'GET /schema.graphql HTTP/1.1\r\nHost: a\r\n\r\n',
    more: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    neverReads: true,
  }),
  () => ({ opening: upgrade(), more: PING_FRAME, neverReads: true }),
  () => ({ opening: upgrade() }),
];

/** Opens connections that misbehave in turn, each again as soon as the service has closed it, for `ms`. */
export async function connectHostilely(port: number, count: number, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  const keepConnected = async (number: number): Promise<void> => {
    const hostility = HOSTILITIES[number % HOSTILITIES.length]?.() ?? { opening: '' };
    while (Date.now() < deadline) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined); // 'close' follows
      if (!hostility.neverReads) socket.resume();
      socket.write(hostility.opening);
      while (Date.now() < deadline && !socket.destroyed) {
        if (hostility.more && !socket.writableNeedDrain) socket.write(hostility.more);
        await pause(WRITE_INTERVAL_MS);
      }
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: count }, (_, number) => keepConnected(number)));
}
