import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request as httpRequest } from 'node:http';
import { type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { UnreadBodies } from '../../../src/http/server/unread-bodies.js';
import { waitFor } from '../../support/wait-for.js';

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

test('refused bodies leave nothing behind on a connection that serves more requests', async () => {
  const served = new Map<Socket, IncomingMessage>();
  const server = createServer();
  const unreadBodies = new UnreadBodies(server);
  server.on(
    'request',
    unreadBodies.handler((request, response) => {
      served.set(request.socket, request);
      response.writeHead(401, { 'content-length': 2 }).end('no');
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  releases.push(() => (agent.destroy(), unreadBodies.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  /** Sends half of a body, and the other half after the answer. */
  const sendRefused = async () => {
    const headers = { 'content-length': 4 };
    const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', agent, headers });
    request.write('ab');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const ended = once(response.resume(), 'close');
    request.end('cd');
    await ended;
    await waitFor('the whole body', () =>
      [...served.values()].every(({ complete, closed }) => complete && closed),
    );
  };
  const listeners = () => {
    const [socket] = served.keys();
    return socket?.eventNames().map((name) => [String(name), socket.listenerCount(name)]);
  };
  await sendRefused();
  const before = listeners();
  for (let n = 0; n < 12; n += 1) await sendRefused();
  expect(served.size).toBe(1);
  expect(listeners()).toEqual(before);
});
