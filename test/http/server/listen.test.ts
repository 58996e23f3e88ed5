import { once } from 'node:events';
import { type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import {
  acceptAbsoluteTargets,
  answerMalformedRequests,
  createHttpServer,
  HEADERS_TIMEOUT_MS,
  listen,
  localUrl,
  REQUEST_TIMEOUT_MS,
  watchRequestTimeouts,
} from '../../../src/http/server/listen.js';
import { PipelinedRequests } from '../../../src/http/server/pipelined-requests.js';

const TIMEOUT_MS = 200;
/** Twenty pieces of a body, far apart enough to take longer than the time-out together. */
const PIECES = 20;
const PAUSE_MS = 50;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

async function start(
  handle: RequestListener = answerWithLength,
  watch = (server: Server) => watchRequestTimeouts(server, TIMEOUT_MS),
) {
  const server = createHttpServer();
  watch(server);
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

/** `once` would reject if the connection is reset, which does not matter here. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

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
  await closed(socket);
  clearInterval(timer);
  return answer;
}

// Enforces HEADERS_TIMEOUT_MS in src/http/server/listen.ts.
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

// Enforces REQUEST_TIMEOUT_MS in src/http/server/listen.ts.
test('a body has five minutes to arrive', async () => {
  const { server, port } = await start(answerWithLength, watchRequestTimeouts);
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  try {
    const requested = once(server, 'request') as Promise<[IncomingMessage]>;
    const client = connect(port, '127.0.0.1').on('error', () => undefined);
    releases.push(() => client.destroy());
    client.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx');
    const [{ socket }] = await requested;
    jest.advanceTimersByTime(REQUEST_TIMEOUT_MS - 1);
    expect(socket.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    expect(socket.destroyed).toBe(true);
  } finally {
    jest.useRealTimers();
  }
});

test('a request that has arrived may be answered later', async () => {
  const { port } = await start(
    (_request, response) => void setTimeout(() => response.end('late'), 2 * TIMEOUT_MS),
  );
  const response = await fetch(`http://127.0.0.1:${port}/flux/images`, { method: 'POST', body: 'x' });
  expect(await response.text()).toBe('late');
});

test('a body that does not arrive changes no response before its own, whose time does not count', async () => {
  const { port } = await start(({ method }, response) => {
    if (method !== 'GET') return;
    response.write('the first piece');
    setTimeout(() => response.end('the last piece'), 2 * TIMEOUT_MS);
  });
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  releases.push(() => socket.destroy());
  let answer = '';
  socket.on('data', (piece) => (answer += String(piece)));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n');
  await closed(socket);
  expect(answer).toMatch(/the first piece[^]*the last piece\r\n0\r\n\r\nHTTP\/1.1 408 /);
});

/** Sends a text. Resolves to all that the server answers until it closes the connection. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  releases.push(() => socket.destroy());
  let answer = '';
  socket.on('data', (piece) => (answer += String(piece)));
  socket.write(text);
  await closed(socket);
  return answer;
}

test.each(['/graphql', '/flux/images', '/events'])(
  '%s answers like other errors while the service starts',
  async (path) => {
    const server = createHttpServer();
    const address = { host: '127.0.0.1', port: 0 };
    await listen(server, address);
    releases.push(() => (server.closeAllConnections(), server.close()));
    const response = await fetch(`${localUrl(server, address)}${path}`, {
      headers: { origin: 'https://a.example' },
    });
    expect(response.status).toBe(503);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      ...{
        'content-type': 'application/json; charset=utf-8',
        'cache-control': 'no-store',
        'retry-after': '1',
      },
      'access-control-allow-origin': '*',
    });
    const extensions = { code: 'DATABASE_UNAVAILABLE', retryAfterMs: 1_000 };
    expect(await response.json()).toMatchObject({
      error: { code: 'DATABASE_UNAVAILABLE' },
      errors: [{ extensions }],
    });
  },
);

test('the preflight of a page is answered while the service starts, and not cached', async () => {
  const server = createHttpServer();
  const address = { host: '127.0.0.1', port: 0 };
  await listen(server, address);
  releases.push(() => (server.closeAllConnections(), server.close()));
  const { status, headers } = await fetch(`${localUrl(server, address)}/graphql`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://a.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });
  expect(status).toBe(204);
  expect(Object.fromEntries(headers)).toMatchObject({
    'access-control-allow-origin': '*',
    'access-control-allow-methods': expect.stringContaining('POST') as unknown,
    'access-control-allow-headers': 'authorization,content-type',
    'access-control-max-age': '0',
  });
});

describe('a request with an upgrade', () => {
  test.each([
    [
      'h2c',
      'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c',
    ],
    ['TLS', 'Connection: Upgrade\r\nUpgrade: TLS/1.2'],
  ])('to %s is answered as if it had none, and closes its connection', async (_, headers) => {
    const { server, port } = await start();
    answerMalformedRequests(server);
    server.on('upgrade', (_request, socket) => socket.end('upgraded'));
    const request = `POST /graphql HTTP/1.1\r\nhost: x\r\n${headers}\r\ncontent-length: 5\r\n\r\nhello`;
    // What comes in one piece with it is lost, so the client must know that it has to send it again.
    const answer = await exchange(port, `${request}GET / HTTP/1.1\r\nhost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 200 .*connection: close.*5 bytes$/is);
  });

  test.each(['websocket', 'WebSocket'])('to %s is upgraded', async (protocol) => {
    const { server, port } = await start();
    server.on('upgrade', (_request, socket) => socket.end('upgraded'));
    const headers = `connection: Upgrade\r\nupgrade: ${protocol}`;
    expect(await exchange(port, `GET /graphql HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`)).toBe('upgraded');
  });
});

describe('a target in absolute form', () => {
  test.each([
    ['http://example.com/graphql?query=x', '/graphql?query=x'],
    ['HTTPS://user.example.com:8443/images/1', '/images/1'],
    ['http://[::1]:80/graphql', '/graphql'],
    ['http://localhost', '/'],
    ['http://localhost?a=http://b/c', '/?a=http://b/c'],
    ['/graphql?a=http://b/c', '/graphql?a=http://b/c'],
    ['http:///graphql', 'http:///graphql'],
    ['http://a:99999999/', 'http://a:99999999/'],
    ['*', '*'],
  ])('%s is read as %s', async (target, expected) => {
    const { server, port } = await start((request, response) =>
      setImmediate(() => response.end(`read ${request.url} to its end`)),
    );
    acceptAbsoluteTargets(server);
    const request = `OPTIONS ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
    expect(await exchange(port, request)).toContain(`read ${expected} to its end`);
  });
});

describe('what is no HTTP request', () => {
  const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

  test.each([
    ['garbage', 'garbage here\r\n\r\n', 400],
    [
      'a chunk without a size',
      'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
      400,
    ],
    ['headers that are too large', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('gets an answer like other errors: %s', async (_, text, status) => {
    const { server, port } = await start();
    answerMalformedRequests(server);
    expectRefusal(await exchange(port, text), status);
  });

  test('gets one also behind a request that was answered', async () => {
    const { server, port } = await start();
    answerMalformedRequests(server);
    const answer = await exchangeInTurn(port, GET, 'garbage here\r\n\r\n');
    expect(answer).toMatch('0 bytes');
    expectRefusal(answer.slice(answer.lastIndexOf('HTTP/1.1')), 400);
  });

  test('cuts a request that was answered before its body, and gets no second answer', async () => {
    const { server, port } = await start((_request, response) => void response.writeHead(413).end('refused'));
    answerMalformedRequests(server);
    const headers = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
    const answer = await exchangeInTurn(port, headers, 'xyz\r\n');
    expect(answer).toMatch(/^HTTP\/1.1 413/);
    expect(answer.match(/HTTP\/1.1/g)).toHaveLength(1);
  });

  function expectRefusal(answer: string, status: number): void {
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    expect(head).toMatch(`HTTP/1.1 ${status}`);
    expect(head).toMatch('cache-control: no-store');
    expect(JSON.parse(body)).toMatchObject({ error: { code: 'BAD_REQUEST' }, errors: [{}] });
  }

  test.each([
    ['garbage', 'garbage here\r\n\r\n'],
    ['a lot of garbage', 'garbage here\r\n\r\n'.repeat(50_000)],
    ['a request behind the last one', GET],
    ['a chunk without a size', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n'],
  ])('does not take the response from a request that came before it: %s', async (what, text) => {
    let answerNow = () => {};
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      request.resume();
      answerNow = () => response.end('the answer');
    };
    const { server, port } = await start(new PipelinedRequests().handler(handle));
    answerMalformedRequests(server);
    const errors: unknown[] = [];
    server.on('clientError', (error) => {
      errors.push(error);
      setImmediate(answerNow);
    });
    const first = what.startsWith('a request') ? GET.replace('host: x', 'host: x\r\nconnection: close') : GET;
    const answer = await exchange(port, `${first}${text}`);
    expect(errors).not.toEqual([]);
    expect(answer).toMatch(/^HTTP\/1.1 200 .*the answer$/is);
  });

  test('does not keep a request whose client has left in the middle of the next one', async () => {
    const { server, port } = await start((request) => request.resume());
    answerMalformedRequests(server);
    const closed = once(server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .end(`${GET}GE`);
    await closed;
  });
});

/** Sends the second text when the first one is answered. */
async function exchangeInTurn(port: number, first: string, second: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  releases.push(() => socket.destroy());
  let answer = '';
  socket.on('data', (piece) => {
    if (answer === '') socket.write(second);
    answer += String(piece);
  });
  socket.write(first);
  await closed(socket);
  return answer;
}
