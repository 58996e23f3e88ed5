import { once } from 'node:events';
import { request } from 'node:http';
import { type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { WebSocket } from 'ws';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { openSubscriptionStream, type EventSubscriptionStream } from '../../support/events/streams.js';
import { addFinishedTasks, firstWorkspaceId, insertEvent } from '../../support/events/event-rows.js';

const ALLOWED_ORIGIN = 'https://app.example.com';

let app: TestApp;
let sql: pg.Pool;
let taskId: string;
let workspaceId: string;
const open: { cut(): void }[] = [];
beforeAll(async () => {
  app = await TestApp.start({ environment: { CONNECTIONS_PER_KEY: '2', ALLOWED_ORIGINS: ALLOWED_ORIGIN } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 2 });
  workspaceId = await firstWorkspaceId(sql);
  taskId = (await addFinishedTasks(sql, workspaceId, 1))[0] ?? '';
});
afterEach(() => {
  for (const one of open.splice(0)) one.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

const cutAfterTest = <Connection extends { cut(): void }>(connection: Connection): Connection => {
  open.push(connection);
  return connection;
};
const newKey = () => addKey(app, workspaceId, ['tasks:read']);
const openAcknowledged = async (key?: string) =>
  cutAfterTest(await RawWebSocket.openAcknowledged(app.url, key ?? (await newKey())));
const openStream = (key: string): EventSubscriptionStream =>
  cutAfterTest(openSubscriptionStream({ url: app.url, key, transport: 'plain', target: {} }));

/** True once the stream delivers an event, false once it ends without one. */
async function isAccepted(stream: EventSubscriptionStream): Promise<boolean> {
  let isOver = false;
  void stream.ended.then(() => (isOver = true));
  await waitFor('an event or the end', async () => {
    await insertEvent(sql, taskId, 'TASK_SUBMITTED');
    return isOver || stream.received.length > 0;
  });
  return stream.received.length > 0;
}

describe('WebSocket connections', () => {
  // Enforces MAX_OPERATION_BYTES in src/graphql/websocket/websocket-session.ts.
  test('a connection keeps messages of a bounded size for its open operations', async () => {
    const socket = await openAcknowledged();
    const query = 'subscription ($after: String) { taskEvents(after: $after) { id } }';
    const payload = { query, variables: { unused: 'x'.repeat(60_000) } };
    for (let n = 1; n <= 3; n += 1) socket.send({ type: 'subscribe', id: String(n), payload });
    const { payload: errors } = await socket.waitForMessage('error', '3');
    expect(errors).toMatchObject([{ extensions: { code: 'TOO_MANY_CONNECTIONS' } }]);
    socket.send({ type: 'complete', id: '1' });
    socket.send({ type: 'subscribe', id: 'again', payload });
    await waitFor('an event for the new operation', async () => {
      await insertEvent(sql, taskId, 'TASK_SUBMITTED');
      return socket.messages.find(({ id }) => id === 'again')?.type === 'next';
    });
  });

  test('a message in too many fragments closes its connection', async () => {
    const socket = await openAcknowledged();
    for (let n = 0; n < 100; n += 1) socket.socket.send('x', { fin: false });
    expect((await socket.closed).code).toBe(1008);
  });

  test('a connection runs 100 operations at a time, refuses one more, and accepts it after another completes', async () => {
    const socket = await openAcknowledged();
    for (let n = 1; n <= 101; n += 1) socket.subscribe(String(n));
    const { payload } = await socket.waitForMessage('error', '101');
    expect(payload).toMatchObject([{ extensions: { code: 'TOO_MANY_CONNECTIONS' } }]);
    socket.send({ type: 'complete', id: '1' });
    socket.subscribe('again');
    const first = await waitFor('an event for the new operation', async () => {
      await insertEvent(sql, taskId, 'TASK_SUBMITTED');
      return socket.messages.find(({ id }) => id === 'again');
    });
    expect(first.type).toBe('next');
    await socket.waitForMessage('next', '100');
    expect(socket.messages.filter(({ type }) => type === 'error')).toHaveLength(1);
    expect(socket.messages.some(({ id }) => id === '1')).toBe(false);
  });

  // Enforces MAX_MESSAGE_BYTES in src/graphql/websocket/websocket.ts.
  test.each([
    ['is not JSON', 'nonsense', 4400],
    ['has no type', '{}', 4400],
    ['has an unknown type', '{"type":"start"}', 4400],
    ['only a server may send', '{"type":"connection_ack"}', 4400],
    ['is binary', Buffer.from([0, 159, 146, 150]), 4400],
    ['is empty', '', 4400],
    ['has more than 64 kB', JSON.stringify({ type: 'ping', payload: { much: 'x'.repeat(65 * 1024) } }), 1009],
  ])('a message that %s closes the connection', async (_what, message, code) => {
    const socket = await openAcknowledged();
    socket.send(message);
    expect((await socket.closed).code).toBe(code);
  });

  test('an operation ID that is in use closes the connection with 4409', async () => {
    const socket = await openAcknowledged();
    socket.subscribe('same');
    socket.subscribe('same');
    expect((await socket.closed).code).toBe(4409);
  });

  test('the ID of an operation that was rejected can be used again', async () => {
    const socket = await openAcknowledged();
    const fields = Array.from({ length: 200 }, (_, n) => `f${n}: __typename`).join(' ');
    socket.send({ type: 'subscribe', id: 'same', payload: { query: `{ ${fields} }` } });
    const { payload } = await socket.waitForMessage('error', 'same');
    expect(payload).toMatchObject([{ extensions: { code: 'QUERY_TOO_COMPLEX' } }]);
    socket.send({ type: 'subscribe', id: 'same', payload: { query: '{ __typename }' } });
    await socket.waitForMessage('complete', 'same');
  });

  test('a second connection_init closes the connection with 4429', async () => {
    const socket = await openAcknowledged();
    socket.sendConnectionInit(await newKey());
    expect((await socket.closed).code).toBe(4429);
  });

  // Enforces INIT_TIMEOUT_MS in src/graphql/websocket/websocket-session.ts.
  test('subscribing before the acknowledgement closes the connection with 4401, and silence closes it with 4408', async () => {
    const silent = cutAfterTest(await RawWebSocket.open(app.url));
    const beforeInit = cutAfterTest(await RawWebSocket.open(app.url));
    beforeInit.subscribe('1');
    expect((await beforeInit.closed).code).toBe(4401);
    const beforeAck = cutAfterTest(await RawWebSocket.open(app.url));
    beforeAck.sendConnectionInit(await newKey());
    beforeAck.subscribe('1');
    expect((await beforeAck.closed).code).toBe(4401);
    expect((await silent.closed).code).toBe(4408);
  });

  test.each(['graphql-ws', 'nothing-known', null])(
    'the subprotocol %s closes the connection with 4406',
    async (protocol) => {
      const outgoing = request(`${app.url}/graphql`, {
        headers: {
          ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
          'sec-websocket-key': Buffer.alloc(16).toString('base64'),
          ...(protocol && { 'sec-websocket-protocol': protocol }),
        },
      }).end();
      const [, socket, head] = (await once(outgoing, 'upgrade')) as [unknown, Socket, Buffer];
      const frame = head.length > 0 ? head : ((await once(socket, 'data')) as [Buffer])[0];
      // A close frame consists of its opcode, its length and its code.
      expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, 4406]);
      socket.destroy();
    },
  );
});

describe('ALLOWED_ORIGINS', () => {
  test.each([
    ['an allowed origin', { origin: ALLOWED_ORIGIN }, 'open'],
    ['no origin', {}, 'open'],
    ['another origin', { origin: 'https://elsewhere.example' }, 403],
    ['the origin "null"', { origin: 'null' }, 403],
    ['an origin that starts with an allowed one', { origin: `${ALLOWED_ORIGIN}.elsewhere.example` }, 403],
  ])('a connection from %s is opened or refused with 403', async (_what, headers, outcome) => {
    const socket = new WebSocket(`${app.url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws', {
      headers,
    });
    const result = await Promise.race([
      once(socket, 'open').then(() => 'open'),
      once(socket, 'unexpected-response').then(
        ([, response]) => (response as { statusCode: number }).statusCode,
      ),
    ]);
    expect(result).toBe(outcome);
    socket.on('error', () => undefined).terminate();
  });
});

describe('CONNECTIONS_PER_KEY', () => {
  test('sockets and streams share the limit, and closing one frees a slot', async () => {
    const key = await newKey();
    const socket = await openAcknowledged(key);
    const stream = openStream(key);
    expect(await isAccepted(stream)).toBe(true);
    const third = cutAfterTest(await RawWebSocket.open(app.url));
    third.sendConnectionInit(key);
    await expect(third.closed).resolves.toEqual({ code: 1013, reason: 'Too many connections' });
    const refusal = { status: 429, body: { error: { code: 'TOO_MANY_CONNECTIONS' } } };
    await expect(openStream(key).ended).resolves.toMatchObject(refusal);
    await openAcknowledged(await newKey());

    socket.cut();
    await waitFor('a free slot', () => isAccepted(openStream(key)));
  });
});
