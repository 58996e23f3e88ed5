import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { UnreadResponses, type UnreadResponsesOptions } from '../../../src/http/server/unread-responses.js';
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
  const request = async (): Promise<{ client: Socket; serviceEnd: Socket }> => {
    const client = connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .pause();
    releases.push(() => client.destroy());
    const count = served.length;
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await waitFor('the connection', () => served.length > count);
    return { client, serviceEnd: served[count] as Socket };
  };
  return { request, url: `http://127.0.0.1:${port}/`, served };
}

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

  test('is cut when it has more bytes than one client may leave', async () => {
    const { request } = await start({ maxBytes: MB }, (_request, response) => void response.end(LARGE));
    const { serviceEnd } = await request();
    await waitFor('the client to be cut', () => serviceEnd.destroyed);
  });

  test('is cut when all together are too many, the oldest first', async () => {
    const { request, served } = await start({ maxBytesInAll: 4 * LARGE.length }, (_request, response) => {
      response.end(LARGE);
    });
    for (let n = 0; n < 8; n += 1) {
      const { serviceEnd } = await request();
      await waitFor('bytes to wait for the client', () => serviceEnd.writableLength > 0);
    }
    const open = () => served.filter(({ destroyed }) => !destroyed);
    await waitFor('the rest to be cut', () => open().length <= 4);
    expect(open()).toContain(served.at(-1));
    expect(served[0]?.destroyed).toBe(true);
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
  const { url, served } = await start({ stallTimeoutMs: 100 }, (_request, response) => {
    response.socket?.on('timeout', () => (timeouts += 1));
    answer = () => void response.end('late');
  });
  const text = fetch(url).then((response) => response.text());
  await waitFor('the time-out', () => timeouts > 0);
  expect(served[0]?.destroyed).toBe(false);
  answer();
  expect(await text).toBe('late');
});

test('a client that stops in the middle of a body is cut', async () => {
  const { url, served } = await start({ stallTimeoutMs: 200 }, (request) => void request.resume());
  const client = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  releases.push(() => client.destroy());
  client.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1');
  await waitFor('the client to be cut', () => served[0]?.destroyed);
});
