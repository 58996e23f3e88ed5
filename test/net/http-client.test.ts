import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import { HttpClient, type HttpClientOptions } from '../../src/net/http-client.js';
import { BodyTooLarge } from '../../src/net/request-failed.js';
import {
  type RequestHandler,
  dropConnection,
  expectRequestFailed,
  replyTruncated,
  TestHttpServer,
  reply,
  neverReply,
} from '../support/net/test-http-server.js';

const releases: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

async function openServer(handler: RequestHandler): Promise<TestHttpServer> {
  const server = await TestHttpServer.open(handler);
  releases.push(() => server.close());
  return server;
}
function openClient(options?: HttpClientOptions): HttpClient {
  const client = new HttpClient(options);
  releases.push(() => client.destroy());
  return client;
}
/** Opens a TCP server and returns its port. */
async function openTcpServer(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
const replyWithoutHttp: RequestHandler = (response) => response.socket?.end('hello\r\n\r\n');
const TIMEOUT = { timeoutMs: 5_000 };

describe('postJson', () => {
  test('posts JSON with the given headers and returns status, headers and text', async () => {
    const server = await openServer(reply(418, { tea: 'Grüße' }, { 'X-Pot': 'small' }));
    const handler = await openClient().postJson(
      `${server.url}/a?b=c`,
      { x: 1 },
      { ...TIMEOUT, headers: { 'x-key': 'k' } },
    );
    expect(handler).toMatchObject({ status: 418, headers: { 'x-pot': 'small' }, body: '{"tea":"Grüße"}' });
    expect(server.requests).toMatchObject([
      {
        method: 'POST',
        path: '/a?b=c',
        body: '{"x":1}',
        headers: { 'content-type': 'application/json', 'x-key': 'k' },
      },
    ]);
  });

  test('reuses connections, except for a fresh one, which is never used again', async () => {
    const server = await openServer(reply(200, {}));
    const client = openClient();
    const post = async (freshConnection?: boolean) => {
      await client.postJson(server.url, {}, { ...TIMEOUT, freshConnection });
      return server.requests.at(-1)?.connection;
    };
    const shared = new Set<number | undefined>();
    const postUntilReused = async () => {
      for (let connection = await post(); !shared.has(connection); connection = await post())
        shared.add(connection);
    };
    await postUntilReused();
    const fresh = [await post(true), await post(true), await post(true)];
    await postUntilReused();
    expect(new Set([...shared, ...fresh]).size).toBe(shared.size + fresh.length);
    expect(server.sockets.size).toBe(shared.size + fresh.length);
  });

  test('closes a fresh connection after its response', async () => {
    const server = await openServer(reply(200, {}));
    await openClient().postJson(server.url, {}, { ...TIMEOUT, freshConnection: true });
    const [socket] = server.sockets;
    if (!socket?.closed) await once(socket as Socket, 'close');
    expect(socket?.closed).toBe(true);
    expect(server.requests).toMatchObject([{ headers: { connection: 'close' } }]);
  });

  test('does not fail on a fresh connection when an idle one is closed', async () => {
    const server = await openServer(reply(200, {}));
    const client = openClient();
    await client.postJson(server.url, {}, TIMEOUT);
    server.sockets.forEach((socket) => socket.resetAndDestroy());
    await expect(
      client.postJson(server.url, {}, { ...TIMEOUT, freshConnection: true }),
    ).resolves.toMatchObject({
      status: 200,
    });
  });

  test('returns a redirect as a response instead of following it', async () => {
    const server = await openServer(reply(302, '', { location: 'http://127.0.0.1:1/' }));
    await expect(openClient().postJson(server.url, {}, TIMEOUT)).resolves.toMatchObject({ status: 302 });
    expect(server.requests).toHaveLength(1);
  });

  test.each([true, false])(
    'reports "no" as sent when the connection is refused (fresh: %s)',
    async (freshConnection) => {
      const server = await TestHttpServer.open(neverReply);
      const { url } = server;
      await server.close();
      const failure = await expectRequestFailed(
        openClient().postJson(url, {}, { ...TIMEOUT, freshConnection }),
      );
      expect(failure).toMatchObject({ sent: 'no', reason: 'the connection was refused' });
      expect(failure.cause).toMatchObject({ code: 'ECONNREFUSED' });
    },
  );

  test('reports "no" as sent when the host does not exist', async () => {
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
    const connect = buildConnector({ lookup: (_host, _options, callback) => callback(unknown, '') });
    const failure = await expectRequestFailed(
      openClient({ connect }).postJson('http://flux.invalid/', {}, TIMEOUT),
    );
    expect(failure).toMatchObject({ sent: 'no', reason: 'the host name does not exist' });
  });

  test('reports "no" as sent when the server does not support TLS', async () => {
    const port = await openTcpServer((socket) => socket.end('what?\r\n'));
    const failure = await expectRequestFailed(
      openClient().postJson(`https://127.0.0.1:${port}/`, {}, TIMEOUT),
    );
    expect(failure.sent).toBe('no');
    expect(failure.reason).toMatch(/^no connection could be established \(/);
  });

  test('reports "no" as sent when the connection is closed during the TLS handshake', async () => {
    const port = await openTcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const failure = await expectRequestFailed(
      openClient().postJson(`https://127.0.0.1:${port}/`, {}, TIMEOUT),
    );
    expect(failure).toMatchObject({ sent: 'no', reason: 'no connection could be established (ECONNRESET)' });
  });

  test('reports "no" as sent when connecting takes too long', async () => {
    const port = await openTcpServer(() => undefined);
    const client = openClient({ connect: buildConnector({ timeout: 50 }) });
    const failure = await expectRequestFailed(
      client.postJson(`https://127.0.0.1:${port}/`, {}, { timeoutMs: 20_000 }),
    );
    expect(failure).toMatchObject({ sent: 'no', reason: 'the connection timed out' });
  });

  test('reports "no" as sent when the timeout has expired before the connection is established', async () => {
    const server = await openServer(reply(200, {}));
    const open = buildConnector({});
    const client = openClient({
      connect: (options, callback) =>
        AbortSignal.timeout(100).addEventListener('abort', () => open(options, callback)),
    });
    for (const freshConnection of [true, false]) {
      const failure = await expectRequestFailed(
        client.postJson(server.url, {}, { timeoutMs: 50, freshConnection }),
      );
      expect(failure).toMatchObject({ sent: 'no', reason: 'no complete response within 0.05 s' });
    }
    expect(server.requests).toHaveLength(0);
  });

  test('reports "no" as sent when the connector refuses', async () => {
    const server = await openServer(reply(200, {}));
    const client = openClient({
      connect: (_options, callback) => callback(new Error('not that address'), null),
    });
    const failure = await expectRequestFailed(
      client.postJson(server.url, {}, { ...TIMEOUT, freshConnection: true }),
    );
    expect(failure.sent).toBe('no');
    expect(server.sockets.size).toBe(0);
  });

  test.each(['ftp://127.0.0.1/', 'not a url'])('reports "no" as sent for the URL %s', async (url) => {
    await expect(expectRequestFailed(openClient().postJson(url, {}, TIMEOUT))).resolves.toMatchObject({
      sent: 'no',
    });
  });

  test.each([
    [
      'the connection is dropped',
      dropConnection,
      'the connection was closed before the response was complete',
    ],
    [
      'the response is truncated',
      replyTruncated,
      'the connection was closed before the response was complete',
    ],
    ['no response arrives in time', neverReply, 'no complete response within 0.2 s'],
    ['the response is not HTTP', replyWithoutHttp, /^the connection failed \(/],
  ])('reports "maybe" as sent when %s', async (_what, handler, reason) => {
    const server = await openServer(handler);
    for (const freshConnection of [true, false]) {
      const failure = await expectRequestFailed(
        openClient().postJson(server.url, {}, { timeoutMs: 200, freshConnection }),
      );
      expect(failure.sent).toBe('maybe');
      expect(failure.reason).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
    }
    expect(server.requests).toHaveLength(2);
  });

  test('reports "maybe" as sent when the body of the response never ends', async () => {
    const server = await openServer((response) => void response.writeHead(200).write('{'));
    await expect(
      expectRequestFailed(openClient().postJson(server.url, {}, { timeoutMs: 200 })),
    ).resolves.toMatchObject({
      sent: 'maybe',
      reason: 'no complete response within 0.2 s',
    });
  });

  test('reports "maybe" as sent when the response is larger than 10 MB', async () => {
    const server = await openServer(reply(200, 'x'.repeat(10 * 1024 * 1024 + 1)));
    const failure = await expectRequestFailed(openClient().postJson(server.url, {}, TIMEOUT));
    expect(failure).toMatchObject({ sent: 'maybe', cause: expect.any(BodyTooLarge) as unknown });
  });

  test('sends a request once, even when the HTTP library would send it again on a new connection', async () => {
    const opened: Socket[] = [];
    const open = buildConnector({});
    const client = openClient({
      connect: (options, callback) =>
        open(options, (...result) => {
          if (result[1]) opened.push(result[1]);
          callback(...result);
        }),
    });
    // undici considers a request with this error code safe to send again.
    const resendableError = Object.assign(new Error('reset'), { code: 'UND_ERR_INFO' });
    const server = await openServer(() => opened.at(-1)?.destroy(resendableError));
    for (const freshConnection of [true, false]) {
      const failure = await expectRequestFailed(
        client.postJson(server.url, {}, { ...TIMEOUT, freshConnection }),
      );
      expect(failure.sent).toBe('maybe');
    }
    expect(server.requests).toHaveLength(2);
  });

  test('reports errors without path, query, headers and body', async () => {
    const server = await openServer(dropConnection);
    const request = openClient().postJson(
      `${server.url}/secret1?secret2`,
      { a: 'secret3' },
      { ...TIMEOUT, headers: { b: 'secret4' } },
    );
    const failure = await expectRequestFailed(request);
    expect(`${failure.message} ${failure.reason}`).not.toContain('secret');
  });
});

test.each([true, false])(
  'destroy fails the request in progress (fresh: %s) as maybe sent, and later ones as not sent',
  async (fresh) => {
    const server = await openServer(neverReply);
    const client = openClient();
    const asked = new Promise<ServerResponse>((resolve) => (server.handler = resolve));
    const request = client.postJson(server.url, {}, { ...TIMEOUT, freshConnection: fresh });
    const failure = expectRequestFailed(request);
    await asked;
    await client.destroy();
    await expect(failure).resolves.toMatchObject({ sent: 'maybe', reason: 'the HTTP client is closed' });
    for (const freshConnection of [true, false]) {
      const late = client.postJson(server.url, {}, { ...TIMEOUT, freshConnection });
      await expect(expectRequestFailed(late)).resolves.toMatchObject({
        sent: 'no',
        reason: 'the HTTP client is closed',
      });
    }
    await client.destroy();
  },
);
