import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GenerateImagesDocument } from '../../../clients/operations.js';
import { SandboxUnderTest } from '../../support/upstreams/sandbox-under-test.js';
import { TestApp, typesOf, WatchFailed } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { freePort } from '../../support/net/free-port.js';
import { waitFor } from '../../support/wait-for.js';

/** What outlives an instance: its database, its data directory, its address, and the upstream. */
let database: TestDatabase;
let dataDir: string;
let environment: Record<string, string>;
let upstream: SandboxUnderTest;
const instances: TestApp[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-api-'));
  upstream = await SandboxUnderTest.start();
  const port = String(await freePort());
  const reached = { PORT: port, PUBLIC_URL: `http://127.0.0.1:${port}` };
  environment = { FLUX_API_TOKEN: 'test', FLUX_BASE_URL: upstream.url, ...reached };
});
afterEach(async () => {
  await Promise.all(instances.splice(0).map((instance) => instance.stop()));
  await upstream.stop();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(options: { key?: string; environment?: Record<string, string> } = {}): Promise<TestApp> {
  const tuning = { askUpstreamAfterMs: 200 };
  const shared = { databaseUrl: database.url, dataDir, environment, tuning };
  const app = await TestApp.start({ ...shared, ...options });
  instances.push(app);
  return app;
}

describe('an instance that is stopped between a submission and its callback', () => {
  test('is followed by one that receives the callback, and the watcher goes on where it was', async () => {
    const first = await start();
    const prompt = 'called back later [sandbox: delay=5s]';
    const { id, cursor } = await first.generate({ prompt });
    const watch = first.watchTask(id, cursor);
    await waitFor('the submission', () => typesOf(watch.received).includes('TASK_SUBMITTED'));
    await first.stop();

    const second = await start({ key: first.key });
    const resumed = second.watchTask(id, watch.received.at(-1)?.cursor);
    await resumed.ended;
    expect(typesOf(resumed.received)).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
    expect((await upstream.ledger(prompt)).total).toBe(1);
  });

  test('is followed by one that asks for what was called back to nobody', async () => {
    const first = await start();
    const prompt = 'called back to nobody [sandbox: delay=6s]';
    const { id } = await first.generate({ prompt });
    await first.happened(id, 'TASK_SUBMITTED');
    await first.stop();
    await waitFor('the picture', async () => (await upstream.ledger(prompt)).total === 1);

    const second = await start({ key: first.key });
    await expect(second.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect((await upstream.ledger(prompt)).total).toBe(1);
    expect((await second.history(id)).find((event) => event.type === 'TASK_SUCCEEDED')?.actor).toBe(
      'reconciler',
    );
  });
});

describe('an instance that is stopped at work', () => {
  test('leaves no accepted request behind: each is made once, by it or by the next one', async () => {
    const first = await start();
    const prompts = Array.from({ length: 40 }, (_, index) => `at work ${index}; [sandbox: delay=100ms]`);
    const accepted = await Promise.all(prompts.map((prompt) => first.generate({ prompt, size: '256x256' })));
    await first.stop();

    const second = await start({ key: first.key });
    const tasks = await Promise.all(accepted.map(({ id }) => second.settled(id)));
    expect(new Set(tasks.map((task) => task.status))).toEqual(new Set(['SUCCEEDED']));
    for (const prompt of prompts) {
      expect({ prompt, total: (await upstream.ledger(prompt)).total }).toEqual({ prompt, total: 1 });
    }
  });

  test('tells its watchers that it goes away, and answers the requests that it has taken', async () => {
    const first = await start();
    const { id } = await first.generate({ prompt: 'watched [sandbox: delay=600s]' });
    const watch = first.watchTask(id);
    await waitFor('the first event', () => watch.received.length > 0);
    const asked = Array.from({ length: 10 }, (_, index) =>
      first.post(GenerateImagesDocument, { input: { prompt: `last call ${index}` } }).then(
        (answer) => answer.data?.generateImages.task?.id,
        () => undefined,
      ),
    );
    const error = watch.ended.catch((reason: unknown) => reason);
    await Promise.race(asked);
    await first.stop();
    expect(await error).toBeInstanceOf(WatchFailed);
    expect(((await error) as WatchFailed).reason).toMatchObject({ code: 1001, reason: 'Going away' });

    const answered = (await Promise.all(asked)).filter((answer) => answer !== undefined);
    expect(answered.length).toBeGreaterThan(0);
    const second = await start({ key: first.key });
    for (const task of answered) {
      await expect(second.settled(task)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    }
  });
});

describe('a task that an instance left in SUBMITTING', () => {
  test('is not sent again: it is unconfirmed, and a result that comes ends it', async () => {
    const first = await start({ environment: { ...environment, ROLES: 'api' } });
    const { id } = await first.generate({ prompt: 'left behind' });
    await first.rows("UPDATE tasks SET status = 'SUBMITTING', attempts = 1 WHERE id = $1", [id]);
    await first.stop();
    const second = await start({ key: first.key });
    await second.happened(id, 'SUBMIT_UNCONFIRMED');
    expect((await second.task(id)).status).toBe('UNCONFIRMED');
    expect((await upstream.ledger('left behind')).total).toBe(0);
  });
});

describe('two instances on one database', () => {
  test('push to a watcher at one of them what the other has done', async () => {
    const api = await start({ environment: { ...environment, ROLES: 'api' } });
    const worker = await start({
      key: api.key,
      environment: { ...environment, PORT: '0', ROLES: 'worker' },
    });
    expect((await worker.get('/readyz')).status).toBe(200);
    expect((await worker.send('/graphql', { query: '{ viewer { keyName } }' })).status).toBe(404);
    const { id, cursor } = await api.generate({ prompt: 'divided [sandbox: delay=200ms]' });
    const watch = api.watchTask(id, cursor);
    await watch.ended;
    expect(typesOf(watch.received)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
  });
});
