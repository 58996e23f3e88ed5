import { once } from 'node:events';
import { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { answerMalformedRequests, createHttpServer } from '../../../src/http/server/listen.js';
import { MAX_PIPELINED_REQUESTS, PipelinedRequests } from '../../../src/http/server/pipelined-requests.js';
import { UnreadBodies } from '../../../src/http/server/unread-bodies.js';
import { waitFor } from '../../support/wait-for.js';

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
const WITHOUT_HOST = 'GET /without-host HTTP/1.1\r\n\r\n';
const WITHOUT_ITS_BODY = 'POST /without-its-body HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n';
/** More than the buffers of a connection take. */
const LARGE = Buffer.alloc(32 * 1024 * 1024, 'x');

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

interface Started {
  request: IncomingMessage;
  response: ServerResponse;
}

/** A server whose only handler is `handle`, and that records what it starts. */
async function start(handle: RequestListener) {
  const started: Started[] = [];
  const sockets: Socket[] = [];
  const server = createHttpServer().on('connection', (socket) => sockets.push(socket));
  answerMalformedRequests(server);
  const unreadBodies = new UnreadBodies(server);
  const record: RequestListener = (request, response) => {
    started.push({ request, response });
    handle(request, response);
  };
  server.on('request', unreadBodies.handler(new PipelinedRequests().handler(record)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (unreadBodies.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  const send = (bytes: string) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
    releases.push(() => socket.destroy());
    const received: Buffer[] = [];
    socket.on('data', (piece: Buffer) => received.push(piece)).write(bytes);
    return { socket, received: () => Buffer.concat(received).toString() };
  };
  const paths = () => started.map(({ request }) => request.url);
  return { started, sockets, paths, send };
}

const answer: RequestListener = (_request, response) => void response.end('ok');
const answerAsLast: RequestListener = (request, response) =>
  void response.writeHead(413, { connection: 'close' }).end(request.url);
const answerLater: RequestListener = (_request, response) => void setTimeout(() => response.end('ok'), 20);

describe('a request behind the last response of its connection is not started, and the connection closes', () => {
  test.each<[string, RequestListener, string, string[]]>([
    ['the response closes the connection', answerAsLast, get('/first') + get('/second'), ['/first']],
    [
      'the response closes the connection later',
      (request, response) => void setTimeout(() => answerAsLast(request, response), 20),
      get('/first') + get('/second'),
      ['/first'],
    ],
    ['the body of the request has not arrived', answerAsLast, get('/first') + WITHOUT_ITS_BODY, ['/first']],
    [
      'HTTP/1.0 has no other way to end the response',
      (_request, response) => {
        response.write('of unknown length');
        response.end();
      },
      'GET /first HTTP/1.0\r\nconnection: keep-alive\r\n\r\n' + get('/second'),
      ['/first'],
    ],
    ['a request between them has no host', answer, get('/first') + WITHOUT_HOST + get('/third'), ['/first']],
    [
      'a request between them has no host, and another one is running',
      answerLater,
      get('/first') + WITHOUT_HOST + get('/third'),
      ['/first'],
    ],
    ['a request before it has no host', answer, WITHOUT_HOST + get('/second'), []],
    ['as many follow it as may', answerAsLast, get('/first').repeat(MAX_PIPELINED_REQUESTS), ['/first']],
  ])('if %s', async (_when, handle, bytes, expected) => {
    const { paths, sockets, started, send } = await start(handle);
    const { received } = send(bytes);
    await waitFor('the connection to close', () => sockets[0]?.destroyed);
    expect(paths()).toEqual(expected);
    expect(started.every(({ response }) => response.closed)).toBe(true);
    const byNode = bytes.includes(WITHOUT_HOST) ? 1 : 0;
    const responses = () => received().match(/HTTP\/1.1 /g)?.length ?? 0;
    await waitFor('the responses', () => responses() >= expected.length + byNode);
    expect(responses()).toBe(expected.length + byNode);
  });

  test('if it arrives while the client reads the last response', async () => {
    const { paths, sockets, started, send } = await start((_request, response) =>
      response.writeHead(200, { connection: 'close' }).end(LARGE),
    );
    const { socket, received } = send(get('/first'));
    socket.pause();
    await waitFor('the response', () => started[0]?.response.writableEnded);
    const { bytesRead } = sockets[0] as Socket;
    socket.write(get('/second'));
    await waitFor('the second request', () => (sockets[0]?.bytesRead ?? 0) > bytesRead);
    socket.resume();
    await waitFor('the connection to close', () => sockets[0]?.destroyed);
    expect(paths()).toEqual(['/first']);
    expect(received().length).toBeGreaterThan(0);
  });

  test('if the client has ended the connection in the meantime', async () => {
    const { paths, sockets, send } = await start(answerLater);
    send(get('/first') + get('/second')).socket.end();
    await waitFor('the connection to close', () => sockets[0]?.destroyed);
    expect(paths()).toEqual(['/first']);
  });
});

describe('a client that sends more requests than may wait', () => {
  const accepted = Array.from({ length: MAX_PIPELINED_REQUESTS + 1 }, (_, index) => `/${index}`);
  const responseCount = (text: string) => text.match(/HTTP\/1.1 200/g)?.length ?? 0;

  test.each([
    ['in one piece', accepted.map((path) => get(path)).join('') + get('/refused').repeat(1_000), ''],
    ['in two', accepted.map((path) => get(path)).join(''), get('/refused').repeat(1_000)],
    [
      'and something else behind them',
      accepted.map((path) => get(path)).join(''),
      `${get('/refused')}garbage`,
    ],
  ])(
    'gets all responses of those that were accepted, and the connection closes: %s',
    async (_, one, other) => {
      const { paths, sockets, send } = await start(answerLater);
      const { socket, received } = send(one);
      await waitFor('the first one', () => paths().length > 0);
      socket.write(other);
      await waitFor('the connection to close', () => sockets[0]?.destroyed);
      expect(paths()).toEqual(accepted);
      await waitFor('the responses', () => responseCount(received()) === accepted.length);
      expect(received().match(/connection: close/gi)).toHaveLength(1);
    },
  );
});

test('a request behind one whose expectation is refused is started', async () => {
  const { paths, sockets, send } = await start(answerLater);
  const { received } = send(get('/first') + get('/refused', 'expect: nothing-known\r\n') + get('/third'));
  await waitFor('three responses', () => received().split('HTTP/1.1 ').length === 4);
  expect(paths()).toEqual(['/first', '/third']);
  expect(received().match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 417', 'HTTP/1.1 200']);
  expect(sockets[0]?.destroyed).toBe(false);
});

test('a request is started when the response before it has closed', async () => {
  const events: string[] = [];
  const { paths, send } = await start((request, response) => {
    events.push(`${request.url} started`);
    response.once('close', () => events.push(`${request.url} closed`));
    answerLater(request, response);
  });
  send(get('/first') + get('/second'));
  await waitFor('the second response', () => events.length === 4);
  expect(events).toEqual(['/first started', '/first closed', '/second started', '/second closed']);
  expect(paths()).toHaveLength(2);
});
