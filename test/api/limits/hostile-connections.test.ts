import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { brotliCompressSync, constants } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Request, type Response } from 'express';
import { WebSocket } from 'ws';
import { MAX_BYTES_BEFORE_INIT } from '../../../src/graphql/websocket/bytes-before-init.js';
import {
  MAX_CONCURRENT_STARTS,
  MAX_UNREAD_BYTES,
  MAX_UNREAD_BYTES_BEFORE_INIT,
} from '../../../src/graphql/websocket/socket-backlog.js';
import {
  MAX_JSON_BYTES,
  MAX_UNFINISHED_BYTES,
  RequestBodies,
} from '../../../src/http/server/request-bodies.js';
import { WaitingConnections } from '../../../src/http/server/waiting-connections.js';
import { INTROSPECTION_QUERY } from '../../support/app/hostile-documents.js';
import { TestApp } from '../../support/app/test-app.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { waitFor } from '../../support/wait-for.js';

/** The largest message that a client may send. */
const MAX_MESSAGE_BYTES = 64 * 1024;
const LARGE_PING = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(60_000) } });
const JSON_HEADERS = { 'content-type': 'application/json' };

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api', MAX_IMAGE_BYTES: '200000' } });
});
afterAll(() => app.stop());

const open: { destroy(): void }[] = [];
afterEach(() => {
  jest.restoreAllMocks();
  for (const one of open.splice(0)) one.destroy();
});

/** The service's ends of the WebSockets on which it has sent something since this call. */
function serverSockets(): () => Set<WebSocket> {
  const send = jest.spyOn(WebSocket.prototype, 'send');
  const isServer = (socket: WebSocket) => (socket as unknown as { _isServer: boolean })._isServer;
  return () => new Set((send.mock.contexts as WebSocket[]).filter(isServer));
}

/** Opens a WebSocket whose client reads nothing after the upgrade, or after the acknowledgement of its key. */
async function openDeaf(key?: string): Promise<RawWebSocket> {
  const raw = key ? await RawWebSocket.openAcknowledged(app.url, key) : await RawWebSocket.open(app.url);
  raw.socket.pause();
  open.push({ destroy: () => raw.cut() });
  return raw;
}

async function openRaw(text: string): Promise<Socket> {
  const socket = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true });
  open.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

describe('a client without a key that does not read', () => {
  test('is cut before the service keeps much for it, if it sends large pings', async () => {
    const sockets = serverSockets();
    const clients = await Promise.all(Array.from({ length: 4 }, () => openDeaf()));
    let mostUnread = 0;
    const measure = () => {
      for (const { bufferedAmount } of sockets()) mostUnread = Math.max(mostUnread, bufferedAmount);
    };
    let cut = 0;
    for (const { closed } of clients) void closed.then(() => (cut += 1));
    await waitFor('all clients to be cut', () => {
      for (const raw of clients)
        if (raw.socket.readyState === WebSocket.OPEN && raw.socket.bufferedAmount < 1024 * 1024)
          for (let n = 0; n < 10; n += 1) raw.send(LARGE_PING);
      measure();
      return cut === clients.length;
    });
    expect(mostUnread).toBeLessThanOrEqual(MAX_UNREAD_BYTES_BEFORE_INIT + MAX_MESSAGE_BYTES);
  }, 30_000);

  test('is cut if it sends ping frames', async () => {
    const raw = await openDeaf();
    let isCut = false;
    void raw.closed.then(() => (isCut = true));
    await waitFor('the client to be cut', () => {
      if (raw.socket.readyState === WebSocket.OPEN && raw.socket.bufferedAmount < 1024 * 1024)
        for (let n = 0; n < 1_000; n += 1) raw.socket.ping('x'.repeat(125));
      return isCut;
    });
  }, 30_000);

  test('is cut if it sends more than a connection_init needs, though it reads everything', async () => {
    const raw = await RawWebSocket.open(app.url);
    open.push({ destroy: () => raw.cut() });
    const small = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(1_000) } });
    let sentBytes = 0;
    let isCut = false;
    void raw.closed.then(() => (isCut = true));
    await waitFor('the client to be cut', () => {
      if (!isCut) raw.send(small);
      sentBytes += small.length;
      return isCut;
    });
    expect(sentBytes).toBeGreaterThan(0.9 * MAX_BYTES_BEFORE_INIT);
  }, 30_000);

  test('is cut if it sends many empty ping frames, though it reads everything', async () => {
    const raw = await RawWebSocket.open(app.url);
    open.push({ destroy: () => raw.cut() });
    let isCut = false;
    void raw.closed.then(() => (isCut = true));
    await waitFor('the client to be cut', () => {
      if (!isCut && raw.socket.bufferedAmount < 1024 * 1024)
        for (let n = 0; n < 100; n += 1) raw.socket.ping();
      return isCut;
    });
  }, 8_000);

  test.each(['/nowhere', '/graphql'])('is disconnected after its upgrade of %s was refused', async (path) => {
    const socket = await openRaw(
      `GET ${path} HTTP/1.1\r\nhost: x\r\norigin: null\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    );
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // The client keeps its own end open until a write shows that the service has closed the connection.
    await once(socket.resume(), 'end');
    await waitFor('the connection to be reset', () => socket.destroyed || (socket.write('x'), false));
    await closed;
  });
});

test('a WebSocket is one of the connections that wait for their client until its key is accepted', async () => {
  const release = jest.spyOn(WaitingConnections.prototype, 'release');
  const silent = await openDeaf();
  const refused = await RawWebSocket.open(app.url);
  refused.sendConnectionInit('dk_wrong');
  await refused.closed;
  expect(release).not.toHaveBeenCalled();
  await openDeaf(app.apiKey);
  expect(release).toHaveBeenCalledTimes(1);
  const [waiting] = release.mock.contexts as WaitingConnections[];
  expect(waiting?.count).toBeGreaterThanOrEqual(1);
  silent.cut();
});

describe('a client with a key that does not read', () => {
  test('gets every result once it reads, and until then the service keeps a bounded part of them', async () => {
    const sockets = serverSockets();
    const raw = await openDeaf(app.apiKey);
    const { data } = (
      await app.postBody(
        '/graphql',
        { query: INTROSPECTION_QUERY },
        { authorization: `Bearer ${app.apiKey}` },
      )
    ).json as { data: object };
    const resultBytes = JSON.stringify(data).length;
    const count = 50;
    expect(resultBytes * count).toBeGreaterThan(6 * MAX_UNREAD_BYTES);
    for (let n = 0; n < count; n += 1)
      raw.send({ type: 'subscribe', id: String(n), payload: { query: INTROSPECTION_QUERY } });
    const unread = () => Math.max(0, ...[...sockets()].map(({ bufferedAmount }) => bufferedAmount));
    await waitFor('the service to stop sending', () => unread() > MAX_UNREAD_BYTES);
    // A query on another connection shows that the service has gone on with everything that it could.
    for (let n = 0; n < 20; n += 1)
      await app.postBody(
        '/graphql',
        { query: '{ viewer { keyName } }' },
        { authorization: `Bearer ${app.apiKey}` },
      );
    expect(unread()).toBeLessThanOrEqual(
      MAX_UNREAD_BYTES + (MAX_CONCURRENT_STARTS + 1) * (resultBytes + 200),
    );
    raw.socket.resume();
    await waitFor(
      'every result',
      () => raw.messages.filter(({ type }) => type === 'complete').length === count,
    );
    expect(raw.messages.filter(({ type }) => type === 'next')).toHaveLength(count);
  }, 60_000);
});

describe('a request body', () => {
  const bearer = () => ({ authorization: `Bearer ${app.apiKey}`, ...JSON_HEADERS });

  /** Sends the same compressed body eight times, each on its own connection, and returns the seconds of processor time. */
  async function secondsFor(path: string, compressed: Buffer): Promise<number> {
    const before = process.cpuUsage();
    const statuses = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const headers = { ...bearer(), 'content-encoding': 'br' };
        const outgoing = httpRequest(app.url + path, { method: 'POST', headers, agent: false });
        outgoing.end(compressed);
        const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
        await once(response.resume(), 'end');
        return response.statusCode;
      }),
    );
    expect(statuses).toEqual(Array(8).fill(413));
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  }

  // Enforces MAX_JSON_BYTES in src/http/server/request-bodies.ts.
  // Enforces MAX_STREAM_OPERATION_BYTES in src/http/server/request-bodies.ts.
  test.each(['/graphql', '/graphql/stream', '/flux/images'])(
    'that decompresses to far more than its bound is refused by %s, and not decompressed to its end',
    async (path) => {
      // The largest window that is decompressed at all.
      const params = { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 22 };
      const compress = (megabytes: number) =>
        brotliCompressSync(Buffer.alloc(megabytes * 1024 * 1024, ' '), { params });
      const bomb = compress(256);
      expect(bomb.length).toBeLessThan(1_000);
      await secondsFor(path, compress(2));
      const secondsForTwice = await secondsFor(path, compress(2));
      // All of it would take a hundred times as long.
      expect(await secondsFor(path, bomb)).toBeLessThan(20 * secondsForTwice + 2);
    },
    60_000,
  );

  test.each([
    ['POST', '/graphql', 401],
    ['POST', '/graphql/stream', 401],
    ['POST', '/flux/images', 401],
    ['POST', '/flux/tasks', 401],
    ['POST', '/callbacks/flux/01a224e7-ec33-71bb-8254-6f871a06be78/nonsense', 401],
    ['PUT', '/uploads/01a224e7-ec33-71bb-8254-6f871a06be78?t=nonsense', 403],
    ['POST', '/uploads/01a224e7-ec33-71bb-8254-6f871a06be78?t=nonsense', 403],
  ])('of %s %s is not waited for without a valid credential', async (method, path, status) => {
    const type =
      path.startsWith('/uploads') && method === 'POST' ? 'multipart/form-data' : 'application/json';
    const socket = await openRaw(
      `${method} ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 100000\r\n\r\n{`,
    );
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });
});

describe('bodies that have not ended', () => {
  async function startServer() {
    const bodies = new RequestBodies();
    const parse = bodies.json(MAX_JSON_BYTES);
    const server = createServer((request: IncomingMessage, response: ServerResponse) => {
      void parse(request as Request, {} as Response, (error?: unknown) => {
        if (!response.destroyed) response.end(error ? 'refused' : JSON.stringify((request as Request).body));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({ destroy: () => (server.closeAllConnections(), server.close()) });
    const { port } = server.address() as AddressInfo;
    const begin = async (length: number, headers = '') => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      open.push(socket);
      await once(socket, 'connect');
      socket.write(
        `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}content-length: ${length + 2}\r\n\r\n"${'x'.repeat(length)}`,
      );
      return socket.resume();
    };
    return { bodies, begin, url: `http://127.0.0.1:${port}/` };
  }

  // Enforces MAX_UNFINISHED_BYTES in src/http/server/request-bodies.ts.
  test.each([
    ['sent in full but for one byte', '', 900_000],
    ['compressed', 'content-encoding: gzip\r\n', 900_000],
  ])(
    'take a bounded part of memory if they are %s: the oldest are cut, others are read',
    async (_what, headers, length) => {
      const { bodies, begin, url } = await startServer();
      const sockets: Socket[] = [];
      for (let n = 0; n < 60; n += 1) {
        sockets.push(await begin(length, headers));
        expect(bodies.unfinishedBytes).toBeLessThanOrEqual(MAX_UNFINISHED_BYTES);
      }
      await waitFor('the oldest to be cut', () => sockets.slice(0, 45).every(({ destroyed }) => destroyed));
      expect(sockets.at(-1)?.destroyed).toBe(false);
      const response = await fetch(url, { method: 'POST', headers: JSON_HEADERS, body: '[1]' });
      expect(await response.text()).toBe('[1]');
      for (const socket of sockets) socket.destroy();
      await waitFor('nothing to be kept', () => bodies.unfinishedBytes === 0);
    },
  );

  test('are forgotten when they end', async () => {
    const { bodies, url } = await startServer();
    for (let n = 0; n < 10; n += 1) {
      const body = JSON.stringify(['x'.repeat(900_000)]);
      await (await fetch(url, { method: 'POST', headers: JSON_HEADERS, body })).text();
    }
    expect(bodies.unfinishedBytes).toBe(0);
  });
});
