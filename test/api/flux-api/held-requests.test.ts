import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CancelTaskDocument } from '../../../clients/operations.js';
import { hashApiKey } from '../../../src/core/access/api-key.js';
import {
  doorOf,
  errorOf,
  type FluxAnswer,
  type FluxClient,
  picturesOf,
} from '../../support/flux-api/flux-servers.js';
import { TestApp, type TestAppOptions } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

/** Requests that wait for their pictures. */

/** What is promised of a revoked key. */
const REVOKED_WITHIN_MS = 5_000;

const asking = (prompt: string) => ({ action: 'generate', prompt, size: '256x256' });
/** Runs for longer than any test. */
const slow = (prompt: string) => asking(`${prompt} [sandbox: delay=600s]`);
const withKey = (door: FluxClient, body: object, key: string) =>
  door.post('/flux/images', JSON.stringify(body), { 'idempotency-key': key });

/** The task that was asked for with this prompt, when it is there. */
async function taskAsked(app: TestApp, prompt: string): Promise<string> {
  return waitFor(`the task "${prompt}"`, async () => {
    const [row] = await app.rows<{ id: string }>('SELECT id FROM tasks WHERE prompt LIKE $1', [`${prompt}%`]);
    return row?.id;
  });
}

describe('a request that waits', () => {
  let app: TestApp;
  let door: FluxClient;
  beforeAll(async () => {
    app = await TestApp.start();
    door = doorOf(app);
  });
  afterAll(() => app.stop());

  test('is answered when the pictures are stored, with their lasting links', async () => {
    const answer = await door.images({ ...asking('lasting'), count: 2 });
    const task = await app.task(String(answer.body.task_id));
    expect(picturesOf(answer).map((picture) => picture.image_url)).toEqual(task.images.map(({ url }) => url));
    expect(task.images.every(({ storedAt }) => storedAt !== null)).toBe(true);
  });

  test('is told the trace id of its own request, also when the task was made by another', async () => {
    const first = await withKey(door, asking('twice'), 'traced');
    const again = await withKey(door, asking('twice'), 'traced');
    expect([first, again].map(({ body }) => body.task_id)).toEqual(Array(2).fill(first.body.task_id));
    expect(again.body.trace_id).toBe(again.headers.get('x-request-id'));
    expect(again.body.trace_id).not.toBe(first.body.trace_id);
    expect(again.body.data).toEqual(first.body.data);
  });

  test('and is sent a second time with its key while it waits: both have the same pictures, paid for once', async () => {
    const body = asking('both wait');
    const [one, other] = await Promise.all([withKey(door, body, 'both'), withKey(door, body, 'both')]);
    expect(one.body.data).toEqual(other.body.data);
    expect(one.body.task_id).toBe(other.body.task_id);
    await expect(app.billed('both wait')).resolves.toMatchObject({ total: 1 });
  });

  test('hears of a cancellation', async () => {
    const answer = door.images(slow('canceled'));
    await app.query(CancelTaskDocument, { input: { id: await taskAsked(app, 'canceled') } });
    expect(errorOf(await answer)).toEqual([400, 'bad_request']);
  });

  test.each(['deleted', 'late'])('shows the rest where a picture is %s', async (what) => {
    const answer = await door.images({ ...asking(`one is ${what}`), count: 2 });
    const { images } = await app.task(String(answer.body.task_id));
    const change = what === 'late' ? 'late = true' : 'deleted_at = now()';
    await app.rows(`UPDATE images SET ${change} WHERE id = $1`, [images[0]?.id]);
    const { body } = await door.tasks({ action: 'retrieve', id: answer.body.task_id });
    expect(body.response).toMatchObject({ success: true, data: [{ image_url: images[1]?.url }] });
  });

  test('many of two workspaces at once are each answered with their own', async () => {
    const another = doorOf(app, await addWorkspace(app));
    const prompts = Array.from({ length: 30 }, (_, index) => `one of many ${index}`);
    const answers = await Promise.all(
      prompts.map((prompt, index) => (index % 2 === 0 ? door : another).images(asking(prompt))),
    );
    expect(answers.map((answer) => picturesOf(answer).map(({ prompt }) => prompt))).toEqual(
      prompts.map((prompt) => [prompt]),
    );
  });

  test('ends within 5 s of its key being revoked, and is told its task, which goes on', async () => {
    const [workspace] = await app.rows<{ id: string }>(
      'SELECT id FROM workspaces ORDER BY created_at LIMIT 1',
    );
    const key = await addKey(app, workspace?.id ?? '', ['tasks:write']);
    const answer = doorOf(app, key).images(slow('revoked'));
    const id = await taskAsked(app, 'revoked');
    const since = Date.now();
    await app.rows('UPDATE api_keys SET revoked_at = now() WHERE hash = $1', [hashApiKey(key)]);
    const ended = await answer;
    expect(errorOf(ended)).toEqual([504, 'timeout']);
    expect(ended.body.task_id).toBe(id);
    expect(Date.now() - since).toBeLessThan(REVOKED_WITHIN_MS);
    await app.happened(id, 'TASK_SUBMITTED');
  });

  test('whose result cannot be read any more is told the task, not that nothing was made', async () => {
    const broken = await TestApp.start();
    const answer = doorOf(broken).images(slow('unread'));
    const id = await taskAsked(broken, 'unread');
    await broken.rows('ALTER TABLE images RENAME TO pictures');
    await broken.rows(
      `INSERT INTO task_events (workspace_id, task_id, type, actor, settles)
       SELECT workspace_id, id, 'TASK_CANCELED', 'test', true FROM tasks WHERE id = $1`,
      [id],
    );
    expect(errorOf(await answer)).toEqual([504, 'timeout']);
    expect((await answer).body).toMatchObject({ task_id: id });
    expect(broken.logged.some((line) => line.includes('a request to the Flux API failed'))).toBe(true);
    await broken.stop();
  });
});

describe('with one place for each key', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await TestApp.start({ environment: { CONNECTIONS_PER_KEY: '1' } });
  });
  afterAll(() => app.stop());

  test('a client that hangs up leaves its place at once, and its task goes on', async () => {
    const controller = new AbortController();
    const headers = { authorization: `Bearer ${app.key}`, 'content-type': 'application/json' };
    const body = JSON.stringify(asking('hung up [sandbox: delay=8s]'));
    const init = { method: 'POST', headers, body, signal: controller.signal };
    const answer = fetch(`${app.url}/flux/images`, init);
    const id = await taskAsked(app, 'hung up');
    controller.abort();
    await expect(answer).rejects.toThrow('abort');
    const isFree = async () => (await doorOf(app).images(asking('the next'))).status === 200;
    await waitFor('the place', isFree);
    await app.happened(id, 'TASK_SUBMITTED');
    expect((await app.task(id)).status).toBe('RUNNING');
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test.each([
    ['was refused', { ...asking('refused'), count: 9 }, 400],
    ['was answered', asking('answered'), 200],
  ])('a request that %s leaves its place', async (_what, body, status) => {
    for (const time of [1, 2]) {
      const answer = await doorOf(app).images(body);
      expect({ time, status: answer.status }).toEqual({ time, status });
    }
  });

  test('requests that do not wait need none', async () => {
    const held = doorOf(app).images(slow('held'));
    await taskAsked(app, 'held');
    expect(errorOf(await doorOf(app).images({ ...asking('not held'), async: true }))).toEqual([
      200,
      undefined,
    ]);
    await app.stop();
    await held;
  });
});

test('a wait that runs out is told the task, and goes on when it is sent again with its key', async () => {
  const app = await TestApp.start({ tuning: { fluxWaitMs: 300 } });
  const door = doorOf(app);
  const body = asking('longer than that [sandbox: delay=900ms]');
  const first = await withKey(door, body, 'patient');
  expect(errorOf(first)).toEqual([504, 'timeout']);
  expect(JSON.stringify(first.body.error)).toContain('/flux/tasks');
  expect(app.logged.filter((line) => /"level":[456]0/.test(line))).toEqual([]);
  const { body: task } = await door.tasks({ action: 'retrieve', id: first.body.task_id });
  expect(task).toMatchObject({ id: first.body.task_id, type: 'images' });
  const last = await waitFor<FluxAnswer>('the pictures', async () => {
    const again = await withKey(door, body, 'patient');
    return again.status === 200 && again;
  });
  expect(last.body.task_id).toBe(first.body.task_id);
  await expect(app.billed('longer than that')).resolves.toMatchObject({ total: 1 });
  await app.stop();
});

test('a stop answers those who wait at once with their task, and does not wait for them', async () => {
  const app = await TestApp.start();
  const answers = ['one', 'another'].map((prompt) => doorOf(app).images(slow(prompt)));
  const ids = await Promise.all(['one', 'another'].map((prompt) => taskAsked(app, prompt)));
  for (const id of ids) await app.happened(id, 'TASK_SUBMITTED');
  await app.stop();
  const told = await Promise.all(answers);
  expect(told.map(errorOf)).toEqual(Array(2).fill([504, 'timeout']));
  expect(told.map(({ body }) => body.task_id)).toEqual(ids);
});

describe('two instances', () => {
  test('who waits at one is answered when the worker of the other is done', async () => {
    const database = await createTestDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-api-'));
    const start = (roles: string, more: TestAppOptions = {}) =>
      TestApp.start({ databaseUrl: database.url, dataDir, environment: { ROLES: roles }, ...more });
    const api = await start('api');
    const answers = Promise.all(
      ['one', 'another'].map((prompt) => doorOf(api).images({ ...asking(prompt), count: 2 })),
    );
    await taskAsked(api, 'another');
    const worker = await start('worker', { key: api.key, tuning: { askUpstreamAfterMs: 100 } });
    for (const answer of await answers) {
      expect(answer.status).toBe(200);
      for (const { image_url } of picturesOf(answer)) {
        const picture = await fetch(image_url);
        expect([image_url.startsWith(api.url), picture.status]).toEqual([true, 200]);
        await picture.arrayBuffer();
      }
    }
    await worker.stop();
    await api.stop();
    await database.drop();
    await rm(dataDir, { recursive: true, force: true });
  });
});
