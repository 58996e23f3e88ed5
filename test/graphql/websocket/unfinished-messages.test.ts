import { once } from 'node:events';
import { type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { UnfinishedMessages } from '../../../src/graphql/websocket/unfinished-messages.js';
import { waitFor } from '../../support/wait-for.js';

const MAX_BYTES = 100_000;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

async function start() {
  const unfinished = new UnfinishedMessages(MAX_BYTES);
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

/** The beginning of a message of 60 kB, and a part of it. */
function beginMessage(socket: WebSocket, bytes: number): void {
  const head = Buffer.from([0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0]);
  const { _socket: tcpSocket } = socket as unknown as { _socket: Socket };
  tcpSocket.write(Buffer.concat([head, Buffer.alloc(bytes, 'x')]));
}

test('if messages that do not end are too large together, those that have sent most are cut, and others are served', async () => {
  const open = await start();
  const large = await Promise.all([open(), open(), open()]);
  const small = await open();
  const busy = await open();
  beginMessage(small, 10);
  for (const socket of large) beginMessage(socket, 50_000);
  await waitFor(
    'two to be cut',
    () => large.filter(({ readyState }) => readyState === WebSocket.CLOSED).length === 2,
  );
  for (let n = 0; n < 10; n += 1) {
    busy.send('x'.repeat(50_000));
    busy.ping('x'.repeat(100));
    await once(busy, 'message');
  }
  expect([small, busy, ...large].filter(({ readyState }) => readyState === WebSocket.OPEN)).toHaveLength(3);
});
