import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GenerateImagesDocument } from '../../../clients/operations.js';
import { SandboxUnderTest } from '../../support/upstreams/sandbox-under-test.js';
import { TestApp, eventTypes, SubscriptionFailed } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { freePort } from '../../support/net/free-port.js';
import { waitFor } from '../../support/wait-for.js';

// These outlive an instance, and the next instance uses them again.
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
  const publicAddress = { PORT: port, PUBLIC_URL: `http://127.0.0.1:${port}` };
  environment = { FLUX_API_TOKEN: 'test', FLUX_BASE_URL: upstream.url, ...publicAddress };
});
afterEach(async () => {
  await Promise.all(instances.splice(0).map((instance) => instance.stop()));
  await upstream.stop();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(
  options: { apiKey?: string; environment?: Record<string, string> } = {},
): Promise<TestApp> {
  const tuning = { readUpstreamAfterMs: 200 };
  const shared = { databaseUrl: database.url, dataDir, environment, tuning };
  const app = await TestApp.start({ ...shared, ...options });
  instances.push(app);
  return app;
}

describe('an instance that is stopped between a submission and its upstream callback', () => {
  test('is replaced by an instance that receives the callback, and a subscriber resumes without loss', async () => {
    const first = await start();
    const prompt = 'called back later [sandbox: delay=5s]';
    const { id, eventCursor } = await first.generate({ prompt });
    const subscription = first.subscribeToTask(id, eventCursor);
    await waitFor('the submission', () => eventTypes(subscription.received).includes('TASK_SUBMITTED'));
    await first.stop();

    const second = await start({ apiKey: first.apiKey });
    const resumed = second.subscribeToTask(id, subscription.received.at(-1)?.cursor);
    await resumed.ended;
    expect(eventTypes(resumed.received)).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
    expect((await upstream.charges(prompt)).total).toBe(1);
  });

  test('is replaced by an instance that asks the upstream for a result after its callback was lost', async () => {
    const first = await start();
    const prompt = 'called back to a stopped instance [sandbox: delay=6s]';
    const { id } = await first.generate({ prompt });
    await first.waitForEvent(id, 'TASK_SUBMITTED');
    await first.stop();
    await waitFor('the image', async () => (await upstream.charges(prompt)).total === 1);

    const second = await start({ apiKey: first.apiKey });
    await expect(second.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'SUCCEEDED',
      deliveredCount: 1,
    });
    expect((await upstream.charges(prompt)).total).toBe(1);
    expect((await second.history(id)).find((event) => event.type === 'TASK_SUCCEEDED')?.actor).toBe(
      'reconciler',
    );
  });
});

describe('an instance that is stopped while it works', () => {
  test('loses no accepted request: each is generated once, by it or by the next instance', async () => {
    const first = await start();
    const prompts = Array.from({ length: 40 }, (_, index) => `interrupted ${index}; [sandbox: delay=100ms]`);
    const accepted = await Promise.all(prompts.map((prompt) => first.generate({ prompt, size: '256x256' })));
    await first.stop();

    const second = await start({ apiKey: first.apiKey });
    const tasks = await Promise.all(accepted.map(({ id }) => second.waitUntilSettled(id)));
    expect(new Set(tasks.map((task) => task.status))).toEqual(new Set(['SUCCEEDED']));
    for (const prompt of prompts) {
      expect({ prompt, total: (await upstream.charges(prompt)).total }).toEqual({ prompt, total: 1 });
    }
  });

  test('closes its subscriptions with 1001 and answers the requests that it has accepted', async () => {
    const first = await start();
    const { id } = await first.generate({ prompt: 'subscribed to [sandbox: delay=600s]' });
    const subscription = first.subscribeToTask(id);
    await waitFor('the first event', () => subscription.received.length > 0);
    const requests = Array.from({ length: 10 }, (_, index) =>
      first.execute(GenerateImagesDocument, { input: { prompt: `last call ${index}` } }).then(
        (result) => result.data?.generateImages.task?.id,
        () => undefined,
      ),
    );
    const error = subscription.ended.catch((reason: unknown) => reason);
    await Promise.race(requests);
    await first.stop();
    expect(await error).toBeInstanceOf(SubscriptionFailed);
    expect(((await error) as SubscriptionFailed).reason).toMatchObject({ code: 1001, reason: 'Going away' });

    const taskIds = (await Promise.all(requests)).filter((id) => id !== undefined);
    expect(taskIds.length).toBeGreaterThan(0);
    const second = await start({ apiKey: first.apiKey });
    for (const taskId of taskIds) {
      await expect(second.waitUntilSettled(taskId)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    }
  });
});

describe('a task that an instance left in SUBMITTING', () => {
  test('becomes UNCONFIRMED and is not submitted again', async () => {
    const first = await start({ environment: { ...environment, ROLES: 'api' } });
    const { id } = await first.generate({ prompt: 'left behind' });
    await first.rows(
      `UPDATE tasks SET status = 'SUBMITTING', attempts = 1,
         submit_job_id = (SELECT id FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1::text)
       WHERE id = $1::uuid`,
      [id],
    );
    await first.stop();
    const second = await start({ apiKey: first.apiKey });
    await second.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    expect((await second.task(id)).status).toBe('UNCONFIRMED');
    expect((await upstream.charges('left behind')).total).toBe(0);
  });
});

describe('two instances on one database', () => {
  test('push the events of one instance to a subscriber of the other', async () => {
    const api = await start({ environment: { ...environment, ROLES: 'api' } });
    const worker = await start({
      apiKey: api.apiKey,
      environment: { ...environment, PORT: '0', ROLES: 'worker' },
    });
    expect((await worker.get('/readyz')).status).toBe(200);
    expect((await worker.postBody('/graphql', { query: '{ viewer { keyName } }' })).status).toBe(404);
    const { id, eventCursor } = await api.generate({ prompt: 'divided [sandbox: delay=200ms]' });
    const subscription = api.subscribeToTask(id, eventCursor);
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
  });
});
