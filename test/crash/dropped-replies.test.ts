import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';
import { TestApp } from '../support/app/test-app.js';
import { waitFor } from '../support/wait-for.js';
import { freePort } from '../support/net/free-port.js';

const TASKS = 1_000;
/** Number of simultaneous requests. */
const CONCURRENCY = 40;

let upstream: SandboxUnderTest;
let app: TestApp;
beforeAll(async () => {
  upstream = await SandboxUnderTest.start();
  const port = String(await freePort());
  const publicAddress = { PORT: port, PUBLIC_URL: `http://127.0.0.1:${port}` };
  app = await TestApp.start({
    environment: { FLUX_API_TOKEN: 'test', FLUX_BASE_URL: upstream.url, ...publicAddress },
  });
});
afterAll(async () => {
  await app.stop();
  await upstream.stop();
});

test('1,000 requests whose upstream replies are lost are generated once each, and none is lost', async () => {
  const input = { model: 'flux-2-klein', size: '64x64', count: 1 };
  const ids: string[] = [];
  let next = 0;
  const sendRequests = async () => {
    while (next < TASKS) {
      const prompt = `lost reply ${(next += 1)}; [sandbox: reply=dropped delay=0s]`;
      ids.push((await app.generate({ ...input, prompt })).id);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, sendRequests));
  expect(new Set(ids).size).toBe(TASKS);
  await waitFor(
    'every image',
    async () => {
      const text = 'SELECT count(*)::int AS stored FROM images WHERE stored_at IS NOT NULL';
      return (await app.rows<{ stored: number }>(text))[0]?.stored === TASKS;
    },
    { timeoutMs: 300_000 },
  );

  const tasks = await app.rows<{ id: string; upstream_task_id: string; attempts: number }>(
    "SELECT id, upstream_task_id, attempts FROM tasks WHERE status = 'SUCCEEDED' AND pending_images = 0",
  );
  expect(tasks.map(({ id }) => id).sort()).toEqual(ids.sort());
  expect(tasks.filter(({ attempts }) => attempts !== 1)).toEqual([]);

  const { generations, total } = await upstream.charges();
  expect(total).toBe(TASKS);
  expect(new Set(generations.map(({ prompt }) => prompt)).size).toBe(TASKS);
  const generatedIds = generations.map(({ taskId }) => taskId).sort();
  expect(tasks.map((task) => task.upstream_task_id).sort()).toEqual(generatedIds);

  const ends = await app.rows(
    `SELECT type, actor, count(*)::int AS count FROM task_events
       WHERE type NOT IN ('TASK_REQUESTED', 'SUBMIT_UNCONFIRMED') GROUP BY type, actor ORDER BY type`,
  );
  expect(ends).toEqual([
    { type: 'IMAGE_STORED', actor: 'image store', count: TASKS },
    { type: 'TASK_SUCCEEDED', actor: 'upstream callback', count: TASKS },
  ]);
}, 360_000);
