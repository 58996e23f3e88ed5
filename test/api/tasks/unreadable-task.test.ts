import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply } from '../../support/net/test-http-server.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

const TASK_COUNT = 6;

let upstream: FakeUpstream;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment, tuning: { readUpstreamAfterMs: 500 } });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

test('a task for which the upstream cannot answer does not keep it from answering for the others', async () => {
  const readIds: string[][] = [];
  const unreadableId = 'upstream-task-2';
  upstream.onRead = (response, received) => {
    const { ids } = JSON.parse(received.body) as { ids: string[] };
    readIds.push(ids);
    if (ids.includes(unreadableId)) return reply(500, 'out of cheese')(response, received);
    const items = ids.map((id) => ({ id, finished_at: 1, response: upstream.successCallback() }));
    return reply(200, { items, count: items.length })(response, received);
  };
  await Promise.all(Array.from({ length: TASK_COUNT }, (_, n) => app.generate({ prompt: `task ${n}` })));
  const countSucceeded = async () =>
    (await app.rows("SELECT FROM tasks WHERE status = 'SUCCEEDED'")).length === TASK_COUNT - 1;
  await waitFor('all other tasks to succeed', countSucceeded, { timeoutMs: 60_000 });
  expect(await app.rows("SELECT upstream_task_id FROM tasks WHERE status <> 'SUCCEEDED'")).toEqual([
    { upstream_task_id: unreadableId },
  ]);
  await waitFor('it to be read alone', () =>
    readIds.some((ids) => ids.length === 1 && ids[0] === unreadableId),
  );
}, 90_000);
