import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { CancelTaskDocument } from '../../../clients/operations.js';
import { hashApiKey } from '../../../src/core/access/api-key.js';
import {
  fluxClientFor,
  statusAndCode,
  type FluxResponse,
  type FluxClient,
  imagesOf,
} from '../../support/flux-api/flux-servers.js';
import { HeldRequest } from '../../../src/services/flux-api/held-requests.js';
import { TestApp, type TestAppOptions } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { collectGarbage } from '../../support/collect-garbage.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

/** The promised time until requests of a revoked key end. */
const REVOKED_WITHIN_MS = 5_000;

const generateBody = (prompt: string) => ({ action: 'generate', prompt, size: '256x256' });
/** The task runs for longer than any test. */
const slowBody = (prompt: string) => generateBody(`${prompt} [sandbox: delay=600s]`);
const sendWithIdempotencyKey = (client: FluxClient, body: object, key: string) =>
  client.post('/flux/images', JSON.stringify(body), { 'idempotency-key': key });

/** Waits for the task with this prompt and returns its ID. */
async function waitForTask(app: TestApp, prompt: string): Promise<string> {
  return waitFor(`the task "${prompt}"`, async () => {
    const [row] = await app.rows<{ id: string }>('SELECT id FROM tasks WHERE prompt LIKE $1', [`${prompt}%`]);
    return row?.id;
  });
}

describe('held requests', () => {
  let app: TestApp;
  let client: FluxClient;
  beforeAll(async () => {
    app = await TestApp.start();
    client = fluxClientFor(app);
  });
  afterAll(() => app.stop());

  test('a request returns permanent URLs once its images are stored', async () => {
    const response = await client.images({ ...generateBody('lasting'), count: 2 });
    const task = await app.task(String(response.body.task_id));
    expect(imagesOf(response).map(({ image_url: url }) => url)).toEqual(task.images.map(({ url }) => url));
    expect(task.images.every(({ storedAt }) => storedAt !== null)).toBe(true);
  });

  test('a request that waits keeps nothing of its body', async () => {
    const usedMb = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed / 1024 / 1024;
    };
    const waitForTasks = jest.spyOn(HeldRequest.prototype, 'waitFor');
    const before = usedMb();
    const body = JSON.stringify({ ...slowBody('large'), unused: 'x'.repeat(1_000_000) });
    const requests: Promise<unknown>[] = [];
    for (let count = 1; count <= 40; count += 1) {
      requests.push(client.post('/flux/images', body, { 'idempotency-key': 'large' }));
      await waitFor('the request to wait', () => waitForTasks.mock.calls.length === count);
    }
    const taskId = await waitForTask(app, 'large');
    waitForTasks.mockRestore();
    // Each body takes 1 MB.
    expect(usedMb() - before).toBeLessThan(20);
    await app.query(CancelTaskDocument, { input: { id: taskId } });
    await Promise.all(requests);
  });

  test('a replayed request returns its own trace ID', async () => {
    const first = await sendWithIdempotencyKey(client, generateBody('twice'), 'traced');
    const replay = await sendWithIdempotencyKey(client, generateBody('twice'), 'traced');
    expect([first, replay].map(({ body }) => body.task_id)).toEqual(Array(2).fill(first.body.task_id));
    expect(replay.body.trace_id).toBe(replay.headers.get('x-request-id'));
    expect(replay.body.trace_id).not.toBe(first.body.trace_id);
    expect(replay.body.data).toEqual(first.body.data);
  });

  test('two concurrent requests with one idempotency key return the same images, which are charged once', async () => {
    const body = generateBody('both wait');
    const [one, other] = await Promise.all([
      sendWithIdempotencyKey(client, body, 'both'),
      sendWithIdempotencyKey(client, body, 'both'),
    ]);
    expect(one.body.data).toEqual(other.body.data);
    expect(one.body.task_id).toBe(other.body.task_id);
    await expect(app.sandboxCharges('both wait')).resolves.toMatchObject({ total: 1 });
  });

  test('a request whose task is canceled ends with an error', async () => {
    const response = client.images(slowBody('canceled'));
    await app.query(CancelTaskDocument, { input: { id: await waitForTask(app, 'canceled') } });
    expect(statusAndCode(await response)).toEqual([400, 'bad_request']);
  });

  test.each(['deleted', 'late'])('the response leaves out an image that is %s', async (what) => {
    const response = await client.images({ ...generateBody(`one is ${what}`), count: 2 });
    const { images } = await app.task(String(response.body.task_id));
    const change = what === 'late' ? 'late = true' : 'deleted_at = now()';
    await app.rows(`UPDATE images SET ${change} WHERE id = $1`, [images[0]?.id]);
    const { body } = await client.tasks({ action: 'retrieve', id: response.body.task_id });
    expect(body.response).toMatchObject({ success: true, data: [{ image_url: images[1]?.url }] });
  });

  test('concurrent requests of two workspaces each receive their own images', async () => {
    const another = fluxClientFor(app, await addWorkspaceWithKey(app));
    const prompts = Array.from({ length: 30 }, (_, index) => `one of many ${index}`);
    const pendingResponses = await Promise.all(
      prompts.map((prompt, index) => (index % 2 === 0 ? client : another).images(generateBody(prompt))),
    );
    expect(pendingResponses.map((response) => imagesOf(response).map(({ prompt }) => prompt))).toEqual(
      prompts.map((prompt) => [prompt]),
    );
  });

  test('a request ends with its task ID within 5 s of its key being revoked, and the task continues', async () => {
    const [workspace] = await app.rows<{ id: string }>(
      'SELECT id FROM workspaces ORDER BY created_at LIMIT 1',
    );
    const key = await addKey(app, workspace?.id ?? '', ['tasks:write']);
    const response = fluxClientFor(app, key).images(slowBody('revoked'));
    const id = await waitForTask(app, 'revoked');
    const since = Date.now();
    await app.rows('UPDATE api_keys SET revoked_at = now() WHERE hash = $1', [hashApiKey(key)]);
    const ended = await response;
    expect(statusAndCode(ended)).toEqual([504, 'timeout']);
    expect(ended.body.task_id).toBe(id);
    expect(Date.now() - since).toBeLessThan(REVOKED_WITHIN_MS);
    await app.waitForEvent(id, 'TASK_SUBMITTED');
  });

  test('a request whose result cannot be read ends with its task ID', async () => {
    const broken = await TestApp.start();
    const response = fluxClientFor(broken).images(slowBody('unread'));
    const id = await waitForTask(broken, 'unread');
    await broken.rows('ALTER TABLE images RENAME TO renamed_images');
    await broken.rows(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, settles_task)
       SELECT workspace_id, id, 'TASK_CANCELED', 'test', true FROM tasks WHERE id = $1`,
      [id],
    );
    expect(statusAndCode(await response)).toEqual([504, 'timeout']);
    expect((await response).body).toMatchObject({ task_id: id });
    expect(broken.logLines.some((line) => line.includes('a request failed'))).toBe(true);
    await broken.stop();
  });
});

describe('held requests with one connection slot for each key', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await TestApp.start({ environment: { CONNECTIONS_PER_KEY: '1' } });
  });
  afterAll(() => app.stop());

  test('a client that disconnects frees its slot at once, and its task continues', async () => {
    const controller = new AbortController();
    const headers = { authorization: `Bearer ${app.apiKey}`, 'content-type': 'application/json' };
    const body = JSON.stringify(generateBody('disconnected [sandbox: delay=8s]'));
    const init = { method: 'POST', headers, body, signal: controller.signal };
    const response = fetch(`${app.url}/flux/images`, init);
    const id = await waitForTask(app, 'disconnected');
    controller.abort();
    await expect(response).rejects.toThrow('abort');
    const isFree = async () => (await fluxClientFor(app).images(generateBody('the next'))).status === 200;
    await waitFor('the slot to be free', isFree);
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    expect((await app.task(id)).status).toBe('RUNNING');
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test.each([
    ['was refused', { ...generateBody('refused'), count: 9 }, 400],
    ['was answered', generateBody('answered'), 200],
  ])('a request that %s frees its slot', async (_what, body, status) => {
    for (const time of [1, 2]) {
      const response = await fluxClientFor(app).images(body);
      expect({ time, status: response.status }).toEqual({ time, status });
    }
  });

  test('asynchronous requests need no slot', async () => {
    const held = fluxClientFor(app).images(slowBody('held'));
    await waitForTask(app, 'held');
    expect(
      statusAndCode(await fluxClientFor(app).images({ ...generateBody('not held'), async: true })),
    ).toEqual([200, undefined]);
    await app.stop();
    await held;
  });
});

test('a request that times out gets its task ID, and can be continued with its idempotency key', async () => {
  const app = await TestApp.start({ tuning: { fluxHoldTimeoutMs: 300 } });
  const client = fluxClientFor(app);
  const body = generateBody('longer than the timeout [sandbox: delay=900ms]');
  const first = await sendWithIdempotencyKey(client, body, 'patient');
  expect(statusAndCode(first)).toEqual([504, 'timeout']);
  expect(JSON.stringify(first.body.error)).toContain('/flux/tasks');
  expect(app.logLines.filter((line) => /"level":[456]0/.test(line))).toEqual([]);
  const { body: task } = await client.tasks({ action: 'retrieve', id: first.body.task_id });
  expect(task).toMatchObject({ id: first.body.task_id, type: 'images' });
  const last = await waitFor<FluxResponse>('the images', async () => {
    const replay = await sendWithIdempotencyKey(client, body, 'patient');
    return replay.status === 200 && replay;
  });
  expect(last.body.task_id).toBe(first.body.task_id);
  await expect(app.sandboxCharges('longer than the timeout')).resolves.toMatchObject({ total: 1 });
  await app.stop();
});

test('stopping the service ends held requests with their task IDs without waiting for their results', async () => {
  const app = await TestApp.start();
  const pendingResponses = ['one', 'another'].map((prompt) => fluxClientFor(app).images(slowBody(prompt)));
  const ids = await Promise.all(['one', 'another'].map((prompt) => waitForTask(app, prompt)));
  for (const id of ids) await app.waitForEvent(id, 'TASK_SUBMITTED');
  await app.stop();
  const responses = await Promise.all(pendingResponses);
  expect(responses.map(statusAndCode)).toEqual(Array(2).fill([504, 'timeout']));
  expect(responses.map(({ body }) => body.task_id)).toEqual(ids);
});

describe('held requests with two instances', () => {
  test('a request held by one instance is answered when the worker of the other instance finishes', async () => {
    const database = await createTestDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-api-'));
    const start = (roles: string, more: TestAppOptions = {}) =>
      TestApp.start({ databaseUrl: database.url, dataDir, environment: { ROLES: roles }, ...more });
    const api = await start('api');
    const pendingResponses = Promise.all(
      ['one', 'another'].map((prompt) => fluxClientFor(api).images({ ...generateBody(prompt), count: 2 })),
    );
    await waitForTask(api, 'another');
    const worker = await start('worker', { apiKey: api.apiKey, tuning: { readUpstreamAfterMs: 100 } });
    for (const response of await pendingResponses) {
      expect(response.status).toBe(200);
      for (const { image_url } of imagesOf(response)) {
        const download = await fetch(image_url);
        expect([image_url.startsWith(api.url), download.status]).toEqual([true, 200]);
        await download.arrayBuffer();
      }
    }
    await worker.stop();
    await api.stop();
    await database.drop();
    await rm(dataDir, { recursive: true, force: true });
  });
});
