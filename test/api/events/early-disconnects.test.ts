import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { openStream, type Stream } from '../../support/events/streams.js';
import { addTasks, firstWorkspace, writeEvent } from '../../support/events/event-rows.js';

let app: TestApp;
let sql: pg.Pool;
const open: Stream[] = [];
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

describe('a client that leaves while its key is looked up', () => {
  test.each([
    ['the workspace', 'graphql-sse'],
    ['a task', 'graphql-sse'],
    ['the workspace', 'plain'],
    ['a task', 'plain'],
  ] as const)('leaves nothing behind that watched %s, over %s', async (what, transport) => {
    const workspaceId = await firstWorkspace(sql);
    const [taskId = ''] = await addTasks(sql, workspaceId, 1);
    const key = await addKey(app, workspaceId, ['tasks:read']);
    const target = what === 'a task' ? { taskId } : {};
    const watch = () => {
      const stream = openStream({ url: app.url, key, transport, target });
      open.push(stream);
      return stream;
    };
    const aborted = () => app.logged.filter((line) => line.includes('request aborted')).length;

    const holder = await sql.connect();
    await holder.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
    const before = aborted();
    const hasty = watch();
    await waitFor('the look-up to wait', async () => {
      const { rows } = await sql.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%hash%'",
      );
      return rows.length > 0;
    });
    hasty.cut();
    await waitFor('the service to notice', () => aborted() > before);
    await holder.query('COMMIT');
    holder.release();

    // The one place that the key has is free.
    const stream = watch();
    const refusal = stream.ended.then(({ status }) => status);
    const event = waitFor('an event', async () => {
      await writeEvent(sql, taskId, 'TASK_SUBMITTED');
      return stream.received[0];
    }).catch(() => null);
    expect(await Promise.race([refusal, event])).toMatchObject({ type: 'TASK_SUBMITTED' });
  });
});
