import { describe, expect, test } from '@jest/globals';
import { type Answerer, drop, reply, silence } from '../support/net/http-peer.js';
import {
  READ_ID,
  TASK_ID,
  TRACE_ID,
  envelope,
  errorOf,
  open,
  sample,
} from '../support/upstreams/acedata-fixture.js';

describe('what a reading says', () => {
  const task = (name: string) => JSON.parse(sample(name)) as Record<string, unknown>;
  const ids = { upstreamTaskId: READ_ID, upstreamTraceId: '6624929c-6d2e-43d4-8a4c-0b6d3c2f9f5e' };
  async function read(item: unknown) {
    const { flux } = await open(reply(200, { items: [item], count: 1 }));
    return (await flux.readTasks(['another', READ_ID])).get(READ_ID);
  }

  test('running', async () => {
    await expect(read(task('task-running'))).resolves.toEqual({ kind: 'running', ...ids });
  });

  test('running: a bare error before the end is a hiccup', async () => {
    await expect(read(task('task-hiccup-not-over'))).resolves.toMatchObject({
      kind: 'running',
      upstreamTaskId: READ_ID,
    });
  });

  test('succeeded, also before the time of the end is there', async () => {
    const reported = { seed: '281520112', timings: { inference: 3.193 } };
    const url = 'https://cdn.acedata.cloud/flux/281520112.png';
    const pictures = [{ url, seed: '281520112', inferenceSeconds: 3.193, reported }];
    await expect(read(task('task-finished'))).resolves.toEqual({ kind: 'succeeded', ...ids, pictures });
    await expect(read({ ...task('task-finished'), finished_at: undefined })).resolves.toMatchObject({
      pictures,
    });
  });

  test.each([
    ['an error with a code, with or without an end', { response: envelope('forbidden') }, 'CONTENT_REJECTED'],
    [
      'an end with a bare error',
      { finished_at: 1.5, response: { success: false, error: 'bare' } },
      'UPSTREAM_FAILED',
    ],
    ['an end with nothing', { finished_at: 1.5 }, 'UPSTREAM_FAILED'],
    [
      'an end without a usable picture',
      { finished_at: 1.5, response: { success: true, data: [{}] } },
      'UPSTREAM_FAILED',
    ],
  ])('failed: %s', async (_what, fields, code) => {
    await expect(read({ ...task('task-running'), ...fields })).resolves.toMatchObject({
      kind: 'failed',
      upstreamTaskId: READ_ID,
      failure: { code },
    });
  });

  test('nothing about ids that the upstream does not know, nor about ids that were not asked for', async () => {
    const { flux, peer } = await open(
      reply(200, { items: [{}, null, { ...task('task-running'), id: 'other' }] }),
    );
    await expect(flux.readTasks([READ_ID])).resolves.toEqual(new Map());
    peer.answer = reply(200, sample('task-unknown'));
    await expect(flux.readTasks([READ_ID])).resolves.toEqual(new Map());
  });

  test('a lone task is taken too', async () => {
    const { flux } = await open(reply(200, sample('task-finished')));
    expect((await flux.readTasks([READ_ID])).get(READ_ID)).toMatchObject({ kind: 'succeeded' });
  });

  test.each<[string, Answerer]>([
    ['no body', reply(200, '')],
    ['HTML', reply(200, '<html></html>')],
    ['another shape', reply(200, { count: 0 })],
    ['a bare error', reply(500, { error: 'bare' })],
    ['a dropped connection', drop],
    ['silence', silence],
  ])('an answer that cannot be used is an error, not "no such task": %s', async (_what, answer) => {
    const { flux } = await open(answer, { readTimeoutMs: 150 });
    const error = await errorOf(flux.readTasks([READ_ID]));
    expect(error).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'UPSTREAM_FAILED', retryable: true },
    });
  });
});

describe('what a callback says', () => {
  async function parse(body: unknown) {
    const { flux } = await open(silence);
    return flux.parseCallback(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  }

  test('succeeded', async () => {
    await expect(parse(sample('callback-succeeded'))).resolves.toEqual({
      kind: 'succeeded',
      upstreamTaskId: TASK_ID,
      upstreamTraceId: TRACE_ID,
      pictures: [
        {
          url: 'https://sf-maas-uat-prod.oss-cn-shanghai.aliyuncs.com/outputs/f4f8d407-377a-408a-82d0-427a5a836f09_0.png',
          seed: '1698551532',
          inferenceSeconds: 3.328,
          reported: { seed: 1_698_551_532, timings: { inference: 3.328 } },
        },
      ],
    });
  });

  test('succeeded, although "success" is missing and some entries have no link that could be fetched', async () => {
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
      pictures: [
        { url: 'https://a.example/1.png', seed: null, inferenceSeconds: null },
        { url: 'http://b.example/2.png' },
      ],
    });
  });

  test('failed', async () => {
    const upstreamTraceId = '2cf86e86-22a4-46e1-ac2f-032c0f2a4e89';
    await expect(parse(sample('callback-failed'))).resolves.toEqual({
      kind: 'failed',
      upstreamTaskId: TASK_ID,
      upstreamTraceId,
      failure: {
        ...{ code: 'UPSTREAM_FAILED', retryable: true, upstreamCode: 'api_error', upstreamTraceId },
        message: 'The upstream could not make the picture. Retry the task.',
      },
    });
  });

  test.each([
    ['a refusal by moderation', envelope('forbidden'), 'CONTENT_REJECTED'],
    ['no status to tell the two meanings apart', envelope('token_mismatched'), 'UPSTREAM_BAD_REQUEST'],
    ['an unknown code', envelope('never_heard_of'), 'UPSTREAM_FAILED'],
    ['a time-out', envelope('timeout'), 'UPSTREAM_FAILED'],
    ['the sample without success, task and trace', sample('error-bare-string'), 'UPSTREAM_FAILED'],
    ['the envelope of an error reply', sample('error-api-error'), 'UPSTREAM_FAILED'],
    ['no reason', { success: false, task_id: TASK_ID }, 'UPSTREAM_FAILED'],
    ['no picture', { success: true, task_id: TASK_ID, data: [] }, 'UPSTREAM_FAILED'],
  ])('failed: %s', async (_what, body, code) => {
    await expect(parse(body)).resolves.toMatchObject({ kind: 'failed', failure: { code } });
  });

  test('accepted: a task id and nothing else', async () => {
    await expect(parse(sample('submit-accepted'))).resolves.toMatchObject({
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
  ])('nothing recognisable: %p', async (body) => {
    await expect(parse(body)).resolves.toBeNull();
  });
});
