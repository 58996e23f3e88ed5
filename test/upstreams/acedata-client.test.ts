import { describe, expect, test } from '@jest/globals';
import { type RequestHandler, dropConnection, reply } from '../support/net/test-http-server.js';
import {
  CALLBACK_URL,
  EDIT,
  GENERATE,
  TASK_ID,
  TOKEN,
  TRACE_ID,
  errorEnvelope,
  expectUpstreamError,
  openUpstream,
  readSample,
} from '../support/upstreams/acedata-fixture.js';

describe('a request to the upstream', () => {
  const common = { prompt: GENERATE.prompt, model: 'flux-dev', size: '1024x1024' };

  test('submits with a callback URL in callback mode', async () => {
    const { client, server, bodies } = await openUpstream(reply(200, readSample('submit-accepted')));
    await client.submit(GENERATE);
    expect(server.requests).toMatchObject([
      { method: 'POST', path: '/flux/images', headers: { authorization: `Bearer ${TOKEN}` } },
    ]);
    expect(bodies()).toEqual([{ ...common, action: 'generate', count: 2, callback_url: CALLBACK_URL }]);
  });

  test('submits in async mode with or without a callback URL', async () => {
    const { client, bodies } = await openUpstream(reply(200, readSample('submit-accepted-async')), {
      mode: 'async',
    });
    await client.submit(GENERATE);
    await client.submit({ ...GENERATE, callbackUrl: null });
    const body = { ...common, action: 'generate', count: 2, async: true };
    expect(bodies()).toEqual([{ ...body, callback_url: CALLBACK_URL }, body]);
  });

  test('submits in wait mode with `async: false` and without a callback URL', async () => {
    const { client, bodies } = await openUpstream(
      reply(200, readSample('waited-two-images-numeric-timings')),
      {
        mode: 'wait',
      },
    );
    await client.submit(GENERATE);
    expect(bodies()).toEqual([{ ...common, action: 'generate', count: 2, async: false }]);
  });

  test("sends an edit with an image and the model's default size, without a count and without null fields", async () => {
    const { client, bodies } = await openUpstream(reply(200, readSample('submit-accepted')));
    await client.submit(EDIT);
    const { prompt, model, sourceImageUrl } = EDIT;
    expect(bodies()).toEqual([
      { action: 'edit', prompt, model, size: '1:1', image_url: sourceImageUrl, callback_url: CALLBACK_URL },
    ]);
  });

  test('uses a new connection for every submission', async () => {
    const { client, server } = await openUpstream(reply(200, readSample('submit-accepted')));
    for (let count = 1; count <= 3; count += 1) await client.submit(GENERATE);
    expect(new Set(server.requests.map((received) => received.connection)).size).toBe(3);
  });

  test('reads every ID once in one request, and sends no request without IDs', async () => {
    const { client, server, bodies } = await openUpstream(reply(200, readSample('tasks-batch')));
    await expect(client.readTasks([])).resolves.toEqual(new Map());
    await expect(client.readTasks(['a', 'b', 'a'])).resolves.toEqual(new Map());
    expect(server.requests).toMatchObject([
      { path: '/flux/tasks', headers: { authorization: `Bearer ${TOKEN}` } },
    ]);
    expect(bodies()).toEqual([{ action: 'retrieve_batch', ids: ['a', 'b'] }]);
    const many = Array.from({ length: 51 }, (_, index) => `id-${index}`);
    await expect(client.readTasks(many)).rejects.toThrow(RangeError);
    await expect(client.readTasks(many.slice(1))).resolves.toEqual(new Map());
    expect(server.requests).toHaveLength(2);
  });
});

describe('the action of an edit', () => {
  const supports =
    (...actions: string[]): RequestHandler =>
    (response, received) =>
      actions.includes((JSON.parse(received.body) as { action: string }).action)
        ? reply(200, readSample('submit-accepted'))(response, received)
        : reply(400, errorEnvelope('api_not_implemented'))(response, received);
  const sentActions = (bodies: () => Record<string, unknown>[]) => bodies().map((body) => body['action']);

  test('is "edit" while the upstream supports it', async () => {
    const { client, bodies } = await openUpstream(supports('edit', 'edits'));
    await client.submit(EDIT);
    expect(sentActions(bodies)).toEqual(['edit']);
  });

  test('becomes "edits" once only that one is supported, and changes back in the same way', async () => {
    const { client, bodies, server } = await openUpstream(supports('edits'));
    await client.submit(EDIT);
    await client.submit(EDIT);
    expect(sentActions(bodies)).toEqual(['edit', 'edits', 'edits']);
    server.handler = supports('edit');
    await client.submit(EDIT);
    await client.submit(EDIT);
    expect(sentActions(bodies).slice(3)).toEqual(['edits', 'edit', 'edit']);
  });

  test('is tried once in both forms', async () => {
    const { client, bodies } = await openUpstream(supports());
    expect((await expectUpstreamError(client.submit(EDIT))).failure.upstreamCode).toBe('api_not_implemented');
    expect(sentActions(bodies)).toEqual(['edit', 'edits']);
  });

  test('does not change when it is configured, nor for a generation', async () => {
    const { client, bodies } = await openUpstream(supports(), { editAction: 'edits' });
    await expectUpstreamError(client.submit(EDIT));
    await expectUpstreamError(client.submit(GENERATE));
    expect(sentActions(bodies)).toEqual(['edits', 'generate']);
  });

  test('is tried later in the other form if the task may have ended', async () => {
    const { client, bodies } = await openUpstream(supports('edits'));
    const error = await expectUpstreamError(client.submit(EDIT, () => Promise.resolve(false)));
    expect(error).toMatchObject({ outcome: 'refused', backPressure: null });
    for (const attempt of [1, 2, 3]) expect(error.retryAfterMs(attempt)).toBeGreaterThan(0);
    await client.submit(EDIT, () => Promise.resolve(true));
    expect(sentActions(bodies)).toEqual(['edit', 'edit', 'edits']);
  });

  test('is not retried after any other error', async () => {
    const { client, bodies, server } = await openUpstream(reply(400, errorEnvelope('bad_request')));
    await expectUpstreamError(client.submit(EDIT));
    server.handler = dropConnection;
    await expectUpstreamError(client.submit(EDIT));
    server.handler = reply(504, errorEnvelope('api_not_implemented'));
    await expectUpstreamError(client.submit(EDIT));
    expect(sentActions(bodies)).toEqual(['edit', 'edit', 'edit']);
  });
});

describe('the result of a submission', () => {
  test.each([
    ['a task ID alone', readSample('submit-accepted'), null],
    ['a task ID with its trace', readSample('submit-accepted-async'), TRACE_ID],
    [
      'a task ID in an odd response, because it can still be read',
      { task_id: TASK_ID, success: false, error: 'hm' },
      null,
    ],
    ['no image yet', { task_id: TASK_ID, success: true, data: [] }, null],
  ])('is accepted with %s', async (_what, body, upstreamTraceId) => {
    const { client } = await openUpstream(reply(200, body));
    await expect(client.submit(GENERATE)).resolves.toEqual({
      kind: 'accepted',
      upstreamTaskId: TASK_ID,
      upstreamTraceId,
    });
  });

  test('is succeeded in wait mode, where a number in "timings" is not a duration', async () => {
    const { client } = await openUpstream(reply(200, readSample('waited-two-images-numeric-timings')), {
      mode: 'wait',
    });
    const image = (path: string) => ({
      upstreamUrl: `https://fal.media/files/${path}`,
      seed: null,
      inferenceSeconds: null,
      upstreamMetadata: { timings: 1_752_743_801 },
    });
    await expect(client.submit(GENERATE)).resolves.toEqual({
      kind: 'succeeded',
      upstreamTaskId: '226eb763-9eab-4d06-ad57-d59753a03307',
      upstreamTraceId: '089f8b46-0167-4f25-88ee-3c3f88d80e84',
      images: [
        image('lion/NVhtlwwGYQD6HrGaEfrzu_341484fad6d84b21b73f4f8824a3f98a.png'),
        image('monkey/8UEQpFbQCYVOK1wKP3aV0_9bbc26fad64049b18d0244b99ef66ad1.png'),
      ],
    });
  });

  test('is succeeded when there are images, whatever else the response contains', async () => {
    const data = [{ image_url: 'https://a.example/1.png' }];
    for (const status of [200, 400, 403, 429, 500, 502, 504]) {
      const { client } = await openUpstream(reply(status, { ...errorEnvelope('api_error'), data }));
      await expect(client.submit(GENERATE)).resolves.toMatchObject({
        kind: 'succeeded',
        upstreamTaskId: null,
      });
    }
  });
});
