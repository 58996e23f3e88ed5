import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { reply } from '../../support/net/test-http-server.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

/** The real upstream sent every body in test/contract/samples. Here each of them goes through the whole service. */
let upstream: FakeUpstream;
let app: TestApp;
const usedSamples = new Set<string>();
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment, tuning: { readUpstreamAfterMs: 100 } });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

function sample(name: string): Record<string, unknown> {
  usedSamples.add(name);
  return upstream.sample(name);
}
/** Creates a task and replies to its submission with the sample. */
async function submitWithReply(prompt: string, name: string, status = 200): Promise<string> {
  const onSubmit = upstream.onSubmit;
  upstream.onSubmit = reply(status, sample(name));
  const { id } = await app.generate({ prompt, count: 2 });
  await waitFor('the submission', () => upstream.submissions(prompt).length === 1);
  upstream.onSubmit = onSubmit;
  return id;
}

describe('a submission whose reply is', () => {
  test.each(['submit-accepted', 'submit-accepted-async'])('%s makes the task RUNNING', async (name) => {
    const prompt = `answered with ${name}`;
    const id = await submitWithReply(prompt, name);
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    const { task_id, trace_id = null } = sample(name);
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'RUNNING', upstreamTaskId: task_id, upstreamTraceId: trace_id });
    await app.postBody(await upstream.callbackPath(prompt), upstream.failureCallback('api_error'));
    await app.waitUntilSettled(id);
  });

  test('waited-two-images-numeric-timings succeeds at once, and a Unix time in `timings` is not taken for a duration', async () => {
    const id = await submitWithReply('waited', 'waited-two-images-numeric-timings');
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2 });
    expect(task.images.map(({ seed, inferenceSeconds, width }) => [seed, inferenceSeconds, width])).toEqual([
      [null, null, 16],
      [null, null, 16],
    ]);
  });

  test('error-api-error is submitted again later', async () => {
    const prompt = 'an api error';
    const id = await submitWithReply(prompt, 'error-api-error', 500);
    await app.waitForEvent(id, 'SUBMIT_REJECTED');
    await app.postBody(await upstream.callbackPath(prompt), upstream.successCallback());
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('error-bare-string is not submitted again', async () => {
    const prompt = 'a bare string';
    const id = await submitWithReply(prompt, 'error-bare-string', 500);
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await app.postBody(await upstream.callbackPath(prompt), upstream.successCallback());
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    expect(upstream.submissions(prompt)).toHaveLength(1);
  });
});

describe('an upstream callback with', () => {
  test('callback-succeeded ends the task with its image', async () => {
    const { id } = await app.generate({ prompt: 'succeeded' });
    await app.postBody(await upstream.callbackPath('succeeded'), sample('callback-succeeded'));
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect(task.upstreamTraceId).toBe('9b4b1ff3-90f2-470f-b082-1061ec2948cc');
    expect(task.images).toMatchObject([
      { seed: '1698551532', inferenceSeconds: 3.328, mimeType: 'image/png' },
    ]);
  });

  test('callback-failed ends the task with its error', async () => {
    const { id } = await app.generate({ prompt: 'failed' });
    await app.postBody(await upstream.callbackPath('failed'), sample('callback-failed'));
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: {
        code: 'UPSTREAM_FAILED',
        upstreamCode: 'api_error',
        upstreamTraceId: '2cf86e86-22a4-46e1-ac2f-032c0f2a4e89',
      },
    });
  });

  test.each(['error-api-error', 'error-bare-string'])('%s fails the task', async (name) => {
    const prompt = `called back with ${name}`;
    const { id } = await app.generate({ prompt });
    await app.postBody(await upstream.callbackPath(prompt), sample(name));
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'UPSTREAM_FAILED' },
    });
  });
});

describe('a status request', () => {
  /** ID of the tasks in the samples. */
  const SAMPLE_TASK_ID = '2db0168c-3f0e-4a53-9d7a-0f6a5f1f7d11';

  test('changes nothing for a task that is unknown, missing, running or has a passing error, and ends a finished task', async () => {
    upstream.onSubmit = reply(200, { task_id: SAMPLE_TASK_ID });
    const { id } = await app.generate({ prompt: 'polled' });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    for (const name of [
      ...['task-unknown', 'tasks-batch', 'task-running', 'task-hiccup-not-over'],
      // Darkroom's own Flux API, as the upstream of another one.
      'task-pending',
    ]) {
      const body = sample(name);
      let statusRequests = 0;
      upstream.onRead = (response, received) => {
        if (received.body.includes(SAMPLE_TASK_ID)) statusRequests += 1;
        reply(200, 'id' in body ? { items: [body], count: 1 } : body)(response, received);
      };
      await waitFor(`two status requests answered with ${name}`, () => statusRequests >= 2);
      expect((await app.task(id)).status).toBe('RUNNING');
    }
    upstream.onRead = reply(200, { items: [sample('task-finished')], count: 1 });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'SUCCEEDED',
      upstreamTaskId: SAMPLE_TASK_ID,
      images: [{ seed: '281520112', inferenceSeconds: 3.193 }],
    });
    const history = await app.history(id);
    expect(eventTypes(history)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
    expect(history[2]?.actor).toBe('reconciler');
  });
});

test('these tests use every sample', () => {
  const names = readdirSync(new URL('../../contract/samples', import.meta.url));
  expect([...usedSamples].sort()).toEqual(names.map((name) => name.replace('.json', '')).sort());
});
