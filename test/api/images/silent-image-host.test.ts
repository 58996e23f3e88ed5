import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

/** More than the slots of an instance for jobs of all kinds. */
const TASK_COUNT = 48;
/** The slots of an instance for images. */
const INGEST_SLOTS = 8;

let upstream: FakeUpstream;
let app: TestApp;
let release: (value?: unknown) => void;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  upstream.imagesReleased = new Promise((resolve) => (release = resolve));
  app = await TestApp.start({
    environment: { ...upstream.environment, ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { reconcileIntervalMs: 1_000 },
  });
});
afterAll(async () => {
  release();
  await app.stop();
  await upstream.close();
});

const statusOf = async (id: string) =>
  (await app.rows<{ status: string }>('SELECT status FROM tasks WHERE id = $1', [id]))[0]?.status;
const countIngests = async () =>
  (
    await app.rows(
      "SELECT FROM graphile_worker.jobs WHERE task_identifier = 'ingest-images' AND locked_at IS NOT NULL",
    )
  ).length;

// Enforces MAX_INGEST_JOBS in src/app/create-worker.ts.
test('images that hang at their host delay neither submissions nor deadlines, and the instance stays ready', async () => {
  for (let index = 0; index < TASK_COUNT; index += 1)
    await app.generate({ prompt: `hang ${index}`, timeoutSeconds: 600 });
  await waitFor('all tasks to run', async () => {
    const running = await app.rows("SELECT FROM tasks WHERE status = 'RUNNING'");
    return running.length === TASK_COUNT;
  });
  for (let index = 0; index < TASK_COUNT; index += 1)
    await app.postBody(
      await upstream.callbackPath(`hang ${index}`),
      upstream.successCallback(1, `hang-${index}`),
    );
  await waitFor('downloads that hang', async () => (await countIngests()) >= INGEST_SLOTS);

  const fresh = await app.generate({ prompt: 'fresh', timeoutSeconds: 600 });
  const short = await app.generate({ prompt: 'short', timeoutSeconds: 10 });
  await waitFor('the fresh task to be sent', async () => (await statusOf(fresh.id)) === 'RUNNING', {
    timeoutMs: 5_000,
  });
  await waitFor('the deadline', async () => (await statusOf(short.id)) === 'EXPIRED', { timeoutMs: 20_000 });
  const [late] = await app.rows<{ seconds: number }>(
    'SELECT extract(epoch FROM finished_at - deadline_at)::float AS seconds FROM tasks WHERE id = $1',
    [short.id],
  );
  expect(late?.seconds).toBeLessThan(3);
  const { status, json } = await app.get('/readyz');
  expect({ status, json }).toMatchObject({
    status: 200,
    json: { components: { recurringJobs: { ok: true } } },
  });
  expect(await countIngests()).toBe(INGEST_SLOTS);
}, 90_000);
