import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { Feed } from '../../../src/event-log/broadcaster.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';
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
  KINDS,
  sealedEvents,
  SECRET_KEY,
  unsealedCount,
  writeEvent,
  type WrittenEvent,
} from '../../support/events/event-rows.js';

interface Place {
  id: string;
  key: string;
  tasks: string[];
}

let app: TestApp;
let eventLog: EventLog;
let sql: pg.Pool;
let places: Place[];
const open: Stream[] = [];
beforeAll(async () => {
  const started = jest.spyOn(EventLog.prototype, 'start');
  app = await TestApp.start({ environment: { SECRET_KEY } });
  eventLog = started.mock.contexts[0] as EventLog;
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  await addWorkspace(app);
  await addWorkspace(app);
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces');
  places = await Promise.all(
    rows.map(async ({ id }) => ({
      id,
      key: await addKey(app, id, ['tasks:read']),
      tasks: await addTasks(sql, id, 2),
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

function watch(key: string, transport: Transport, target: Target, after: string | null = null): Stream {
  const stream = openStream({ url: app.url, key, transport, target, after });
  open.push(stream);
  return stream;
}

/** Writes the events in this order, and waits until they are sealed and the service knows; then all that there are. */
async function write(events: readonly { taskId: string; type: string }[]): Promise<WrittenEvent[]> {
  for (const { taskId, type } of events) await writeEvent(sql, taskId, type);
  eventLog.sealSoon();
  await waitFor('sealing', async () => (await unsealedCount(sql)) === 0);
  await eventLog.refreshHead();
  return sealedEvents(sql);
}

const anyPlace = fc.nat(2);
const task = fc.tuple(anyPlace, fc.nat(1));
const someTasks = fc.array(task, { maxLength: 4 });
const happenings = fc.array(fc.record({ task, type: fc.constantFrom(...KINDS) }), {
  minLength: 3,
  maxLength: 20,
});
const watchers = fc.array(
  fc.record({
    place: anyPlace,
    transport: fc.constantFrom(...TRANSPORTS),
    /** One task, of anybody or of nobody; or the workspace, by a filter that may name the tasks of others. */
    target: fc.oneof(
      fc.record({ task: fc.option(task) }),
      fc.record({ types: fc.subarray([...KINDS]), tasks: someTasks }),
    ),
    /** The cursor of an event that was written before, whoever's it is, as a share of all. Null: none. */
    after: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3 }),
  }),
  { minLength: 4, maxLength: 16 },
);

describe('whoever watches', () => {
  test('never sees an event of another workspace, and sees every one of its own, whatever it names', async () => {
    const cursors = await cursorsOf(sql);
    const taskId = ([place, index]: [number, number]) => places[place]?.tasks[index] ?? '';
    const resolved = (list: { task: [number, number]; type: string }[]) =>
      list.map(({ task, type }) => ({ taskId: taskId(task), type }));
    await fc.assert(
      fc.asyncProperty(happenings, happenings, watchers, async (earlier, later, wanted) => {
        const before = await write(resolved(earlier));
        const joined = jest.spyOn(Feed.prototype, 'watch');
        const streams = wanted.map(({ place, transport, target, after }) => {
          const own = places[place];
          const isTask = 'task' in target;
          const asked: Target = isTask
            ? { taskId: target.task ? taskId(target.task) : newId() }
            : { types: target.types, taskIds: target.tasks.map(taskId) };
          const position = after === null ? null : Math.round(after * before.length);
          const cursor = position === null ? null : cursors.encode(BigInt(position));
          const isRefused = isTask && target.task?.[0] !== place;
          const isShown = (event: WrittenEvent) =>
            event.workspaceId === own?.id &&
            (isTask
              ? event.taskId === asked.taskId
              : (!asked.types?.length || asked.types.includes(event.type)) &&
                (!asked.taskIds?.length || asked.taskIds.includes(event.taskId)));
          const latest = isTask ? before.filter(isShown).at(-1)?.position : undefined;
          const from = position ?? (latest === undefined ? before.length : latest - 1);
          const stream = watch(own?.key ?? '', transport, asked, cursor);
          return { stream, isRefused, isShown, from };
        });
        const welcome = streams.filter(({ isRefused }) => !isRefused);
        await waitFor('the watchers to join', () => joined.mock.calls.length === welcome.length);
        const all = await write(resolved(later));
        const feed = joined.mock.contexts[0] as Feed | undefined;
        const expected = streams.map(({ isRefused, isShown, from }) =>
          isRefused ? [] : all.filter((event) => event.position > from && isShown(event)),
        );
        for (const [index, { stream, isRefused }] of streams.entries()) {
          if (isRefused) {
            const { errors, body } = await stream.ended;
            expect(JSON.stringify(errors ?? body)).toContain(
              'There is no task with this id in your workspace.',
            );
          }
          const count = expected[index]?.length ?? 0;
          await waitFor('its events', () => stream.received.length >= count);
        }
        expect(streams.map(({ stream }) => stream.received.map(({ id }) => id))).toEqual(
          expected.map((events) => events.map(({ id }) => id)),
        );
        joined.mockRestore();
        for (const { stream } of streams) stream.cut();
        if (feed) await waitFor('the watchers to leave', () => feed['topics'].size === 0);
      }),
      { numRuns: 100 },
    );
  }, 120_000);

  test.each(TRANSPORTS)(
    'is told the same of a foreign id as of an unknown one, over %s',
    async (transport) => {
      const [own, other] = places;
      const foreign = await watch(own?.key ?? '', transport, { taskId: other?.tasks[0] }).ended;
      const unknown = await watch(own?.key ?? '', transport, { taskId: newId() }).ended;
      const formless = await watch(own?.key ?? '', transport, { taskId: 'nothing' }).ended;
      expect(foreign).toEqual(unknown);
      expect(foreign).toEqual(formless);
      const refusal = { message: expect.any(String), code: 'NOT_FOUND' };
      if (transport === 'plain') expect(foreign).toMatchObject({ status: 404, body: { error: refusal } });
      else expect(foreign.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    },
  );
});
