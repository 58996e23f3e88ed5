import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import { HttpClient, type HttpClientOptions } from '../../src/net/http-client.js';
import { BodyTooLarge } from '../../src/net/request-failed.js';
import { type Answerer, drop, failureOf, halfReply, Peer, reply, silence } from '../support/net/http-peer.js';

const releases: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

async function openPeer(answer: Answerer): Promise<Peer> {
  const peer = await Peer.open(answer);
  releases.push(() => peer.close());
  return peer;
}
function openClient(options?: HttpClientOptions): HttpClient {
  const client = new HttpClient(options);
  releases.push(() => client.close());
  return client;
}
/** A TCP server that does with a connection what it is told. */
async function openTcp(onConnection: (socket: Socket) => void): Promise<number> {
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
const noHttp: Answerer = (response) => response.socket?.end('hello\r\n\r\n');
const SOON = { timeoutMs: 5_000 };

describe('postJson', () => {
  test('posts JSON with the given headers and returns status, headers and text', async () => {
    const peer = await openPeer(reply(418, { tea: 'Grüße' }, { 'X-Pot': 'small' }));
    const answer = await openClient().postJson(
      `${peer.url}/a?b=c`,
      { x: 1 },
      { ...SOON, headers: { 'x-key': 'k' } },
    );
    expect(answer).toMatchObject({ status: 418, headers: { 'x-pot': 'small' }, body: '{"tea":"Grüße"}' });
    expect(peer.received).toMatchObject([
      {
        method: 'POST',
        path: '/a?b=c',
        body: '{"x":1}',
        headers: { 'content-type': 'application/json', 'x-key': 'k' },
      },
    ]);
  });

  test('reuses a connection, except when a fresh one is asked for, which is then never used again', async () => {
    const peer = await openPeer(reply(200, {}));
    const client = openClient();
    const post = async (freshConnection?: boolean) => {
      await client.postJson(peer.url, {}, { ...SOON, freshConnection });
      return peer.received.at(-1)?.connection;
    };
    const shared = new Set<number | undefined>();
    const untilOneIsReused = async () => {
      for (let one = await post(); !shared.has(one); one = await post()) shared.add(one);
    };
    await untilOneIsReused();
    const own = [await post(true), await post(true), await post(true)];
    await untilOneIsReused();
    expect(new Set([...shared, ...own]).size).toBe(shared.size + own.length);
    expect(peer.sockets.size).toBe(shared.size + own.length);
  });

  test('a fresh connection is closed when its answer is there', async () => {
    const peer = await openPeer(reply(200, {}));
    await openClient().postJson(peer.url, {}, { ...SOON, freshConnection: true });
    const [socket] = peer.sockets;
    if (!socket?.closed) await once(socket as Socket, 'close');
    expect(socket?.closed).toBe(true);
    expect(peer.received).toMatchObject([{ headers: { connection: 'close' } }]);
  });

  test('a fresh connection is not touched by the closing of an idle one', async () => {
    const peer = await openPeer(reply(200, {}));
    const client = openClient();
    await client.postJson(peer.url, {}, SOON);
    peer.sockets.forEach((socket) => socket.resetAndDestroy());
    await expect(client.postJson(peer.url, {}, { ...SOON, freshConnection: true })).resolves.toMatchObject({
      status: 200,
    });
  });

  test('answers with the reply, not with an error, when it redirects', async () => {
    const peer = await openPeer(reply(302, '', { location: 'http://127.0.0.1:1/' }));
    await expect(openClient().postJson(peer.url, {}, SOON)).resolves.toMatchObject({ status: 302 });
    expect(peer.received).toHaveLength(1);
  });

  test.each([true, false])(
    'the first byte never left: refused connection (fresh: %s)',
    async (freshConnection) => {
      const peer = await Peer.open(silence);
      const { url } = peer;
      await peer.close();
      const failure = await failureOf(openClient().postJson(url, {}, { ...SOON, freshConnection }));
      expect(failure).toMatchObject({ sent: 'no', reason: 'the connection was refused' });
      expect(failure.cause).toMatchObject({ code: 'ECONNREFUSED' });
    },
  );

  test('the first byte never left: no such host', async () => {
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
    const connect = buildConnector({ lookup: (_host, _options, callback) => callback(unknown, '') });
    const failure = await failureOf(openClient({ connect }).postJson('http://flux.invalid/', {}, SOON));
    expect(failure).toMatchObject({ sent: 'no', reason: 'the host name is not known' });
  });

  test('the first byte never left: the peer speaks no TLS', async () => {
    const port = await openTcp((socket) => socket.end('what?\r\n'));
    const failure = await failureOf(openClient().postJson(`https://127.0.0.1:${port}/`, {}, SOON));
    expect(failure.sent).toBe('no');
    expect(failure.reason).toMatch(/^no connection could be made \(/);
  });

  test('the first byte never left: the connection is closed during the TLS handshake', async () => {
    const port = await openTcp((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const failure = await failureOf(openClient().postJson(`https://127.0.0.1:${port}/`, {}, SOON));
    expect(failure).toMatchObject({ sent: 'no', reason: 'no connection could be made (ECONNRESET)' });
  });

  test('the first byte never left: connecting takes too long', async () => {
    const port = await openTcp(() => undefined);
    const client = openClient({ connectTimeoutMs: 50 });
    const failure = await failureOf(client.postJson(`https://127.0.0.1:${port}/`, {}, { timeoutMs: 20_000 }));
    expect(failure).toMatchObject({ sent: 'no', reason: 'no connection could be made in time' });
  });

  test('the first byte never left: the time is up when the connection is there at last', async () => {
    const peer = await openPeer(reply(200, {}));
    const open = buildConnector({});
    const client = openClient({
      connect: (options, callback) =>
        AbortSignal.timeout(100).addEventListener('abort', () => open(options, callback)),
    });
    for (const freshConnection of [true, false]) {
      const failure = await failureOf(client.postJson(peer.url, {}, { timeoutMs: 50, freshConnection }));
      expect(failure).toMatchObject({ sent: 'no', reason: 'no complete answer within 0.05 s' });
    }
    expect(peer.received).toHaveLength(0);
  });

  test('the first byte never left: the guard that opens connections refuses', async () => {
    const peer = await openPeer(reply(200, {}));
    const client = openClient({
      connect: (_options, callback) => callback(new Error('not that address'), null),
    });
    const failure = await failureOf(client.postJson(peer.url, {}, { ...SOON, freshConnection: true }));
    expect(failure.sent).toBe('no');
    expect(peer.sockets.size).toBe(0);
  });

  test.each(['ftp://127.0.0.1/', 'not a url'])('the first byte never left: %s', async (url) => {
    await expect(failureOf(openClient().postJson(url, {}, SOON))).resolves.toMatchObject({ sent: 'no' });
  });

  test.each([
    ['the connection is dropped', drop, 'the connection was closed before the answer was complete'],
    ['the answer stops half-way', halfReply, 'the connection was closed before the answer was complete'],
    ['no answer comes in time', silence, 'no complete answer within 0.2 s'],
    ['the answer is no HTTP', noHttp, /^the connection failed \(/],
  ])('it may have arrived: %s', async (_what, answer, reason) => {
    const peer = await openPeer(answer);
    for (const freshConnection of [true, false]) {
      const failure = await failureOf(
        openClient().postJson(peer.url, {}, { timeoutMs: 200, freshConnection }),
      );
      expect(failure.sent).toBe('maybe');
      expect(failure.reason).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
    }
    expect(peer.received).toHaveLength(2);
  });

  test('it may have arrived: the body of the answer never ends', async () => {
    const peer = await openPeer((response) => void response.writeHead(200).write('{'));
    await expect(failureOf(openClient().postJson(peer.url, {}, { timeoutMs: 200 }))).resolves.toMatchObject({
      sent: 'maybe',
      reason: 'no complete answer within 0.2 s',
    });
  });

  test('it may have arrived: the answer is longer than 10 MB', async () => {
    const peer = await openPeer(reply(200, 'x'.repeat(10 * 1024 * 1024 + 1)));
    const failure = await failureOf(openClient().postJson(peer.url, {}, SOON));
    expect(failure).toMatchObject({ sent: 'maybe', cause: expect.any(BodyTooLarge) as unknown });
  });

  test('leaves once, even where the HTTP library would write it again on a new connection', async () => {
    const opened: Socket[] = [];
    const open = buildConnector({});
    const client = openClient({
      connect: (options, callback) =>
        open(options, (...result) => {
          if (result[1]) opened.push(result[1]);
          callback(...result);
        }),
    });
    // This code is the library's own word for "not the request's fault".
    const innocent = Object.assign(new Error('reset'), { code: 'UND_ERR_INFO' });
    const peer = await openPeer(() => opened.at(-1)?.destroy(innocent));
    for (const freshConnection of [true, false]) {
      const failure = await failureOf(client.postJson(peer.url, {}, { ...SOON, freshConnection }));
      expect(failure.sent).toBe('maybe');
    }
    expect(peer.received).toHaveLength(2);
  });

  test('says nothing of path, query, headers or body', async () => {
    const peer = await openPeer(drop);
    const request = openClient().postJson(
      `${peer.url}/secret1?secret2`,
      { a: 'secret3' },
      { ...SOON, headers: { b: 'secret4' } },
    );
    const failure = await failureOf(request);
    expect(`${failure.message} ${failure.reason}`).not.toContain('secret');
  });
});

describe('close', () => {
  test.each([true, false])(
    'waits for the request under way (fresh: %s), and fails later ones as not sent',
    async (fresh) => {
      const peer = await openPeer(silence);
      const client = openClient();
      const asked = new Promise<ServerResponse>((resolve) => (peer.answer = resolve));
      const request = client.postJson(peer.url, {}, { ...SOON, freshConnection: fresh });
      const response = await asked;
      const closing = client.close();
      for (const freshConnection of [true, false]) {
        const late = client.postJson(peer.url, {}, { ...SOON, freshConnection });
        await expect(failureOf(late)).resolves.toMatchObject({
          sent: 'no',
          reason: 'the HTTP client is closed',
        });
      }
      response.end('done');
      await expect(request).resolves.toMatchObject({ body: 'done' });
      await closing;
      await client.close();
    },
  );
});
