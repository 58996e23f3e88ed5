import { describe, expect, test } from '@jest/globals';
import { type RequestHandler, dropConnection, reply, neverReply } from '../support/net/test-http-server.js';
import {
  READ_TRACE_ID,
  TASK_ID,
  TRACE_ID,
  errorEnvelope,
  expectUpstreamError,
  openUpstream,
  readSample,
} from '../support/upstreams/acedata-fixture.js';

describe('a task that was read is', () => {
  const task = (name: string) => JSON.parse(readSample(name)) as Record<string, unknown>;
  const ids = { upstreamTaskId: READ_TRACE_ID, upstreamTraceId: '6624929c-6d2e-43d4-8a4c-0b6d3c2f9f5e' };
  async function read(item: unknown) {
    const { client } = await openUpstream(reply(200, { items: [item], count: 1 }));
    return (await client.readTasks(['another', READ_TRACE_ID])).get(READ_TRACE_ID);
  }

  test('running without a result', async () => {
    await expect(read(task('task-running'))).resolves.toEqual({ kind: 'running', ...ids });
  });

  test.each([[{}], [null], [{ success: true, task_id: READ_TRACE_ID }], [{ status: 'processing' }]])(
    'running with the response %j, which has no data',
    async (response) => {
      await expect(read({ ...task('task-running'), response })).resolves.toMatchObject({ kind: 'running' });
    },
  );

  test('running while an error is a plain string and the task has not finished', async () => {
    await expect(read(task('task-hiccup-not-over'))).resolves.toMatchObject({
      kind: 'running',
      upstreamTaskId: READ_TRACE_ID,
    });
  });

  test('succeeded when there are images, even without finished_at', async () => {
    const upstreamMetadata = { seed: '281520112', timings: { inference: 3.193 } };
    const upstreamUrl = 'https://cdn.acedata.cloud/flux/281520112.png';
    const images = [{ upstreamUrl, seed: '281520112', inferenceSeconds: 3.193, upstreamMetadata }];
    await expect(read(task('task-finished'))).resolves.toEqual({ kind: 'succeeded', ...ids, images });
    await expect(read({ ...task('task-finished'), finished_at: undefined })).resolves.toMatchObject({
      images,
    });
  });

  test.each([
    ['an error code', { response: errorEnvelope('forbidden') }, 'CONTENT_REJECTED'],
    [
      'finished_at and an error that is a plain string',
      { finished_at: 1.5, response: { success: false, error: 'bare' } },
      'UPSTREAM_FAILED',
    ],
    ['finished_at and nothing else', { finished_at: 1.5 }, 'UPSTREAM_FAILED'],
    [
      'finished_at and no usable image',
      { finished_at: 1.5, response: { success: true, data: [{}] } },
      'UPSTREAM_FAILED',
    ],
  ])('failed with %s', async (_what, fields, code) => {
    await expect(read({ ...task('task-running'), ...fields })).resolves.toMatchObject({
      kind: 'failed',
      upstreamTaskId: READ_TRACE_ID,
      failure: { code },
    });
  });

  test('absent when the upstream does not know its ID, and when it was not requested', async () => {
    const { client, server } = await openUpstream(
      reply(200, { items: [{}, null, { ...task('task-running'), id: 'other' }] }),
    );
    await expect(client.readTasks([READ_TRACE_ID])).resolves.toEqual(new Map());
    server.handler = reply(200, readSample('task-unknown'));
    await expect(client.readTasks([READ_TRACE_ID])).resolves.toEqual(new Map());
  });

  test('accepted as a single task instead of a list', async () => {
    const { client } = await openUpstream(reply(200, readSample('task-finished')));
    expect((await client.readTasks([READ_TRACE_ID])).get(READ_TRACE_ID)).toMatchObject({ kind: 'succeeded' });
  });

  test.each<[string, RequestHandler]>([
    ['no body', reply(200, '')],
    ['HTML', reply(200, '<html></html>')],
    ['another shape', reply(200, { count: 0 })],
    ['a plain string as an error', reply(500, { error: 'bare' })],
    ['a dropped connection', dropConnection],
    ['no response', neverReply],
  ])('not taken for unknown when the response is unusable: %s', async (_what, handler) => {
    const { client } = await openUpstream(handler, { readTimeoutMs: 150 });
    const error = await expectUpstreamError(client.readTasks([READ_TRACE_ID]));
    expect(error).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'UPSTREAM_FAILED', retryable: true },
    });
  });
});

describe('a callback means', () => {
  async function parse(body: unknown) {
    const { client } = await openUpstream(neverReply);
    return client.parseCallback(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  }

  test('succeeded with an image', async () => {
    await expect(parse(readSample('callback-succeeded'))).resolves.toEqual({
      kind: 'succeeded',
      upstreamTaskId: TASK_ID,
      upstreamTraceId: TRACE_ID,
      images: [
        {
          upstreamUrl:
            'https://sf-maas-uat-prod.oss-cn-shanghai.aliyuncs.com/outputs/f4f8d407-377a-408a-82d0-427a5a836f09_0.png',
          seed: '1698551532',
          inferenceSeconds: 3.328,
          upstreamMetadata: { seed: 1_698_551_532, timings: { inference: 3.328 } },
        },
      ],
    });
  });

  test('succeeded even if "success" is missing and some entries have no usable link', async () => {
    const urls = [
      'https://a.example/1.png',
      'data:image/png;base64,AA',
      'nowhere',
      '',
      null,
      7,
      'http://b.example/2.png',
    ];
    const data = [...urls.map((image_url) => ({ image_url, timings: 'odd', seed: {} })), null, 'text'];
    await expect(parse({ data })).resolves.toMatchObject({
      kind: 'succeeded',
      upstreamTaskId: null,
      images: [
        { upstreamUrl: 'https://a.example/1.png', seed: null, inferenceSeconds: null },
        { upstreamUrl: 'http://b.example/2.png' },
      ],
    });
  });

  test('failed with an error code', async () => {
    const upstreamTraceId = '2cf86e86-22a4-46e1-ac2f-032c0f2a4e89';
    await expect(parse(readSample('callback-failed'))).resolves.toEqual({
      kind: 'failed',
      upstreamTaskId: TASK_ID,
      upstreamTraceId,
      failure: {
        ...{ code: 'UPSTREAM_FAILED', retryable: true, upstreamCode: 'api_error', upstreamTraceId },
        message: 'The upstream failed to generate the image. Retry the task.',
      },
    });
  });

  test.each([
    ['a moderation error', errorEnvelope('forbidden'), 'CONTENT_REJECTED'],
    [
      'token_mismatched, which is ambiguous without an HTTP status',
      errorEnvelope('token_mismatched'),
      'UPSTREAM_BAD_REQUEST',
    ],
    ['an unknown code', errorEnvelope('never_heard_of'), 'UPSTREAM_FAILED'],
    ['a timeout', errorEnvelope('timeout'), 'UPSTREAM_FAILED'],
    ['the sample without success, task ID and trace ID', readSample('error-bare-string'), 'UPSTREAM_FAILED'],
    ['the envelope of an error reply', readSample('error-api-error'), 'UPSTREAM_FAILED'],
    ['no reason', { success: false, task_id: TASK_ID }, 'UPSTREAM_FAILED'],
    ['no image', { success: true, task_id: TASK_ID, data: [] }, 'UPSTREAM_FAILED'],
  ])('failed with %s', async (_what, body, code) => {
    await expect(parse(body)).resolves.toMatchObject({ kind: 'failed', failure: { code } });
  });

  test('accepted with only a task ID', async () => {
    await expect(parse(readSample('submit-accepted'))).resolves.toMatchObject({
      kind: 'accepted',
      upstreamTaskId: TASK_ID,
    });
  });

  test.each([
    '',
    'a=b',
    '{"task_id":',
    '{}',
    '[]',
    'null',
    '"text"',
    '7',
    { hello: 'world' },
    { task_id: {} },
  ])('nothing when its body is not recognizable: %p', async (body) => {
    await expect(parse(body)).resolves.toBeNull();
  });
});
