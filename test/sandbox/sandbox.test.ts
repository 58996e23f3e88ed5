import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { waitFor } from '../support/wait-for.js';
import {
  CallbackServer,
  SandboxUnderTest,
  type SandboxBody,
} from '../support/upstreams/sandbox-under-test.js';

let sandbox: SandboxUnderTest;
beforeAll(async () => {
  sandbox = await SandboxUnderTest.start();
});
afterAll(() => sandbox.stop());

async function waitForFinishedTask(id: string | undefined): Promise<SandboxBody> {
  return waitFor('the task to finish', async () => {
    const task = await sandbox.task(id);
    return task.finished_at === undefined ? null : task;
  });
}

describe('the three modes', () => {
  test('keeps the connection open and returns the images when neither callback_url nor async is sent', async () => {
    const { status, body } = await sandbox.generate('waiting for it', { count: 2 });
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      task_id: expect.any(String),
      trace_id: expect.any(String),
      data: [
        expect.objectContaining({ prompt: 'waiting for it' }),
        expect.objectContaining({ prompt: 'waiting for it' }),
      ],
    });
    const image = await fetch(body.data?.[0]?.image_url ?? '');
    expect(image.headers.get('content-type')).toBe('image/png');
    const { width, height, format } = await sharp(await image.arrayBuffer()).metadata();
    expect({ width, height, format }).toEqual({ width: 256, height: 256, format: 'png' });
  });

  test('returns only a task_id and posts the result later when a callback_url is sent', async () => {
    const callbackServer = await CallbackServer.start();
    const { status, body } = await sandbox.generate('called back', { callback_url: callbackServer.url });
    expect([status, body]).toEqual([200, { task_id: expect.any(String) }]);
    const callback = await waitFor('the callback', () => callbackServer.callbacks[0]);
    expect(callback).toEqual((await sandbox.task(body.task_id)).response);
    expect(callback).toMatchObject({
      success: true,
      task_id: body.task_id,
      data: [{ prompt: 'called back' }],
    });
    await callbackServer.stop();
  });

  test('returns success, task_id and trace_id when async is true, and the task can be read', async () => {
    const { body } = await sandbox.generate('read later', { async: true });
    expect(body).toEqual({ success: true, task_id: expect.any(String), trace_id: expect.any(String) });
    const task = await waitForFinishedTask(body.task_id);
    expect(task.response).toMatchObject({ success: true, task_id: body.task_id, trace_id: body.trace_id });
  });
});

describe('/flux/tasks', () => {
  test('shows a running task without finished_at and elapsed, and with an empty response', async () => {
    const { body } = await sandbox.generate('slow one [sandbox: delay=60s]', { async: true });
    expect(await sandbox.task(body.task_id)).toEqual({
      id: body.task_id,
      type: 'images',
      created_at: expect.any(Number),
      started_at: expect.any(Number),
      trace_id: body.trace_id,
      request: {
        action: 'generate',
        prompt: 'slow one [sandbox: delay=60s]',
        size: '256x256',
        async: true,
      },
      response: {},
    });
  });

  test('shows a finished task with its times in Unix seconds and its duration', async () => {
    const { body } = await sandbox.generate('times [sandbox: delay=20ms]', { async: true });
    const task = await waitForFinishedTask(body.task_id);
    expect(Math.abs((task.finished_at ?? 0) - Date.now() / 1000)).toBeLessThan(60);
    expect(task.elapsed).toBeGreaterThanOrEqual(0.015);
    expect(task.elapsed).toBeCloseTo((task.finished_at ?? 0) - (task.started_at ?? 0), 2);
  });

  test('returns {} for an unknown ID, and a batch with only the known ones', async () => {
    expect(await sandbox.task('2db0168c-3f0e-4a53-9d7a-0f6a5f1f7d11')).toEqual({});
    const { body } = await sandbox.generate('in a batch');
    const ids = ['unknown', body.task_id, body.task_id];
    const batch = await sandbox.post('/flux/tasks', { action: 'retrieve_batch', ids });
    expect(batch.body).toEqual({ items: [await sandbox.task(body.task_id)], count: 1 });
  });

  test('accepts fifty IDs and refuses fifty-one', async () => {
    const readBatch = (count: number) =>
      sandbox.post('/flux/tasks', { action: 'retrieve_batch', ids: Array(count).fill('x') });
    expect((await readBatch(50)).body).toEqual({ items: [], count: 0 });
    expect(await readBatch(51)).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } });
  });

  test.each([
    [{ action: 'retrieve' }, 'bad_request'],
    [{ action: 'retrieve_batch', ids: 'x' }, 'bad_request'],
    [{ limit: 5 }, 'bad_request'],
    [{ action: 'delete', id: 'x' }, 'api_not_implemented'],
  ])('refuses %j with %s', async (body, code) => {
    expect(await sandbox.post('/flux/tasks', body)).toMatchObject({
      status: 400,
      body: { success: false, error: { code } },
    });
  });
});

describe('an invalid request', () => {
  const edit = {
    action: 'edit',
    prompt: 'p',
    model: 'flux-kontext-pro',
    image_url: 'http://127.0.0.1/x.png',
  };

  test.each([
    ['no action beside an image', { prompt: 'p', image_url: edit.image_url }, 'api_not_implemented'],
    ['an unknown action', { action: 'paint', prompt: 'p' }, 'api_not_implemented'],
    ['an inherited name as action', { action: 'constructor', prompt: 'p' }, 'api_not_implemented'],
    ['no prompt', { action: 'generate' }, 'bad_request'],
    ['an empty prompt', { action: 'generate', prompt: ' ' }, 'bad_request'],
    ['a prompt that is not a string', { action: 'generate', prompt: 7 }, 'bad_request'],
    ['an unknown model', { action: 'generate', prompt: 'p', model: 'sd-xl' }, 'bad_request'],
    ['a size that is too large', { action: 'generate', prompt: 'p', size: '4096x4096' }, 'bad_request'],
    ['a size that is not a size', { action: 'generate', prompt: 'p', size: 'large' }, 'bad_request'],
    ['a count of 0', { action: 'generate', prompt: 'p', count: 0 }, 'bad_request'],
    ['a count of 5', { action: 'generate', prompt: 'p', count: 5 }, 'bad_request'],
    ['a fractional count', { action: 'generate', prompt: 'p', count: 1.5 }, 'bad_request'],
    [
      'a callback_url that is not a URL',
      { action: 'generate', prompt: 'p', callback_url: 'x' },
      'bad_request',
    ],
    ['an edit without an image', { ...edit, image_url: undefined }, 'bad_request'],
    ['an edit of an image_url that is not http', { ...edit, image_url: 'file:///etc/passwd' }, 'bad_request'],
    ['an edit by a model that cannot edit', { ...edit, model: 'flux-pro' }, 'bad_request'],
    ['an edit without a model, as flux-dev cannot edit', { ...edit, model: undefined }, 'bad_request'],
    ['an unknown directive', { action: 'generate', prompt: 'p [sandbox: explode]' }, 'bad_request'],
  ])('is refused for %s', async (_what, body, code) => {
    const before = (await sandbox.charges()).total;
    const reply = await sandbox.submit(body);
    expect(reply).toMatchObject({ status: 400, body: { success: false, error: { code } } });
    expect(reply.body.trace_id).toEqual(expect.any(String));
    expect((await sandbox.charges()).total).toBe(before);
  });

  test('is refused with bad_request when its body is not a JSON object', async () => {
    for (const raw of ['{"action":', 'plain', '[]', '"generate"', 'null']) {
      expect(await sandbox.submit({}, { rawBody: raw })).toMatchObject({
        status: 400,
        body: { error: { code: 'bad_request' } },
      });
    }
  });

  test('is refused with no_token when its token is missing or empty', async () => {
    for (const token of [null, '']) {
      expect(await sandbox.submit({}, { token })).toMatchObject({
        status: 400,
        body: { error: { code: 'no_token' } },
      });
    }
  });

  test('is refused with invalid_token when its token is not the required one', async () => {
    const protectedSandbox = await SandboxUnderTest.start({ token: 'right' });
    const body = { action: 'generate', prompt: 'p', size: '256x256' };
    expect(await protectedSandbox.submit(body, { token: 'wrong' })).toMatchObject({
      status: 401,
      body: { success: false, error: { code: 'invalid_token' } },
    });
    expect((await protectedSandbox.submit(body, { token: 'right' })).status).toBe(200);
    await protectedSandbox.stop();
  });

  test('is refused with no_api when its path or method does not exist', async () => {
    expect(await sandbox.post('/flux/videos', {})).toMatchObject({
      status: 404,
      body: { success: false, error: { code: 'no_api' } },
    });
    expect((await fetch(`${sandbox.url}/flux/images`)).status).toBe(404);
  });

  test('gets a 404 for an image that does not exist', async () => {
    expect((await fetch(`${sandbox.url}/images/none.png`)).status).toBe(404);
  });
});

describe('the shape of replies', () => {
  test('varies: seeds are numbers, strings or absent, and timings are numbers or objects', async () => {
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, index) => sandbox.generate(`shape ${index}`)),
    );
    const images = replies.map(({ body }) => body.data?.[0]);
    expect(new Set(images.map((image) => typeof image?.seed))).toEqual(
      new Set(['number', 'string', 'undefined']),
    );
    expect(new Set(images.map((image) => typeof image?.timings))).toEqual(new Set(['number', 'object']));
  });

  test('is equal for equal requests, with equal seeds and bytes, while the images of one request differ', async () => {
    const fields = { count: 2 };
    const [first, second] = [await sandbox.generate('twin', fields), await sandbox.generate('twin', fields)];
    expect(first.body.data?.map(({ seed }) => seed)).toEqual(second.body.data?.map(({ seed }) => seed));
    const bytes = await Promise.all(
      [...(first.body.data ?? []), ...(second.body.data ?? [])].map(async ({ image_url }) =>
        Buffer.from(await (await fetch(image_url)).arrayBuffer()),
      ),
    );
    expect(bytes[0]?.equals(bytes[2] ?? Buffer.alloc(0))).toBe(true);
    expect(bytes[1]?.equals(bytes[3] ?? Buffer.alloc(0))).toBe(true);
    expect(bytes[0]?.equals(bytes[1] ?? Buffer.alloc(0))).toBe(false);
  });
});

describe('the ledger', () => {
  test('counts generations and their images, filtered by the prompt', async () => {
    await sandbox.generate('ledger: one', { count: 3 });
    const { body } = await sandbox.generate('ledger: two');
    await sandbox.generate('ledger: three [sandbox: fail=forbidden]');
    await sandbox.generate('ledger: four [sandbox: error=used_up]');
    const page = await sandbox.charges('ledger: ');
    expect(page).toMatchObject({ total: 2, images: 4 });
    expect(page.generations[1]).toEqual({
      taskId: body.task_id,
      prompt: 'ledger: two',
      model: 'flux-dev',
      action: 'generate',
      count: 1,
      hasCallback: false,
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    expect((await sandbox.charges()).total).toBeGreaterThanOrEqual(2);
  });
});

describe('closing', () => {
  test('ends open connections at once and leaves nothing running', async () => {
    const closing = await SandboxUnderTest.start();
    const { body } = await closing.generate('running [sandbox: delay=60s]', { async: true });
    const openRequest = expect(closing.generate('held [sandbox: delay=60s]')).rejects.toThrow();
    await waitFor('the running task', async () => (await closing.task(body.task_id)).id);
    await closing.closeSandbox();
    await openRequest;
    await closing.stop();
  });
});

describe('an outage of the account', () => {
  test.each([
    ['too_many_requests', 429],
    ['used_up', 403],
    ['invalid_token', 401],
  ])('refuses every submission with %s until it ends, and makes nothing', async (error, status) => {
    const prompt = `refused with ${error}`;
    expect(await sandbox.setOutage({ error, seconds: 60 })).toBe(204);
    const refused = await sandbox.generate(prompt);
    expect([refused.status, refused.body.error?.code]).toEqual([status, error]);
    await sandbox.setOutage({ error, seconds: 0 });
    expect((await sandbox.charges(prompt)).total).toBe(0);
    expect((await sandbox.generate(prompt)).status).toBe(200);
  });

  test('ends by itself', async () => {
    await sandbox.setOutage({ error: 'used_up', seconds: 0.05 });
    await waitFor('the end of the outage', async () =>
      (await sandbox.generate('as soon as possible')).status === 200 ? true : null,
    );
  });

  test('hides tasks behind a revoked token, but not behind missing credit', async () => {
    const { body } = await sandbox.generate('made before');
    await sandbox.setOutage({ error: 'used_up', seconds: 60 });
    expect((await sandbox.task(body.task_id)).id).toBe(body.task_id);
    await sandbox.setOutage({ error: 'invalid_token', seconds: 60 });
    expect((await sandbox.task(body.task_id)).error?.code).toBe('invalid_token');
    await sandbox.setOutage({ error: 'invalid_token', seconds: 0 });
  });

  test('needs the token, a known error and a duration', async () => {
    expect(await sandbox.setOutage({ error: 'used_up', seconds: 1 }, null)).toBe(400);
    expect(await sandbox.setOutage({ error: 'bad_request', seconds: 1 })).toBe(400);
    expect(await sandbox.setOutage({ error: 'used_up' })).toBe(400);
  });
});
