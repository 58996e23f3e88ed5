import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { openSubscriptionStream, type EventSubscriptionStream } from '../../support/events/streams.js';
import { addFinishedTasks, firstWorkspaceId, insertEvent } from '../../support/events/event-rows.js';

let app: TestApp;
let sql: pg.Pool;
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  app = await TestApp.start({ environment: { CONNECTIONS_PER_KEY: '1' } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

describe('clients that disconnect while their API key is looked up', () => {
  test.each([
    ['the workspace', 'graphql-sse'],
    ['a task', 'graphql-sse'],
    ['the workspace', 'plain'],
    ['a task', 'plain'],
  ] as const)(
    'a disconnect during a subscription to %s over %s releases the connection slot',
    async (subject, transport) => {
      const workspaceId = await firstWorkspaceId(sql);
      const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
      const key = await addKey(app, workspaceId, ['tasks:read']);
      const target = subject === 'a task' ? { taskId } : {};
      const subscribe = () => {
        const stream = openSubscriptionStream({ url: app.url, key, transport, target });
        open.push(stream);
        return stream;
      };
      const countAborted = () => app.logLines.filter((line) => line.includes('request aborted')).length;

      const lockHolder = await sql.connect();
      await lockHolder.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
      const before = countAborted();
      const abandoned = subscribe();
      await waitFor('the look-up to wait for the lock', async () => {
        const { rows } = await sql.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%hash%'",
        );
        return rows.length > 0;
      });
      abandoned.cut();
      await waitFor('the service to notice the disconnect', () => countAborted() > before);
      await lockHolder.query('COMMIT');
      lockHolder.release();

      // The key has one connection slot, so this stream is accepted only if the slot is free.
      const stream = subscribe();
      const refusal = stream.ended.then(({ status }) => status);
      const event = waitFor('an event', async () => {
        await insertEvent(sql, taskId, 'TASK_SUBMITTED');
        return stream.received[0];
      }).catch(() => null);
      expect(await Promise.race([refusal, event])).toMatchObject({ type: 'TASK_SUBMITTED' });
    },
  );
});
