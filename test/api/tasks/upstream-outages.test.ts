import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply } from '../../support/net/test-http-server.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { resumeTasks } from '../../support/upstreams/submission-pace.js';
import { waitFor } from '../../support/wait-for.js';

const ONE_HOUR = 3_600;
const apiError = reply(500, { success: false, error: { code: 'api_error', message: 'fetch failed' } });

let upstream: FakeUpstream;
let proxy: TcpProxy;
let app: TestApp;
beforeEach(async () => {
  upstream = await FakeUpstream.open();
  const { FLUX_BASE_URL = '' } = upstream.environment;
  const inFront = await TcpProxy.inFrontOf(FLUX_BASE_URL);
  proxy = inFront.proxy;
  app = await TestApp.start({ environment: { ...upstream.environment, FLUX_BASE_URL: inFront.url } });
});
afterEach(async () => {
  await app.stop();
  await proxy.cut();
  await upstream.close();
});

async function generate(prompt: string): Promise<string> {
  return (await app.generate({ prompt, timeoutSeconds: ONE_HOUR })).id;
}
async function readTasks(ids: string[]) {
  return app.rows<{ status: string; attempts: number; counted: number }>(
    'SELECT status, attempts::int, (attempts - uncounted_attempts)::int AS counted FROM tasks WHERE id = ANY($1)',
    [ids],
  );
}
const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

describe('an upstream that answers api_error', () => {
  test('to every task costs the tasks no attempts: they wait, and run when it works again', async () => {
    const accept = upstream.onSubmit;
    upstream.onSubmit = apiError;
    const ids = await Promise.all([1, 2, 3].map((n) => generate(`waiting ${n}`)));
    // Before, each of them failed after its third attempt.
    const tasks = await waitFor(
      'more submissions than the tasks have attempts',
      async () => {
        await resumeTasks(app);
        const rows = await readTasks(ids);
        return sum(rows.map(({ attempts }) => attempts)) >= 13 && rows;
      },
      { timeoutMs: 60_000 },
    );
    expect(tasks.filter(({ status }) => !['QUEUED', 'SUBMITTING'].includes(status))).toEqual([]);

    upstream.onSubmit = accept;
    await waitFor(
      'all tasks to run',
      async () => {
        await resumeTasks(app);
        return (await readTasks(ids)).every(({ status }) => status === 'RUNNING');
      },
      { timeoutMs: 30_000 },
    );
  }, 120_000);

  test('to one task only fails that task after a few attempts', async () => {
    const accept = upstream.onSubmit;
    upstream.onSubmit = (response, received) =>
      (received.body.includes('impossible') ? apiError : accept)(response, received);
    const id = await generate('impossible');
    let others = 0;
    const task = await waitFor(
      'the end of the task',
      async () => {
        const other = await generate(`possible ${(others += 1)}`);
        await waitFor('another task', async () => (await readTasks([other]))[0]?.status === 'RUNNING');
        await resumeTasks(app);
        const [row] = await readTasks([id]);
        return row?.status === 'FAILED' && row;
      },
      { timeoutMs: 30_000 },
    );
    expect(task).toEqual({ status: 'FAILED', attempts: 7, counted: 7 });
  }, 60_000);
});

test('an upstream that cannot be reached costs a task no attempt, and does not end it before its deadline', async () => {
  await proxy.cut();
  const id = await generate('patient');
  await app.waitForEvent(id, 'SUBMIT_REJECTED');
  // As after a long outage.
  await app.rows(`UPDATE tasks SET attempts = 50, uncounted_attempts = 0 WHERE id = $1`, [id]);
  await waitFor(
    'two more attempts',
    async () => {
      await resumeTasks(app);
      const [task] = await readTasks([id]);
      // An attempt in progress counts until it is known that it did not reach the upstream.
      return task && ((task.attempts >= 52 && task.status === 'QUEUED') || task.status === 'FAILED');
    },
    { timeoutMs: 30_000 },
  );
  expect(await readTasks([id])).toMatchObject([{ counted: 50 }]);
  await proxy.restore();
  await waitFor(
    'the task to run',
    async () => {
      await resumeTasks(app);
      return (await readTasks([id]))[0]?.status === 'RUNNING';
    },
    { timeoutMs: 30_000 },
  );
}, 90_000);

test("a task that has waited for long is sent within 10 s of the upstream's return", async () => {
  await proxy.cut();
  const id = await generate('long-suffering');
  await app.waitForEvent(id, 'SUBMIT_REJECTED');
  await app.rows(`UPDATE tasks SET attempts = 50, uncounted_attempts = 50 WHERE id = $1`, [id]);
  await waitFor('another attempt', async () => (await readTasks([id]))[0]?.attempts === 51, {
    timeoutMs: 30_000,
  });
  await waitFor('its refusal', async () => (await readTasks([id]))[0]?.status === 'QUEUED');
  await proxy.restore();
  const isRunning = async () => (await readTasks([id]))[0]?.status === 'RUNNING';
  await waitFor('the task to run', isRunning, { timeoutMs: 10_500 });
}, 90_000);
