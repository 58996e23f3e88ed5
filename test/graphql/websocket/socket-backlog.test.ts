import { once } from 'node:events';
import { type IncomingMessage } from 'node:http';
import { type AddressInfo } from 'node:net';
import { setImmediate as nextTick } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import {
  MAX_CONCURRENT_STARTS,
  MAX_UNREAD_BYTES,
  MAX_UNREAD_BYTES_BEFORE_INIT,
  SocketBacklog,
} from '../../../src/graphql/websocket/socket-backlog.js';
import { waitFor } from '../../support/wait-for.js';

const TEXT = 'x'.repeat(16 * 1024);
/** Together they have more bytes than the kernel keeps for a loopback connection. */
const TEXT_COUNT = 2_000;
/** What is read from a socket at once. */
const PIECE_BYTES = 64 * 1024;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

/** A WebSocket whose client reads nothing, and the service's end of it. */
async function openUnread() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  releases.push(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}`).on('error', () => undefined);
  releases.push(() => client.terminate());
  client.once('open', () => client.pause());
  const opened = once(client, 'open');
  const [socket, request] = (await once(server, 'connection')) as [WebSocket, IncomingMessage];
  await opened;
  return { client, socket, backlog: new SocketBacklog(socket, request.socket) };
}

// Enforces MAX_UNREAD_BYTES_BEFORE_INIT in src/graphql/websocket/socket-backlog.ts.
test('a client without an accepted key is cut when it leaves too much unread', async () => {
  const { socket, backlog } = await openUnread();
  let mostUnread = 0;
  let count = 0;
  for (; socket.readyState === WebSocket.OPEN && count < TEXT_COUNT; count += 1) {
    backlog.send(TEXT);
    mostUnread = Math.max(mostUnread, socket.bufferedAmount);
    await nextTick();
  }
  expect(count).toBeLessThan(TEXT_COUNT);
  expect(mostUnread).toBeLessThan(MAX_UNREAD_BYTES_BEFORE_INIT + 2 * TEXT.length);
});

// Enforces MAX_UNREAD_BYTES in src/graphql/websocket/socket-backlog.ts.
test('a client with an accepted key is not read from while it leaves too much unread', async () => {
  const { client, socket, backlog } = await openUnread();
  backlog.trust();
  socket.on('message', () => backlog.send(TEXT));
  for (let n = 0; n < TEXT_COUNT; n += 1) client.send(TEXT);
  await waitFor('the service to stop reading', () => socket.isPaused);
  expect(socket.bufferedAmount).toBeLessThan(MAX_UNREAD_BYTES + 2 * PIECE_BYTES);
  let received = 0;
  client.on('message', () => (received += 1)).resume();
  await waitFor('all answers', () => received === TEXT_COUNT);
});

test('operations of a client with an accepted key start when it has read the results of others', async () => {
  const { client, socket, backlog } = await openUnread();
  backlog.trust();
  let started = 0;
  for (let n = 0; n < TEXT_COUNT; n += 1)
    void backlog.run(() => {
      started += 1;
      backlog.send(TEXT);
      return Promise.resolve();
    });
  await waitFor('some to wait', () => socket.bufferedAmount > MAX_UNREAD_BYTES);
  expect(socket.bufferedAmount).toBeLessThan(MAX_UNREAD_BYTES + MAX_CONCURRENT_STARTS * 2 * TEXT.length);
  client.resume();
  await waitFor('all to start', () => started === TEXT_COUNT);
});
