import { once } from 'node:events';
import { request } from 'node:http';
import { type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { MAX_BYTES_BEFORE_INIT } from '../../../src/graphql/websocket/bytes-before-init.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

/** A frame counts at least 64 bytes. */
const MAX_FRAMES = MAX_BYTES_BEFORE_INIT / 64;
/** Below the time after which a socket that does not answer the close frame is cut. */
const SOON_MS = 3_000;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
});
afterAll(() => app.stop());

const sockets: Socket[] = [];
afterEach(() => {
  jest.restoreAllMocks();
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** A WebSocket whose client reads everything and answers nothing. */
async function openSilent(protocol = 'graphql-transport-ws'): Promise<Socket> {
  const outgoing = request(`${app.url}/graphql`, {
    headers: {
      ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
      ...{ 'sec-websocket-key': Buffer.alloc(16).toString('base64'), 'sec-websocket-protocol': protocol },
    },
  }).end();
  const [, socket] = (await once(outgoing, 'upgrade')) as [unknown, Socket];
  sockets.push(socket);
  return socket.on('error', () => undefined).resume();
}

/** A frame with a mask of zeros. */
function frame(firstByte: number, content = ''): Buffer {
  return Buffer.concat([Buffer.from([firstByte, 0x80 + content.length, 0, 0, 0, 0]), Buffer.from(content)]);
}
const FRAMES = {
  text: frame(0x81),
  binary: frame(0x82),
  ping: frame(0x89),
  pong: frame(0x8a),
  fragments: Buffer.concat([frame(0x01), ...Array<Buffer>(62).fill(frame(0x00)), frame(0x80)]),
  init: frame(0x81, '{"type":"connection_init","payload":{}}'),
  subscribe: frame(0x81, '{"type":"subscribe","id":"1","payload":{"query":"{ viewer { keyName } }"}}'),
  ack: frame(0x81, '{"type":"connection_ack"}'),
};
type FrameName = keyof typeof FRAMES;

/** The number of frames of clients that ws reports from now on. */
function countFrames(): () => number {
  const emit = jest.spyOn(WebSocket.prototype, 'emit');
  return () => emit.mock.calls.filter(([name]) => ['message', 'ping', 'pong'].includes(String(name))).length;
}

/** Sends a frame until the service cuts the connection. */
async function flood(socket: Socket, name: FrameName): Promise<void> {
  const piece = Buffer.concat(Array<Buffer>(2_000).fill(FRAMES[name]));
  await waitFor(
    'the client to be cut',
    () => {
      if (!socket.destroyed && socket.writableLength < 1024 * 1024) socket.write(piece);
      return socket.destroyed;
    },
    { timeoutMs: SOON_MS },
  );
}

describe('a client without an accepted key', () => {
  // Enforces MAX_BYTES_BEFORE_INIT in src/graphql/websocket/bytes-before-init.ts.
  test.each<[string, FrameName[], FrameName]>([
    ['binary frames', [], 'binary'],
    ['text frames that are no messages', [], 'text'],
    ['fragments', [], 'fragments'],
    ['ping frames', [], 'ping'],
    ['pong frames', [], 'pong'],
    ['binary frames after a message that only the service may send', ['ack'], 'binary'],
    ['pong frames after a binary frame', ['binary'], 'pong'],
    ['text frames after its key was refused', ['init'], 'text'],
    ['text frames after it has subscribed', ['subscribe'], 'text'],
    ['pong frames after a second connection_init', ['init', 'init'], 'pong'],
  ])('is cut soon if it sends %s, and few are read', async (_what, first, flooding) => {
    const frames = countFrames();
    const socket = await openSilent();
    for (const name of first) socket.write(FRAMES[name]);
    if (first.length > 0) await once(socket, 'data');
    await flood(socket, flooding);
    expect(frames()).toBeLessThanOrEqual(MAX_FRAMES + 1);
  });

  test.each(['graphql-ws', 'nothing-known'])(
    'is cut soon if it has asked for the subprotocol %s and sends frames',
    async (protocol) => {
      const frames = countFrames();
      await flood(await openSilent(protocol), 'pong');
      expect(frames()).toBeLessThanOrEqual(MAX_FRAMES + 1);
    },
  );

  // Enforces CLOSE_TIMEOUT_MS in src/graphql/websocket/websocket.ts.
  test('is cut if it does not answer the close frame', async () => {
    const socket = await openSilent('nothing-known');
    await waitFor('the client to be cut', () => socket.destroyed, { timeoutMs: 10_000 });
  });
});

test('a client with an accepted key may send more', async () => {
  const frames = countFrames();
  const socket = await openSilent();
  const init = `{"type":"connection_init","payload":{"authorization":"Bearer ${app.apiKey}"}}`;
  socket.write(Buffer.concat([Buffer.from([0x81, 0xfe, 0, init.length, 0, 0, 0, 0]), Buffer.from(init)]));
  await once(socket, 'data');
  for (let n = 0; n < 10; n += 1) socket.write(Buffer.concat(Array<Buffer>(1_000).fill(FRAMES.pong)));
  await waitFor('all frames', () => frames() === 10_001);
  expect(socket.destroyed).toBe(false);
});
