import { once } from 'node:events';
import { request } from 'node:http';
import { type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { WebSocket } from 'ws';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { RawSocket } from '../../support/events/raw-websocket.js';
import { openStream, type Stream } from '../../support/events/streams.js';
import { addTasks, firstWorkspace, writeEvent } from '../../support/events/event-rows.js';

const OUR_PAGE = 'https://app.example.com';

let app: TestApp;
let sql: pg.Pool;
let taskId: string;
let workspaceId: string;
const open: { cut(): void }[] = [];
beforeAll(async () => {
  app = await TestApp.start({ environment: { CONNECTIONS_PER_KEY: '2', ALLOWED_ORIGINS: OUR_PAGE } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 2 });
  workspaceId = await firstWorkspace(sql);
  taskId = (await addTasks(sql, workspaceId, 1))[0] ?? '';
});
afterEach(() => {
  for (const one of open.splice(0)) one.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

const keep = <One extends { cut(): void }>(one: One): One => {
  open.push(one);
  return one;
};
const newKey = () => addKey(app, workspaceId, ['tasks:read']);
const ready = async (key?: string) => keep(await RawSocket.ready(app.url, key ?? (await newKey())));
const streamWith = (key: string): Stream =>
  keep(openStream({ url: app.url, key, transport: 'plain', target: {} }));

/** A stream that is accepted shows an event; the others end. */
async function isAccepted(stream: Stream): Promise<boolean> {
  let isOver = false;
  void stream.ended.then(() => (isOver = true));
  await waitFor('an event or the end', async () => {
    await writeEvent(sql, taskId, 'TASK_SUBMITTED');
    return isOver || stream.received.length > 0;
  });
  return stream.received.length > 0;
}

describe('a WebSocket connection', () => {
  test('has 100 operations at the same time: one more is refused, and when one ends there is room', async () => {
    const socket = await ready();
    for (let n = 1; n <= 101; n += 1) socket.subscribe(String(n));
    const { payload } = await socket.message('error', '101');
    expect(payload).toMatchObject([{ extensions: { code: 'TOO_MANY_WATCHERS' } }]);
    socket.send({ type: 'complete', id: '1' });
    socket.subscribe('again');
    const first = await waitFor('an event for the new one', async () => {
      await writeEvent(sql, taskId, 'TASK_SUBMITTED');
      return socket.messages.find(({ id }) => id === 'again');
    });
    expect(first.type).toBe('next');
    await socket.message('next', '100');
    expect(socket.messages.filter(({ type }) => type === 'error')).toHaveLength(1);
    expect(socket.messages.some(({ id }) => id === '1')).toBe(false);
  });

  test.each([
    ['is not JSON', 'nonsense', 4400],
    ['is JSON of no message', '{}', 4400],
    ['is of an unknown type', '{"type":"start"}', 4400],
    ['only a server sends', '{"type":"connection_ack"}', 4400],
    ['is binary', Buffer.from([0, 159, 146, 150]), 4400],
    ['is empty', '', 4400],
    ['has more than 64 kB', JSON.stringify({ type: 'ping', payload: { much: 'x'.repeat(65 * 1024) } }), 1009],
  ])('is closed for a message that %s', async (_what, message, code) => {
    const socket = await ready();
    socket.send(message);
    expect((await socket.closed).code).toBe(code);
  });

  test('is closed with 4409 for an operation id that is in use, and with 4429 for a second connection_init', async () => {
    const twice = await ready();
    twice.subscribe('same');
    twice.subscribe('same');
    expect((await twice.closed).code).toBe(4409);
    const again = await ready();
    again.initialise(await newKey());
    expect((await again.closed).code).toBe(4429);
  });

  test('is closed with 4401 when it subscribes before it is acknowledged, and with 4408 when it says nothing', async () => {
    const mute = keep(await RawSocket.open(app.url));
    const early = keep(await RawSocket.open(app.url));
    early.subscribe('1');
    expect((await early.closed).code).toBe(4401);
    const impatient = keep(await RawSocket.open(app.url));
    impatient.initialise(await newKey());
    impatient.subscribe('1');
    expect((await impatient.closed).code).toBe(4401);
    expect((await mute.closed).code).toBe(4408);
  });

  test.each(['graphql-ws', 'nothing-known', null])(
    'with the subprotocol %s is closed with 4406',
    async (protocol) => {
      const asked = request(`${app.url}/graphql`, {
        headers: {
          ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
          'sec-websocket-key': Buffer.alloc(16).toString('base64'),
          ...(protocol && { 'sec-websocket-protocol': protocol }),
        },
      }).end();
      const [, socket, head] = (await once(asked, 'upgrade')) as [unknown, Socket, Buffer];
      const frame = head.length > 0 ? head : ((await once(socket, 'data')) as [Buffer])[0];
      // A close frame: its opcode, its length, its code.
      expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, 4406]);
      socket.destroy();
    },
  );
});

describe('ALLOWED_ORIGINS', () => {
  test.each([
    ['a page that is named', { origin: OUR_PAGE }, 'open'],
    ['no page at all', {}, 'open'],
    ['another page', { origin: 'https://elsewhere.example' }, 403],
    ['a page that hides', { origin: 'null' }, 403],
    ['a page with a longer name', { origin: `${OUR_PAGE}.elsewhere.example` }, 403],
  ])('answers %s', async (_what, headers, outcome) => {
    const socket = new WebSocket(`${app.url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws', {
      headers,
    });
    const answer = await Promise.race([
      once(socket, 'open').then(() => 'open'),
      once(socket, 'unexpected-response').then(
        ([, response]) => (response as { statusCode: number }).statusCode,
      ),
    ]);
    expect(answer).toBe(outcome);
    socket.on('error', () => undefined).terminate();
  });
});

describe('CONNECTIONS_PER_KEY', () => {
  test('counts sockets and streams together, refuses one more, and takes another when one has left', async () => {
    const key = await newKey();
    const socket = await ready(key);
    const stream = streamWith(key);
    expect(await isAccepted(stream)).toBe(true);
    const third = keep(await RawSocket.open(app.url));
    third.initialise(key);
    await expect(third.closed).resolves.toEqual({ code: 1013, reason: 'Too many connections' });
    const refusal = { status: 429, body: { error: { code: 'TOO_MANY_WATCHERS' } } };
    await expect(streamWith(key).ended).resolves.toMatchObject(refusal);
    await ready(await newKey());

    socket.cut();
    await waitFor('room for another', () => isAccepted(streamWith(key)));
  });
});
