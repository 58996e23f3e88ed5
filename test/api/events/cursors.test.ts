import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { EventCursors } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import {
  openStream,
  type Stream,
  type Target,
  TRANSPORTS,
  type Transport,
} from '../../support/events/streams.js';
import {
  addTasks,
  cursorsOf,
  firstWorkspace,
  SECRET_KEY,
  sealedEvents,
  unsealedCount,
  writeEvent,
} from '../../support/events/event-rows.js';

/** Events at half a day from each other: three are older than two days, three are not. */
const OLD = 3;
const YOUNG = 3;

let app: TestApp;
let sql: pg.Pool;
let cursors: EventCursors;
let taskId: string;
const open: Stream[] = [];
beforeAll(async () => {
  app = await TestApp.start({ environment: { SECRET_KEY, ROLES: 'api' } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  cursors = await cursorsOf(sql);
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

function watch(transport: Transport, target: Target, after: string, { url, key } = app): Stream {
  const stream = openStream({ url, key, transport, target, after });
  open.push(stream);
  return stream;
}
async function refusalOf(transport: Transport, target: Target, after: string, service = app) {
  const { status, body, errors } = await watch(transport, target, after, service).ended;
  const [error] = errors ?? [];
  const { code } = (body as { error: { code: string } } | undefined)?.error ?? error?.extensions ?? {};
  return transport === 'plain' ? [status, code] : code;
}
const at = (position: number | bigint) => cursors.encode(BigInt(position));
const ids = async () => (await sealedEvents(sql)).map(({ id }) => id);
async function sealed(): Promise<void> {
  await waitFor('sealing', async () => (await unsealedCount(sql)) === 0);
}

describe('a cursor', () => {
  test.each(TRANSPORTS)(
    'of an empty log, at its very beginning, is good for everything, over %s',
    async (transport) => {
      const [own = ''] = await addTasks(sql, await firstWorkspace(sql), 1);
      const streams = [watch(transport, { taskIds: [own] }, at(0)), watch(transport, { taskId: own }, at(0))];
      await writeEvent(sql, own, 'TASK_SUBMITTED');
      await writeEvent(sql, own, 'TASK_SUCCEEDED');
      for (const { received } of streams) {
        await waitFor('both events', () => received.length === 2);
        expect(received.map(({ type }) => type)).toEqual(['TASK_SUBMITTED', 'TASK_SUCCEEDED']);
      }
    },
  );

  test.each(TRANSPORTS)(
    'ahead of the log, as after a restored backup, is CURSOR_INVALID, over %s',
    async (transport) => {
      const [own = ''] = await addTasks(sql, await firstWorkspace(sql), 1);
      await writeEvent(sql, own, 'TASK_SUBMITTED');
      await sealed();
      const head = (await ids()).length;
      const elsewhere = new EventCursors(new Signer(Buffer.from(SECRET_KEY)), newId());
      const anotherKey = new EventCursors(new Signer(Buffer.alloc(32)), newId());
      const invalid = transport === 'plain' ? [400, 'CURSOR_INVALID'] : 'CURSOR_INVALID';
      for (const target of [{}, { taskId: own }]) {
        for (const after of [at(head + 1), at(2n ** 63n), elsewhere.encode(1n), anotherKey.encode(1n)])
          expect(await refusalOf(transport, target, after)).toEqual(invalid);
      }
      const stream = watch(transport, {}, at(head));
      await writeEvent(sql, own, 'TASK_SUCCEEDED');
      await waitFor('the next event', () => stream.received.length > 0);
      expect(stream.received.map(({ type }) => type)).toEqual(['TASK_SUCCEEDED']);
    },
  );
});

describe('a cursor that is older than EVENT_REPLAY_DAYS', () => {
  let all: string[];
  let aged: TestApp;
  beforeAll(async () => {
    aged = await TestApp.start({ environment: { SECRET_KEY, EVENT_REPLAY_DAYS: '2', ROLES: 'api' } });
    const client = new pg.Client({ connectionString: aged.databaseUrl });
    await client.connect();
    taskId = (await addTasks(client, await firstWorkspace(client), 1))[0] ?? '';
    for (let n = OLD + YOUNG; n > 0; n -= 1) {
      await client.query(
        `INSERT INTO task_events (workspace_id, task_id, type, actor, at)
         SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', now() - $2 * interval '12 hours' FROM tasks WHERE id = $1`,
        [taskId, n + 0.5],
      );
    }
    await waitFor('sealing', async () => (await unsealedCount(client)) === 0);
    all = (await sealedEvents(client)).map(({ id }) => id);
    await client.end();
  });
  afterAll(() => aged.stop());

  test.each(TRANSPORTS)(
    'is CURSOR_EXPIRED, and the first that is not is good, over %s',
    async (transport) => {
      for (const target of [{}, { taskId }]) {
        for (let position = 0; position < OLD; position += 1)
          expect(await refusalOf(transport, target, at(position), aged)).toEqual(
            transport === 'plain' ? [410, 'CURSOR_EXPIRED'] : 'CURSOR_EXPIRED',
          );
        for (let position = OLD; position <= all.length; position += 1) {
          const stream = watch(transport, target, at(position), aged);
          const rest = all.slice(position);
          await waitFor('the rest', () => stream.received.length >= rest.length);
          expect(stream.received.map(({ id }) => id)).toEqual(rest);
        }
      }
    },
  );

  test('is good for the query taskEvents', async () => {
    const query = 'query ($after: String) { taskEvents(first: 100, after: $after) { nodes { id } } }';
    const headers = { authorization: `Bearer ${aged.key}` };
    for (const position of [0, 1, OLD]) {
      const { json } = await aged.send('/graphql', { query, variables: { after: at(position) } }, headers);
      const nodes = all.slice(position).map((id) => ({ id }));
      expect(json).toEqual({ data: { taskEvents: { nodes } } });
    }
  });
});
