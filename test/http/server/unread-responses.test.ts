import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Response } from 'express';
import { EventStreamResponse } from '../../../src/http/events/event-stream-response.js';
import {
  MAX_UNREAD_BYTES_IN_ALL,
  MAX_UNREAD_RESPONSE_BYTES,
  PUSH_ALLOWANCE_BYTES,
  STALL_TIMEOUT_MS,
  UnreadResponses,
  type UnreadResponsesOptions,
} from '../../../src/http/server/unread-responses.js';
import { waitFor } from '../../support/wait-for.js';

const MB = 1024 * 1024;
/** More than the kernel keeps for a loopback connection. */
const LARGE = Buffer.alloc(16 * MB);

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

async function start(options: UnreadResponsesOptions, handle: RequestListener) {
  const served: Socket[] = [];
  const server = createServer();
  const unreadResponses = new UnreadResponses(server, options);
  server.on('connection', (socket: Socket) => served.push(socket));
  server.on('request', handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (unreadResponses.stop(), server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  /** Sends a request without reading the response. */
  const request = async (headers = ''): Promise<{ client: Socket; serviceEnd: Socket }> => {
    const client = connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .pause();
    releases.push(() => client.destroy());
    const count = served.length;
    client.write(`GET / HTTP/1.1\r\nhost: x\r\n${headers}\r\n`);
    await waitFor('the connection', () => served.length > count);
    return { client, serviceEnd: served[count] as Socket };
  };
  return { request, url: `http://127.0.0.1:${port}/`, served, server };
}

/** Reads at this rate, until all is read or `stop` is called. */
function readSteadily(client: Socket, bytesPerSecond: number): { received: () => number; stop: () => void } {
  const start = performance.now();
  let received = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - start) * bytesPerSecond) / 1000; received < due;) {
      const bytes = client.read() as Buffer | null;
      if (!bytes) return;
      received += bytes.length;
    }
  }, 10);
  const stop = () => clearInterval(timer);
  releases.push(stop);
  return { received: () => received, stop };
}

const SCALE = 50;
/** More than the kernel lets a client read before it reports progress. */
const HIDDEN_BYTES = 3 * MB;

test('a client that reads 10 kB/s finishes, though the kernel shows its progress rarely', async () => {
  const stallTimeoutMs = STALL_TIMEOUT_MS / SCALE;
  const { request } = await start({ stallTimeoutMs }, (_request, response) => void response.end(LARGE));
  const { client, serviceEnd } = await request();
  const reading = readSteadily(client, 10_000 * SCALE);
  await waitFor('the kernel to have reported progress', () => {
    return serviceEnd.destroyed || reading.received() > HIDDEN_BYTES;
  });
  reading.stop();
  let rest = 0;
  client.on('data', (bytes: Buffer) => (rest += bytes.length)).resume();
  await waitFor('all bytes', () => serviceEnd.destroyed || reading.received() + rest > LARGE.length);
  expect(serviceEnd.destroyed).toBe(false);
});

describe('a response that its client does not read', () => {
  test.each([
    ['sent at once', (response: Parameters<RequestListener>[1]) => void response.end(LARGE)],
    ['that goes on', (response: Parameters<RequestListener>[1]) => void response.write(LARGE)],
  ])('is cut when nothing of it was read for a while, if it is one %s', async (_what, respond) => {
    const { request } = await start({ stallTimeoutMs: 300 }, (_request, response) => respond(response));
    const { serviceEnd } = await request();
    await waitFor('bytes to wait for the client', () => serviceEnd.writableLength > 0);
    await waitFor('the client to be cut', () => serviceEnd.destroyed);
  });

  // Enforces MAX_UNREAD_RESPONSE_BYTES in src/http/server/unread-responses.ts.
  test('is cut when it has more bytes than one client may leave', async () => {
    const { request } = await start({ maxBytesInAll: Infinity }, (_request, response) => {
      response.end(Buffer.alloc(MAX_UNREAD_RESPONSE_BYTES + 1));
    });
    const { serviceEnd } = await request();
    await waitFor('the client to be cut', () => serviceEnd.destroyed);
  });

  // Enforces MAX_UNREAD_BYTES_IN_ALL in src/http/server/unread-responses.ts.
  test('is cut when all together are too many', async () => {
    const { request, served } = await start({}, (_request, response) => void response.end(LARGE));
    for (let n = 0; n < 8; n += 1) {
      const { serviceEnd } = await request();
      await waitFor('bytes to wait for the client', () => serviceEnd.writableLength > 0);
    }
    const open = () => served.filter(({ destroyed }) => !destroyed);
    await waitFor('the others to be cut', () => open().length * LARGE.length <= MAX_UNREAD_BYTES_IN_ALL);
    expect(open()).toHaveLength(1);
  });

  test('does not get the client cut that reads steadily, however long ago it began', async () => {
    const { request } = await start({ maxBytesInAll: 2 * LARGE.length }, (_request, response) => {
      response.end(LARGE);
    });
    const steady = await request();
    const reading = readSteadily(steady.client, 3 * MB);
    await waitFor('it to have read something', () => reading.received() > MB);
    const others: Socket[] = [];
    for (let n = 0; n < 4; n += 1) others.push((await request()).serviceEnd);
    await waitFor('others to be cut', () => others.filter(({ destroyed }) => destroyed).length >= 3);
    await waitFor('all bytes', () => reading.received() > LARGE.length);
    expect(steady.serviceEnd.destroyed).toBe(false);
  });

  test('is cut when it is the largest of those that nobody reads', async () => {
    const sizes = [12 * MB, 30 * MB, 12 * MB];
    const { request } = await start({ maxBytes: 32 * MB, maxBytesInAll: 40 * MB }, (_request, response) => {
      response.end(Buffer.alloc(sizes.shift() ?? 0));
    });
    const ends: Socket[] = [];
    for (let n = 0; n < 3; n += 1) ends.push((await request()).serviceEnd);
    await waitFor('one to be cut', () => ends.some(({ destroyed }) => destroyed));
    expect(ends.map(({ destroyed }) => destroyed)).toEqual([false, true, false]);
  });

  test('is delivered to a client that reads it late', async () => {
    const { request } = await start({}, (_request, response) => void response.end(LARGE));
    const { client, serviceEnd } = await request();
    await waitFor('bytes to wait for the client', () => serviceEnd.writableLength > 0);
    let received = 0;
    client.on('data', (bytes: Buffer) => (received += bytes.length)).resume();
    await waitFor('all bytes', () => received > LARGE.length);
  });
});

test('a client that waits for its response longer than that is not cut', async () => {
  let answer = () => {};
  let timeouts = 0;
  const { url, served } = await start({ pauseTimeoutMs: 100 }, (_request, response) => {
    response.socket?.on('timeout', () => (timeouts += 1));
    answer = () => void response.end('late');
  });
  const text = fetch(url).then((response) => response.text());
  await waitFor('the time-out', () => timeouts > 0);
  expect(served[0]?.destroyed).toBe(false);
  answer();
  expect(await text).toBe('late');
});

describe('a connection that events are pushed to', () => {
  const UPGRADE = 'connection: upgrade\r\nupgrade: websocket\r\n';
  const CHUNK = 'x'.repeat(64 * 1024);
  /** Sends until the kernel accepts nothing more, as the service does with events. */
  const fill = (socket: Socket, send: () => void) => {
    const timer = setInterval(() => {
      // Newer versions of Node.js count what a response has written in the next turn of the event loop.
      for (let sent = 0; sent < MB && !socket.destroyed && socket.writableLength < MB; sent += CHUNK.length)
        send();
    }, 10);
    releases.push(() => clearInterval(timer));
  };

  test.each([
    ['an event stream', ''],
    ['a WebSocket', UPGRADE],
  ])(
    'is neither counted nor cut with as much as it may leave unread, if it is %s',
    async (_kind, headers) => {
      const pushed: Socket[] = [];
      const options = { maxBytesInAll: 4 * MB, progressMs: 60_000 };
      const { request, server } = await start(options, ({ url, socket }, response) => {
        response.setHeader('x-request-id', String(url));
        if (pushed.length === 8) return void response.end(LARGE);
        pushed.push(socket);
        const stream = new EventStreamResponse(response as Response, 'plain');
        stream.start();
        fill(socket, () => stream.send(CHUNK));
      });
      server.on('upgrade', (_request, socket: Socket) => {
        pushed.push(socket.on('error', () => undefined));
        fill(socket, () => socket.write(CHUNK));
      });
      for (let n = 0; n < 8; n += 1) await request(headers);
      await waitFor('unread events', () => pushed.every(({ writableLength }) => writableLength >= MB));
      const { serviceEnd } = await request();
      await waitFor('the response to be cut', () => serviceEnd.destroyed);
      expect(pushed.map(({ destroyed }) => destroyed)).toEqual(pushed.map(() => false));
    },
  );

  test('is counted as a whole when it has accepted nothing for a while', async () => {
    const options = { maxBytesInAll: 4 * MB, progressMs: 300 };
    const { request, served, server } = await start(options, () => undefined);
    server.on('upgrade', (_request, socket: Socket) => {
      fill(
        socket.on('error', () => undefined),
        () => socket.write(CHUNK),
      );
    });
    for (let n = 0; n < 8; n += 1) await request(UPGRADE);
    await waitFor('some to be cut', () => served.some(({ destroyed }) => destroyed));
    await waitFor('the rest to be within the bound', () => {
      const left = served.filter(({ destroyed }) => !destroyed);
      return left.reduce((sum, { writableLength }) => sum + writableLength, 0) <= options.maxBytesInAll;
    });
    expect(served.some(({ destroyed }) => !destroyed)).toBe(true);
  });

  // Enforces PUSH_ALLOWANCE_BYTES in src/http/server/unread-responses.ts.
  test('is counted with what it leaves in addition, such as results', async () => {
    const options = { maxBytesInAll: 2 * LARGE.length, progressMs: 60_000 };
    const { request, served, server } = await start(options, () => undefined);
    server.on('upgrade', (_request, socket: Socket) => {
      socket.on('error', () => undefined).write(LARGE);
    });
    for (let n = 0; n < 4; n += 1) await request(UPGRADE);
    await waitFor('some to be cut', () => served.some(({ destroyed }) => destroyed));
    const left = served.filter(({ destroyed }) => !destroyed);
    expect(left.length * (LARGE.length - PUSH_ALLOWANCE_BYTES)).toBeLessThanOrEqual(2 * LARGE.length);
  });
});

test('a client that stops in the middle of a body is cut', async () => {
  const { url, served } = await start({ pauseTimeoutMs: 200 }, (request) => void request.resume());
  const client = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  releases.push(() => client.destroy());
  client.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1');
  await waitFor('the client to be cut', () => served[0]?.destroyed);
});

describe('an idle connection', () => {
  const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

  async function openIdle() {
    const { url, server } = await start({}, (_request, response) => void response.end('ok'));
    server.keepAliveTimeout = 50;
    const client = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
    releases.push(() => client.destroy());
    client.write(REQUEST);
    await once(client, 'data');
    return client;
  }

  test('gets an answer to a request that has arrived while the service was busy, however long that was', async () => {
    const client = await openIdle();
    client.write(REQUEST);
    for (const start = performance.now(); performance.now() - start < 3_000;);
    const [answer] = (await Promise.race([once(client, 'data'), once(client, 'close')])) as [unknown];
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
  });

  test('is closed some time later than its client was told', async () => {
    const client = await openIdle();
    const start = performance.now();
    await once(client.resume(), 'close');
    expect(performance.now() - start).toBeGreaterThan(1_500);
  });
});
