import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import {
  createHttpServer,
  HEADERS_TIMEOUT_MS,
  watchRequestTimeouts,
} from '../../../src/http/server/listen.js';

const TIMEOUT_MS = 200;
/** Twenty pieces of a body, far apart enough to take longer than the time-out together. */
const PIECES = 20;
const PAUSE_MS = 50;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

async function start(handle = answerWithLength) {
  const server = createHttpServer();
  watchRequestTimeouts(server, TIMEOUT_MS);
  server.on('request', handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (server.closeAllConnections(), server.close()));
  return { server, port: (server.address() as AddressInfo).port };
}

function answerWithLength(request: IncomingMessage, response: ServerResponse): void {
  let length = 0;
  request.on('data', (piece: Buffer) => (length += piece.length));
  request.on('error', () => undefined).on('end', () => response.end(`${length} bytes`));
}

/** Sends a body slowly but steadily. Resolves to what the server answers until it closes the connection. */
async function sendSlowly(port: number, path: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  releases.push(() => socket.destroy());
  let answer = '';
  socket.on('data', (piece) => (answer += String(piece)));
  socket.write(`PUT ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${PIECES}\r\n\r\n`);
  let sent = 0;
  const timer = setInterval(() => {
    if (sent++ < PIECES && socket.writable) socket.write('x');
  }, PAUSE_MS);
  await once(socket, 'close');
  clearInterval(timer);
  return answer;
}

test('an upload may take longer than any other request', async () => {
  const { server, port } = await start();
  // Node cuts every request after this time, whatever its path.
  expect(server.requestTimeout).toBe(0);
  expect(server.headersTimeout).toBe(HEADERS_TIMEOUT_MS);
  expect(await sendSlowly(port, '/uploads/1?t=2')).toMatch(new RegExp(`${PIECES} bytes$`));
});

test.each(['/graphql', '/callbacks/1', '/', '//uploads/1', '/uploads'])(
  'a body for %s that does not arrive in time gets 408, and is cut',
  async (path) => {
    const { port } = await start();
    expect(await sendSlowly(port, path)).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  },
);

test('a request that has arrived may be answered later', async () => {
  const { port } = await start(
    (_request, response) => void setTimeout(() => response.end('late'), 2 * TIMEOUT_MS),
  );
  const response = await fetch(`http://127.0.0.1:${port}/flux/images`, { method: 'POST', body: 'x' });
  expect(await response.text()).toBe('late');
});

test('a body that does not arrive in time changes no response that is sent before its own', async () => {
  const { port } = await start(({ method }, response) => {
    if (method === 'GET') response.write('the first piece');
  });
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  releases.push(() => socket.destroy());
  let answer = '';
  socket.on('data', (piece) => (answer += String(piece)));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n');
  await once(socket, 'close');
  expect(answer).toMatch(/the first piece\r\n$/);
});
