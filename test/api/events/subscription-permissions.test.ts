import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { SCOPES, type Scope } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Events } from '../../../src/db/events/event-repository.js';
import { Feed } from '../../../src/event-log/broadcaster.js';
import { Watching } from '../../../src/services/events/event-subscriptions.js';
import { TestApp } from '../../support/app/test-app.js';
import { callerWith } from '../../support/access/callers.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';
import {
  openStream,
  type Stream,
  type Target,
  TRANSPORTS,
  type Transport,
} from '../../support/events/streams.js';
import { addTasks, writeEvent } from '../../support/events/event-rows.js';

let app: TestApp;
let sql: pg.Pool;
let workspaces: { id: string; taskId: string }[];
const open: Stream[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  await addWorkspace(app);
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces');
  workspaces = await Promise.all(
    rows.map(async ({ id }) => ({ id, taskId: (await addTasks(sql, id, 1))[0] ?? '' })),
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

function watch(key: string, transport: Transport, target: Target): Stream {
  const stream = openStream({ url: app.url, key, transport, target });
  open.push(stream);
  return stream;
}

const keyFor = (workspace: number, scopes: readonly Scope[]) =>
  addKey(app, workspaces[workspace]?.id ?? '', scopes);

describe('what is shared between watchers', () => {
  test.each(TRANSPORTS)('stays within a workspace and within a set of scopes, over %s', async (transport) => {
    const joined = jest.spyOn(Feed.prototype, 'watch');
    const reader: readonly Scope[] = ['tasks:read'];
    const wanted: [number, readonly Scope[]][] = [
      ...([
        [0, SCOPES],
        [0, reader],
        [1, reader],
        [1, SCOPES],
      ] as [number, readonly Scope[]][]),
      ...([
        [0, reader],
        [1, [...SCOPES].reverse()],
      ] as [number, readonly Scope[]][]),
    ];
    const streams: { workspace: number; stream: Stream }[] = [];
    for (const [workspace, scopes] of wanted) {
      streams.push({ workspace, stream: watch(await keyFor(workspace, scopes), transport, {}) });
      await waitFor('the watcher to join', () => joined.mock.calls.length === streams.length);
    }
    const feed = joined.mock.contexts[0] as Feed;
    expect(feed['topics'].size).toBe(4);
    expect([...feed['topics'].values()].map(({ watchers }) => watchers.size).sort()).toEqual([1, 1, 2, 2]);

    for (const { taskId } of workspaces) await writeEvent(sql, taskId, 'TASK_SUBMITTED', { of: taskId });
    for (const { workspace, stream } of streams) {
      await waitFor('the event', () => stream.received.length > 0);
      expect(stream.received.map(({ data }) => data.of)).toEqual([workspaces[workspace]?.taskId]);
    }
    for (const { stream } of streams) stream.cut();
    await waitFor('the watchers to leave', () => feed['topics'].size === 0);
  });

  test('is the statement that looks up a task, and not its answer', async () => {
    const asked = jest.spyOn(Watching.prototype, 'task');
    const taskId = workspaces[0]?.taskId ?? '';
    await watch(app.key, 'websocket', { taskId: newId() }).ended;
    const watching = asked.mock.contexts[0] as Watching;
    const lookUps = jest.spyOn(Events.prototype, 'findWatchPoints');
    const answers = await Promise.allSettled(
      [1, 0, 1, 0].map((workspace) =>
        watching.task(callerWith({ workspaceId: workspaces[workspace]?.id ?? '' }), taskId, null),
      ),
    );
    expect(lookUps).toHaveBeenCalledTimes(1);
    const found = { status: 'fulfilled', value: { scope: { workspaceId: workspaces[0]?.id, taskId } } };
    const refused = { status: 'rejected', reason: { code: 'NOT_FOUND' } };
    expect(answers).toMatchObject([refused, found, refused, found]);
  });
});

describe('a key without the scope tasks:read', () => {
  test.each(TRANSPORTS)(
    'is refused with FORBIDDEN over %s, for the workspace and for a task',
    async (transport) => {
      const joined = jest.spyOn(Feed.prototype, 'watch');
      const key = await keyFor(0, ['tasks:write', 'audit:read']);
      const { taskId } = workspaces[0] ?? {};
      for (const target of [{}, { taskId }, { taskId: newId() }]) {
        const stream = watch(key, transport, target);
        const ended = await stream.ended;
        if (transport === 'plain')
          expect(ended).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } });
        else expect(ended.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
        expect(stream.received).toEqual([]);
      }
      expect(joined).not.toHaveBeenCalled();
    },
  );
});
