import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Request, type Response } from 'express';
import { PipelinedRequests } from '../../../src/http/server/pipelined-requests.js';
import { RequestBodies } from '../../../src/http/server/request-bodies.js';
import { MAX_SMALL_PIECES, UnreadBodies } from '../../../src/http/server/unread-bodies.js';
import { waitFor } from '../../support/wait-for.js';

const HEADERS = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (content: string) => `${content.length.toString(16)}\r\n${content}\r\n`;
const LAST_CHUNK = '0\r\n\r\n';
const TOO_MANY = HEADERS + chunk(' ').repeat(10_000);
/** Arrives in one read, and is complete. */
const TOO_MANY_COMPLETE = HEADERS + chunk(' ').repeat(3_000) + LAST_CHUNK;

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

/** Answers a request with its body. */
const echo: RequestListener = (request, response) => {
  text(request).then(
    (body) => response.end(body),
    () => response.destroy(),
  );
};

async function start(handle: RequestListener = echo) {
  const requests: IncomingMessage[] = [];
  const server = createServer();
  const unreadBodies = new UnreadBodies(server);
  const pipelined = new PipelinedRequests();
  server.on(
    'request',
    unreadBodies.handler(
      pipelined.handler((request, response) => {
        requests.push(request);
        handle(request, response);
      }),
    ),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (unreadBodies.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  const send = (bytes: string): { socket: Socket; received: () => string } => {
    const pieces: Buffer[] = [];
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    releases.push(() => socket.destroy());
    socket.on('data', (piece: Buffer) => pieces.push(piece)).write(bytes);
    return { socket, received: () => Buffer.concat(pieces).toString() };
  };
  /** Whether the body of a new connection arrives. */
  const echoes = async (body: string) => {
    const response = await fetch(`http://127.0.0.1:${port}`, {
      method: 'POST',
      headers: { connection: 'close' },
      body,
    });
    return (await response.text()) === body;
  };
  return { requests, send, echoes };
}

describe('a body in chunks', () => {
  test.each([
    ['2,000 chunks of a byte', ' '.repeat(2_000), 1],
    ['3,000 chunks of 100 bytes', ' '.repeat(300_000), 100],
  ])('is read if it has %s', async (_what, body, size) => {
    const { send } = await start();
    const chunks = chunk(' '.repeat(size)).repeat(body.length / size);
    const { received } = send(HEADERS + chunks + LAST_CHUNK);
    await waitFor('the response', () => received().includes('\r\n\r\n') && received().length > body.length);
    expect(received()).toContain('200 OK');
  });

  // Enforces MAX_SMALL_PIECES in src/http/server/unread-bodies.ts.
  test('is refused before its end if it has thousands of chunks of a byte, and its client is told and cut', async () => {
    const { send } = await start();
    const { socket, received } = send(TOO_MANY);
    await waitFor('the connection to close', () => socket.closed);
    expect(received()).toContain('400 Bad Request');
    const body = JSON.parse(
      received()
        .split('\r\n')
        .find((line) => line.startsWith('{')) ?? '',
    ) as object;
    const message = `The request body arrives in more than ${MAX_SMALL_PIECES} pieces with less than 64 bytes on average. Send it in larger pieces, or with a content-length.`;
    expect(body).toEqual({
      error: { code: 'BAD_REQUEST', message },
      errors: [{ message, extensions: { code: 'BAD_REQUEST' } }],
    });
  });

  test('takes no more than the pieces up to its refusal while nobody reads it', async () => {
    const { send, requests } = await start(() => undefined);
    const { socket } = send(TOO_MANY);
    await waitFor('the connection to close', () => socket.closed);
    expect(requests[0]?.readableLength).toBeLessThanOrEqual(MAX_SMALL_PIECES);
  });

  test('is cut as soon when its request was answered before, and it is only discarded', async () => {
    const { send, requests } = await start((_request, response) => void response.writeHead(401).end());
    const { socket, received } = send(HEADERS);
    await waitFor('the response', () => received().includes('401'));
    // More than the buffers of the connection take, and less than the 32 MB that the server discards of other bodies.
    const sentMax = 16_000_000;
    const pieces = chunk(' ').repeat(20_000);
    let sent = 0;
    for (; !socket.destroyed && sent < sentMax; sent += pieces.length)
      await new Promise((resolve) => socket.write(pieces, resolve));
    await waitFor('the connection to close', () => socket.closed);
    expect(sent).toBeLessThan(sentMax);
    expect(requests).toHaveLength(1);
  });
});

test('a body in too many pieces behind a request takes nothing from the answer to it', async () => {
  let answer = (): void => undefined;
  const { requests, send } = await start((_request, response) => (answer = () => response.end('first')));
  const { socket, received } = send(`GET / HTTP/1.1\r\nhost: x\r\n\r\n${TOO_MANY}`);
  await waitFor('the first request', () => requests.length === 1);
  // Longer than the pieces take to arrive.
  await pause(100);
  answer();
  await waitFor('the connection to close', () => socket.closed);
  expect(received()).toMatch(/200 OK.*first/s);
  expect(received()).not.toContain('400');
  expect(requests).toHaveLength(1);
});

describe('a parser of bodies ends, and keeps nothing', () => {
  test.each([
    ['that is refused while it is read', TOO_MANY, () => Promise.resolve()],
    ['that is complete and refused', TOO_MANY_COMPLETE, () => Promise.resolve()],
    ['that is refused before it is read', TOO_MANY, () => pause(3)],
    ['that is complete and refused before it is read', TOO_MANY_COMPLETE, () => pause(3)],
  ])('for a body in small pieces %s', async (_what, bytes, authenticate) => {
    const bodies = new RequestBodies();
    const parse = bodies.json(1_000_000);
    let ended = 0;
    const { send } = await start((request, response) => {
      const next = () => {
        ended += 1;
        if (!response.headersSent) response.end();
      };
      void authenticate().then(() => parse(request as Request, response as Response, next));
    });
    const count = 20;
    const request = bytes.replace('host: x', 'host: x\r\ncontent-type: application/json');
    const sockets = Array.from({ length: count }, () => send(request).socket);
    await waitFor('the connections to close', () => sockets.every(({ closed }) => closed));
    await waitFor('the parsers to end', () => ended === count);
    expect([bodies.unfinishedRequests, bodies.unfinishedBytes]).toEqual([0, 0]);
  });
});

test.each([
  ['has another type', 'content-type: text/plain', 1],
  ['has an unknown encoding', 'content-type: application/json\r\ncontent-encoding: unknown', 1],
  ['is too long', 'content-type: application/json', 10_000],
])('a body that %s and never arrives is not kept when its client leaves', async (_what, header, length) => {
  const bodies = new RequestBodies();
  const parse = bodies.json(100);
  let closed = 0;
  const { send } = await start((request, response) => {
    request.once('close', () => (closed += 1));
    parse(request as Request, response as Response, () => response.end('answered'));
  });
  const bytes = `POST / HTTP/1.1\r\nhost: x\r\n${header}\r\ncontent-length: ${length + 1}\r\n\r\nx`;
  const sent = Array.from({ length: 10 }, () => send(bytes));
  await waitFor('the answers', () => sent.every(({ received }) => received().includes('answered')));
  for (const { socket } of sent) socket.destroy();
  await waitFor('the requests to close', () => closed === sent.length);
  expect([bodies.unfinishedRequests, bodies.unfinishedBytes]).toEqual([0, 0]);
});

describe('after a body in small pieces was refused, the bodies of later connections arrive', () => {
  test.each([
    ['it was read at once', echo, TOO_MANY],
    ['it was complete and read at once', echo, TOO_MANY_COMPLETE],
    [
      'it was complete and read later',
      (request, response) => void setImmediate(() => echo(request, response)),
      TOO_MANY_COMPLETE,
    ],
    [
      'it was complete and waited for another request',
      echo,
      `GET / HTTP/1.1\r\nhost: x\r\n\r\n${TOO_MANY_COMPLETE}`,
    ],
    ['another request followed it', echo, `${TOO_MANY_COMPLETE}GET / HTTP/1.1\r\nhost: x\r\n\r\n`],
  ])('if %s', async (_when, handle, bytes) => {
    const { send, echoes, requests } = await start(handle);
    for (let count = 1; count <= 20; count += 1) {
      const sockets = Array.from({ length: 5 }, () => send(bytes).socket);
      await waitFor('the connections to close', () => sockets.every(({ closed }) => closed));
      expect(await echoes(`a whole body ${count}`)).toBe(true);
      await waitFor('the requests to end', () => requests.every(({ closed }) => closed));
    }
  });
});
