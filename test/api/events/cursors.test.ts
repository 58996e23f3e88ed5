import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import {
  openSubscriptionStream,
  type EventSubscriptionStream,
  type SubscriptionTarget,
  STREAM_TRANSPORTS,
  type StreamTransport,
} from '../../support/events/streams.js';
import {
  addFinishedTasks,
  createEventCursors,
  firstWorkspaceId,
  SECRET_KEY,
  readSealedEvents,
  countUnsealedEvents,
  insertEvent,
} from '../../support/events/event-rows.js';

/** Events half a day apart. With EVENT_REPLAY_DAYS=2, three are expired and three are not. */
const EXPIRED_COUNT = 3;
const REPLAYABLE_COUNT = 3;

let app: TestApp;
let sql: pg.Pool;
let cursors: EventCursorCodec;
let taskId: string;
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  app = await TestApp.start({ environment: { SECRET_KEY, ROLES: 'api' } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  cursors = await createEventCursors(sql);
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

function subscribe(
  transport: StreamTransport,
  target: SubscriptionTarget,
  after: string,
  { url, apiKey: key } = app,
): EventSubscriptionStream {
  const stream = openSubscriptionStream({ url, key, transport, target, after });
  open.push(stream);
  return stream;
}
async function refusalOf(
  transport: StreamTransport,
  target: SubscriptionTarget,
  after: string,
  service = app,
) {
  const { status, body, errors } = await subscribe(transport, target, after, service).ended;
  const [error] = errors ?? [];
  const { code } = (body as { error: { code: string } } | undefined)?.error ?? error?.extensions ?? {};
  return transport === 'plain' ? [status, code] : code;
}
const cursorAt = (position: number | bigint) => cursors.encode(BigInt(position));
async function waitUntilSealed(): Promise<void> {
  await waitFor('sealing', async () => (await countUnsealedEvents(sql)) === 0);
}

describe('event cursors', () => {
  test.each(STREAM_TRANSPORTS)(
    'the cursor before the first event replays every event over %s',
    async (transport) => {
      const [own = ''] = await addFinishedTasks(sql, await firstWorkspaceId(sql), 1);
      const streams = [
        subscribe(transport, { taskIds: [own] }, cursorAt(0)),
        subscribe(transport, { taskId: own }, cursorAt(0)),
      ];
      await insertEvent(sql, own, 'TASK_SUBMITTED');
      await insertEvent(sql, own, 'TASK_SUCCEEDED');
      for (const { received } of streams) {
        await waitFor('both events', () => received.length === 2);
        expect(received.map(({ type }) => type)).toEqual(['TASK_SUBMITTED', 'TASK_SUCCEEDED']);
      }
    },
  );

  test.each(STREAM_TRANSPORTS)(
    'a cursor ahead of the log, as after restoring a backup, or of another log is CURSOR_INVALID over %s',
    async (transport) => {
      const [own = ''] = await addFinishedTasks(sql, await firstWorkspaceId(sql), 1);
      await insertEvent(sql, own, 'TASK_SUBMITTED');
      await waitUntilSealed();
      const head = (await readSealedEvents(sql)).length;
      const otherLog = new EventCursorCodec(new Signer(Buffer.from(SECRET_KEY)), newId());
      const otherLogAndKey = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
      const invalid = transport === 'plain' ? [400, 'CURSOR_INVALID'] : 'CURSOR_INVALID';
      for (const target of [{}, { taskId: own }]) {
        for (const after of [
          cursorAt(head + 1),
          cursorAt(2n ** 63n),
          otherLog.encode(1n),
          otherLogAndKey.encode(1n),
        ])
          expect(await refusalOf(transport, target, after)).toEqual(invalid);
      }
      const stream = subscribe(transport, {}, cursorAt(head));
      await insertEvent(sql, own, 'TASK_SUCCEEDED');
      await waitFor('the next event', () => stream.received.length > 0);
      expect(stream.received.map(({ type }) => type)).toEqual(['TASK_SUCCEEDED']);
    },
  );
});

describe('EVENT_REPLAY_DAYS', () => {
  let allIds: string[];
  let agedApp: TestApp;
  beforeAll(async () => {
    agedApp = await TestApp.start({ environment: { SECRET_KEY, EVENT_REPLAY_DAYS: '2', ROLES: 'api' } });
    const client = new pg.Client({ connectionString: agedApp.databaseUrl });
    await client.connect();
    taskId = (await addFinishedTasks(client, await firstWorkspaceId(client), 1))[0] ?? '';
    for (let n = EXPIRED_COUNT + REPLAYABLE_COUNT; n > 0; n -= 1) {
      await client.query(
        `INSERT INTO task_events (workspace_id, task_id, type, actor, at)
         SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', now() - $2 * interval '12 hours' FROM tasks WHERE id = $1`,
        [taskId, n + 0.5],
      );
    }
    await waitFor('sealing', async () => (await countUnsealedEvents(client)) === 0);
    allIds = (await readSealedEvents(client)).map(({ id }) => id);
    await client.end();
  });
  afterAll(() => agedApp.stop());

  test.each(STREAM_TRANSPORTS)(
    'older cursors are CURSOR_EXPIRED and newer ones replay the rest over %s',
    async (transport) => {
      for (const target of [{}, { taskId }]) {
        for (let position = 0; position < EXPIRED_COUNT; position += 1)
          expect(await refusalOf(transport, target, cursorAt(position), agedApp)).toEqual(
            transport === 'plain' ? [410, 'CURSOR_EXPIRED'] : 'CURSOR_EXPIRED',
          );
        for (let position = EXPIRED_COUNT; position <= allIds.length; position += 1) {
          const stream = subscribe(transport, target, cursorAt(position), agedApp);
          const rest = allIds.slice(position);
          await waitFor('the rest', () => stream.received.length >= rest.length);
          expect(stream.received.map(({ id }) => id)).toEqual(rest);
        }
      }
    },
  );

  test('the query taskEvents accepts older cursors', async () => {
    const query = 'query ($after: String) { taskEvents(first: 100, after: $after) { nodes { id } } }';
    const headers = { authorization: `Bearer ${agedApp.apiKey}` };
    for (const position of [0, 1, EXPIRED_COUNT]) {
      const { json } = await agedApp.postBody(
        '/graphql',
        { query, variables: { after: cursorAt(position) } },
        headers,
      );
      const nodes = allIds.slice(position).map((id) => ({ id }));
      expect(json).toEqual({ data: { taskEvents: { nodes } } });
    }
  });
});
