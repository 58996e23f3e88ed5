import { once } from 'node:events';
import { type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import {
  MAX_UNFINISHED_MESSAGE_BYTES,
  UnfinishedMessages,
} from '../../../src/graphql/websocket/unfinished-messages.js';
import { waitFor } from '../../support/wait-for.js';

const HALF = MAX_UNFINISHED_MESSAGE_BYTES / 2;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

async function start() {
  const unfinished = new UnfinishedMessages();
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket, { socket: tcpSocket }) => {
    unfinished.watch(socket, tcpSocket);
    socket.on('message', () => socket.send('received'));
  });
  await once(server, 'listening');
  releases.push(() => (unfinished.stop(), server.close()));
  const { port } = server.address() as AddressInfo;
  return async (): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`).on('error', () => undefined);
    releases.push(() => socket.terminate());
    await once(socket, 'open');
    return socket;
  };
}

/** A part of a message that has one byte more. */
function beginMessage(socket: WebSocket, bytes: number): void {
  const head = Buffer.alloc(14);
  head.set([0x81, 0xff]);
  head.writeBigUInt64BE(BigInt(bytes + 1), 2);
  const { _socket: tcpSocket } = socket as unknown as { _socket: Socket };
  tcpSocket.write(Buffer.concat([head, Buffer.alloc(bytes, 'x')]));
}

// Enforces MAX_UNFINISHED_MESSAGE_BYTES in src/graphql/websocket/unfinished-messages.ts.
test('if messages that do not end are too large together, those that have sent most are cut, and others are served', async () => {
  const open = await start();
  const large = await Promise.all([open(), open(), open()]);
  const small = await open();
  const busy = await open();
  beginMessage(small, 10);
  for (const socket of large) beginMessage(socket, HALF);
  await waitFor(
    'two to be cut',
    () => large.filter(({ readyState }) => readyState === WebSocket.CLOSED).length === 2,
  );
  for (let n = 0; n < 10; n += 1) {
    busy.send('x'.repeat(HALF));
    busy.ping('x'.repeat(100));
    await once(busy, 'message');
  }
  expect([small, busy, ...large].filter(({ readyState }) => readyState === WebSocket.OPEN)).toHaveLength(3);
});
