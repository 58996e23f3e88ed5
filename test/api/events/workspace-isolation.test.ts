import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { Broadcaster } from '../../../src/event-log/broadcaster.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';
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
  FILTERABLE_TYPES,
  readSealedEvents,
  SECRET_KEY,
  countUnsealedEvents,
  insertEvent,
  type SealedEvent,
} from '../../support/events/event-rows.js';

interface Workspace {
  id: string;
  key: string;
  taskIds: string[];
}

let app: TestApp;
let eventLog: EventLog;
let sql: pg.Pool;
let workspaces: Workspace[];
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  const started = jest.spyOn(EventLog.prototype, 'start');
  app = await TestApp.start({ environment: { SECRET_KEY } });
  eventLog = started.mock.contexts[0] as EventLog;
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  await addWorkspaceWithKey(app);
  await addWorkspaceWithKey(app);
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces');
  workspaces = await Promise.all(
    rows.map(async ({ id }) => ({
      id,
      key: await addKey(app, id, ['tasks:read']),
      taskIds: await addFinishedTasks(sql, id, 2),
    })),
  );
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

function subscribe(
  key: string,
  transport: StreamTransport,
  target: SubscriptionTarget,
  after: string | null = null,
): EventSubscriptionStream {
  const stream = openSubscriptionStream({ url: app.url, key, transport, target, after });
  open.push(stream);
  return stream;
}

/** Writes the events in this order and waits until they are sealed and the service has seen them. Returns all sealed events. */
async function writeEvents(events: readonly { taskId: string; type: string }[]): Promise<SealedEvent[]> {
  for (const { taskId, type } of events) await insertEvent(sql, taskId, type);
  eventLog.requestSeal();
  await waitFor('sealing', async () => (await countUnsealedEvents(sql)) === 0);
  await eventLog.refreshHead();
  return readSealedEvents(sql);
}

const anyWorkspace = fc.nat(2);
const anyTask = fc.tuple(anyWorkspace, fc.nat(1));
const someTasks = fc.array(anyTask, { maxLength: 4 });
const someEvents = fc.array(fc.record({ task: anyTask, type: fc.constantFrom(...FILTERABLE_TYPES) }), {
  minLength: 3,
  maxLength: 20,
});
const someSubscribers = fc.array(
  fc.record({
    workspace: anyWorkspace,
    transport: fc.constantFrom(...STREAM_TRANSPORTS),
    /** One task of any workspace, or null for an unknown task. Or the workspace, with a filter that may name foreign tasks. */
    target: fc.oneof(
      fc.record({ task: fc.option(anyTask) }),
      fc.record({ types: fc.subarray([...FILTERABLE_TYPES]), tasks: someTasks }),
    ),
    /** The cursor of an earlier event of any workspace, as a fraction of all earlier events. Null means no cursor. */
    after: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3 }),
  }),
  { minLength: 4, maxLength: 16 },
);

describe('subscriptions of several workspaces', () => {
  test('every subscriber receives all matching events of its own workspace and none of another', async () => {
    const cursors = await createEventCursors(sql);
    const taskIdOf = ([workspace, index]: [number, number]) => workspaces[workspace]?.taskIds[index] ?? '';
    const resolveTasks = (list: { task: [number, number]; type: string }[]) =>
      list.map(({ task, type }) => ({ taskId: taskIdOf(task), type }));
    await fc.assert(
      fc.asyncProperty(someEvents, someEvents, someSubscribers, async (earlier, later, subscribers) => {
        const before = await writeEvents(resolveTasks(earlier));
        const subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
        const streams = subscribers.map(({ workspace, transport, target, after }) => {
          const own = workspaces[workspace];
          const isTask = 'task' in target;
          const requested: SubscriptionTarget = isTask
            ? { taskId: target.task ? taskIdOf(target.task) : newId() }
            : { types: target.types, taskIds: target.tasks.map(taskIdOf) };
          const position = after === null ? null : Math.round(after * before.length);
          const cursor = position === null ? null : cursors.encode(BigInt(position));
          const isRefused = isTask && target.task?.[0] !== workspace;
          const isExpected = (event: SealedEvent) =>
            event.workspaceId === own?.id &&
            (isTask
              ? event.taskId === requested.taskId
              : (!requested.types?.length || requested.types.includes(event.type)) &&
                (!requested.taskIds?.length || requested.taskIds.includes(event.taskId)));
          const latest = isTask ? before.filter(isExpected).at(-1)?.position : undefined;
          const from = position ?? (latest === undefined ? before.length : latest - 1);
          const stream = subscribe(own?.key ?? '', transport, requested, cursor);
          return { stream, isRefused, isExpected, from };
        });
        const accepted = streams.filter(({ isRefused }) => !isRefused);
        await waitFor('the subscribers to join', () => subscribeSpy.mock.calls.length === accepted.length);
        const all = await writeEvents(resolveTasks(later));
        const broadcaster = subscribeSpy.mock.contexts[0] as Broadcaster | undefined;
        const expected = streams.map(({ isRefused, isExpected, from }) =>
          isRefused ? [] : all.filter((event) => event.position > from && isExpected(event)),
        );
        for (const [index, { stream, isRefused }] of streams.entries()) {
          if (isRefused) {
            const { errors, body } = await stream.ended;
            expect(JSON.stringify(errors ?? body)).toContain('No task with this ID in your workspace.');
          }
          const count = expected[index]?.length ?? 0;
          await waitFor('the expected events', () => stream.received.length >= count);
        }
        expect(streams.map(({ stream }) => stream.received.map(({ id }) => id))).toEqual(
          expected.map((events) => events.map(({ id }) => id)),
        );
        subscribeSpy.mockRestore();
        for (const { stream } of streams) stream.cut();
        if (broadcaster) await waitFor('the subscribers to leave', () => broadcaster['topics'].size === 0);
      }),
      { numRuns: 100 },
    );
  }, 120_000);

  test.each(STREAM_TRANSPORTS)(
    'foreign, unknown and malformed task IDs get the same refusal over %s',
    async (transport) => {
      const [own, other] = workspaces;
      const foreign = await subscribe(own?.key ?? '', transport, { taskId: other?.taskIds[0] }).ended;
      const unknown = await subscribe(own?.key ?? '', transport, { taskId: newId() }).ended;
      const malformed = await subscribe(own?.key ?? '', transport, { taskId: 'nothing' }).ended;
      expect(foreign).toEqual(unknown);
      expect(foreign).toEqual(malformed);
      const refusal = { message: expect.any(String), code: 'NOT_FOUND' };
      if (transport === 'plain') expect(foreign).toMatchObject({ status: 404, body: { error: refusal } });
      else expect(foreign.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    },
  );
});
