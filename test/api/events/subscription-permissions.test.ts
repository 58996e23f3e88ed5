import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { SCOPES, type Scope } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { Broadcaster } from '../../../src/event-log/broadcaster.js';
import { EventSubscriptions } from '../../../src/services/events/event-subscriptions.js';
import { TestApp } from '../../support/app/test-app.js';
import { callerWith } from '../../support/access/callers.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';
import {
  openSubscriptionStream,
  type EventSubscriptionStream,
  type SubscriptionTarget,
  STREAM_TRANSPORTS,
  type StreamTransport,
} from '../../support/events/streams.js';
import { addFinishedTasks, insertEvent } from '../../support/events/event-rows.js';

let app: TestApp;
let sql: pg.Pool;
let workspaces: { id: string; taskId: string }[];
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  await addWorkspaceWithKey(app);
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces');
  workspaces = await Promise.all(
    rows.map(async ({ id }) => ({ id, taskId: (await addFinishedTasks(sql, id, 1))[0] ?? '' })),
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
): EventSubscriptionStream {
  const stream = openSubscriptionStream({ url: app.url, key, transport, target });
  open.push(stream);
  return stream;
}

const keyFor = (workspace: number, scopes: readonly Scope[]) =>
  addKey(app, workspaces[workspace]?.id ?? '', scopes);

describe('work shared between subscribers', () => {
  test.each(STREAM_TRANSPORTS)(
    'subscribers over %s share a topic only within one workspace and one set of scopes',
    async (transport) => {
      const subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
      const reader: readonly Scope[] = ['tasks:read'];
      const callers: [workspace: number, scopes: readonly Scope[]][] = [
        [0, SCOPES],
        [0, reader],
        [1, reader],
        [1, SCOPES],
        [0, reader],
        [1, [...SCOPES].reverse()],
      ];
      const streams: { workspace: number; stream: EventSubscriptionStream }[] = [];
      for (const [workspace, scopes] of callers) {
        streams.push({ workspace, stream: subscribe(await keyFor(workspace, scopes), transport, {}) });
        await waitFor('the subscriber to join', () => subscribeSpy.mock.calls.length === streams.length);
      }
      const broadcaster = subscribeSpy.mock.contexts[0] as Broadcaster;
      expect(broadcaster['topics'].size).toBe(4);
      expect([...broadcaster['topics'].values()].map(({ subscribers }) => subscribers.size).sort()).toEqual([
        1, 1, 2, 2,
      ]);

      for (const { taskId } of workspaces) await insertEvent(sql, taskId, 'TASK_SUBMITTED', { of: taskId });
      for (const { workspace, stream } of streams) {
        await waitFor('the event', () => stream.received.length > 0);
        expect(stream.received.map(({ data }) => data.of)).toEqual([workspaces[workspace]?.taskId]);
      }
      for (const { stream } of streams) stream.cut();
      await waitFor('the subscribers to leave', () => broadcaster['topics'].size === 0);
    },
  );

  test('concurrent look-ups of one task share a statement but not its result', async () => {
    const subscribeToTask = jest.spyOn(EventSubscriptions.prototype, 'subscribeToTask');
    const taskId = workspaces[0]?.taskId ?? '';
    await subscribe(app.apiKey, 'websocket', { taskId: newId() }).ended;
    const subscriptions = subscribeToTask.mock.contexts[0] as EventSubscriptions;
    const lookUps = jest.spyOn(EventRepository.prototype, 'findTaskLogSnapshots');
    const results = await Promise.allSettled(
      [1, 0, 1, 0].map((workspace) =>
        subscriptions.subscribeToTask(
          callerWith({ workspaceId: workspaces[workspace]?.id ?? '' }),
          taskId,
          null,
        ),
      ),
    );
    expect(lookUps).toHaveBeenCalledTimes(1);
    const found = { status: 'fulfilled', value: { scope: { workspaceId: workspaces[0]?.id, taskId } } };
    const refused = { status: 'rejected', reason: { code: 'NOT_FOUND' } };
    expect(results).toMatchObject([refused, found, refused, found]);
  });
});

describe('API keys without the scope tasks:read', () => {
  test.each(STREAM_TRANSPORTS)(
    'subscriptions to the workspace and to a task over %s are refused with FORBIDDEN',
    async (transport) => {
      const subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
      const key = await keyFor(0, ['tasks:write', 'audit:read']);
      const { taskId } = workspaces[0] ?? {};
      for (const target of [{}, { taskId }, { taskId: newId() }]) {
        const stream = subscribe(key, transport, target);
        const ended = await stream.ended;
        if (transport === 'plain')
          expect(ended).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } });
        else expect(ended.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
        expect(stream.received).toEqual([]);
      }
      expect(subscribeSpy).not.toHaveBeenCalled();
    },
  );
});
