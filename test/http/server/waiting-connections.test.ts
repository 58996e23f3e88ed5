import { once } from 'node:events';
import { type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createHttpServer, HEADERS_TIMEOUT_MS } from '../../../src/http/server/listen.js';
import { MAX_PIPELINED_REQUESTS, PipelinedRequests } from '../../../src/http/server/pipelined-requests.js';
import {
  MAX_WAITING_BYTES,
  MAX_WAITING_CONNECTIONS,
  WaitingConnections,
} from '../../../src/http/server/waiting-connections.js';
import { waitFor } from '../../support/wait-for.js';

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
const INCOMPLETE = 'GET / HTTP/1.1\r\nhost: x\r\n';
const UPGRADE = `${INCOMPLETE}connection: upgrade\r\nupgrade: websocket\r\n\r\n`;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

interface Options {
  maxConnections?: number;
  maxBytes?: number;
  headersTimeoutMs?: number;
  handle?: RequestListener;
}

async function start({ maxConnections, maxBytes, headersTimeoutMs, handle }: Options = {}) {
  const server = createHttpServer(headersTimeoutMs);
  const waiting = new WaitingConnections(maxConnections, maxBytes);
  waiting.watch(server);
  server.on('request', handle ?? ((_request, response) => void response.end('ok')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (waiting.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  /** Connects and sends `text`. */
  const open = async (text = ''): Promise<Socket> => {
    const connected = once(server, 'connection');
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    releases.push(() => socket.destroy());
    await connected;
    socket.write(text);
    return socket.resume();
  };
  return { waiting, open, server, url: `http://127.0.0.1:${port}/` };
}

describe('connections that wait for their client', () => {
  test.each([
    ['send nothing', ''],
    ['do not complete their headers', INCOMPLETE],
  ])(
    'are cut if there are too many that %s, the oldest first, and others are served',
    async (_what, text) => {
      const { waiting, open, url } = await start({ maxConnections: 5 });
      const sockets: Socket[] = [];
      for (let n = 0; n < 20; n += 1) {
        sockets.push(await open(text));
        expect(waiting.count).toBeLessThanOrEqual(5);
      }
      await waitFor('the oldest to be cut', () => sockets.slice(0, 15).every(({ destroyed }) => destroyed));
      expect(sockets.at(-1)?.destroyed).toBe(false);
      expect((await fetch(url)).status).toBe(200);
    },
  );

  // Enforces MAX_WAITING_CONNECTIONS in src/http/server/waiting-connections.ts.
  test('are cut if there are more than thousands', async () => {
    const { waiting, open, server } = await start();
    const oldest = await open();
    // They are not connected. With real ones, a process would have more files open than it may on some machines.
    for (let n = 0; n < MAX_WAITING_CONNECTIONS; n += 1) server.emit('connection', new Socket());
    await waitFor('the oldest to be cut', () => oldest.destroyed);
    expect(waiting.count).toBe(MAX_WAITING_CONNECTIONS);
  });

  // Enforces MAX_WAITING_BYTES in src/http/server/waiting-connections.ts.
  test('are cut if they have sent megabytes together, such as WebSockets without an accepted key', async () => {
    const { open, server } = await start();
    server.on('upgrade', (_request, socket: Socket) => socket.on('error', () => undefined).resume());
    const small = await open(UPGRADE + 'x'.repeat(MAX_WAITING_BYTES / 4));
    const large = await open(UPGRADE + 'x'.repeat(MAX_WAITING_BYTES));
    await waitFor('the one that has sent most to be cut', () => large.destroyed);
    expect(small.destroyed).toBe(false);
  });

  test('are cut if they have sent too much together, but not those that have sent little', async () => {
    const { open } = await start({ maxBytes: 50_000 });
    const idle = await open(REQUEST);
    await once(idle, 'data');
    const slow = await open(INCOMPLETE);
    const sockets: Socket[] = [];
    for (let n = 0; n < 10; n += 1) sockets.push(await open(`${INCOMPLETE}x-long: ${'y'.repeat(10_000)}`));
    await waitFor('some to be cut', () => sockets.filter(({ destroyed }) => destroyed).length >= 6);
    expect(idle.destroyed).toBe(false);
    expect(slow.destroyed).toBe(false);
  });

  test('do not include those whose request is being handled, nor those that were released', async () => {
    const responses: ServerResponse[] = [];
    const { waiting, open, server } = await start({
      maxConnections: 2,
      handle: (_request, response) => void responses.push(response),
    });
    const busy = await open(REQUEST);
    await waitFor('the request', () => responses.length === 1);
    const [released] = (await Promise.all([once(server, 'connection'), open()])).flat() as [Socket, Socket];
    waiting.release(released);
    expect(waiting.count).toBe(0);
    for (let n = 0; n < 10; n += 1) await open();
    expect(released.destroyed).toBe(false);
    responses[0]?.end('late');
    const [answer] = (await once(busy, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 /);
    await waitFor('the connection to be idle', () => waiting.count === 2);
  });

  test('are forgotten when they close', async () => {
    const { waiting, open } = await start();
    const sockets = await Promise.all([open(), open(INCOMPLETE), open(REQUEST)]);
    for (const socket of sockets) socket.destroy();
    await waitFor('nothing to be kept', () => waiting.count === 0);
  });
});

// Enforces HEADERS_TIMEOUT_MS in src/http/server/listen.ts.
test('a client that does not complete its headers in time is cut', async () => {
  expect(HEADERS_TIMEOUT_MS).toBeLessThanOrEqual(15_000);
  const { open } = await start({ headersTimeoutMs: 300 });
  const sockets = [await open(), await open(INCOMPLETE)];
  const timer = setInterval(() => sockets[1]?.write('x-more: 1\r\n'), 50);
  releases.push(() => clearInterval(timer));
  await waitFor('both to be cut', () => sockets.every(({ destroyed }) => destroyed));
});

describe('requests that a client sends before it has read the responses', () => {
  async function startPipelined() {
    const responses: ServerResponse[] = [];
    const handle = new PipelinedRequests().handler((_request, response) => void responses.push(response));
    return { responses, ...(await start({ handle })) };
  }

  test('are handled one after another', async () => {
    const { responses, open } = await startPipelined();
    const socket = await open(REQUEST.repeat(MAX_PIPELINED_REQUESTS));
    let answers = 0;
    socket.on('data', (bytes: Buffer) => (answers += bytes.toString().split('HTTP/1.1 200').length - 1));
    for (let n = 1; n <= MAX_PIPELINED_REQUESTS; n += 1) {
      await waitFor('the next request', () => responses.length === n);
      responses.at(-1)?.end('ok');
      await waitFor('its response', () => answers === n);
    }
    expect(socket.destroyed).toBe(false);
  });

  // Enforces MAX_PIPELINED_REQUESTS in src/http/server/pipelined-requests.ts.
  test('are not parsed if there are too many, and the connection ends with the last one that may wait', async () => {
    const { responses, open, server } = await startPipelined();
    let parsed = 0;
    server.on('request', () => (parsed += 1));
    const socket = await open(REQUEST.repeat(MAX_PIPELINED_REQUESTS * 100));
    // The one that is handled, those that wait, and the one that was too many.
    const expected = MAX_PIPELINED_REQUESTS + 2;
    await waitFor('the first requests', () => parsed >= expected);
    for (let piece = 0; piece < 10; piece += 1) socket.write(REQUEST.repeat(1_000));
    for (let n = 1; n <= MAX_PIPELINED_REQUESTS + 1; n += 1) {
      await waitFor('the next request', () => responses.length === n);
      responses.at(-1)?.end('ok');
    }
    await waitFor('the connection to end', () => socket.destroyed);
    expect([responses.length, parsed]).toEqual([MAX_PIPELINED_REQUESTS + 1, expected]);
    expect((await open(REQUEST)).destroyed).toBe(false);
    await waitFor('the next client to be served', () => responses.length === MAX_PIPELINED_REQUESTS + 2);
  });
});
