import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { reply } from '../../support/net/http-peer.js';
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

/** Every body in test/contract/samples has been sent by the real upstream: here each goes through the whole service. */
let upstream: FakeUpstream;
let app: TestApp;
const used = new Set<string>();
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment, tuning: { askUpstreamAfterMs: 100 } });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

function sample(name: string): Record<string, unknown> {
  used.add(name);
  return upstream.sample(name);
}
/** A task whose submission was answered with this sample. */
async function submitted(prompt: string, name: string, status = 200): Promise<string> {
  const answer = upstream.submit;
  upstream.submit = reply(status, sample(name));
  const { id } = await app.generate({ prompt, count: 2 });
  await waitFor('the submission', () => upstream.submissions(prompt).length === 1);
  upstream.submit = answer;
  return id;
}

describe('a submission answered with', () => {
  test.each(['submit-accepted', 'submit-accepted-async'])('%s runs', async (name) => {
    const prompt = `answered with ${name}`;
    const id = await submitted(prompt, name);
    await app.happened(id, 'TASK_SUBMITTED');
    const { task_id, trace_id = null } = sample(name);
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'RUNNING', upstreamTaskId: task_id, upstreamTraceId: trace_id });
    await app.send(await upstream.callbackPath(prompt), upstream.failure('api_error'));
    await app.settled(id);
  });

  test('waited-two-images-numeric-timings succeeds at once, and takes a time of day for no duration', async () => {
    const id = await submitted('waited', 'waited-two-images-numeric-timings');
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2 });
    expect(task.images.map(({ seed, inferenceSeconds, width }) => [seed, inferenceSeconds, width])).toEqual([
      [null, null, 16],
      [null, null, 16],
    ]);
  });

  test('error-api-error is sent again after a while', async () => {
    const prompt = 'an api error';
    const id = await submitted(prompt, 'error-api-error', 500);
    await app.happened(id, 'SUBMIT_REJECTED');
    await app.send(await upstream.callbackPath(prompt), upstream.success());
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('error-bare-string is not sent again', async () => {
    const prompt = 'a bare string';
    const id = await submitted(prompt, 'error-bare-string', 500);
    await app.happened(id, 'SUBMIT_UNCONFIRMED');
    await app.send(await upstream.callbackPath(prompt), upstream.success());
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    expect(upstream.submissions(prompt)).toHaveLength(1);
  });
});

describe('a callback with', () => {
  test('callback-succeeded ends the task with its picture', async () => {
    const { id } = await app.generate({ prompt: 'succeeded' });
    await app.send(await upstream.callbackPath('succeeded'), sample('callback-succeeded'));
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect(task.upstreamTraceId).toBe('9b4b1ff3-90f2-470f-b082-1061ec2948cc');
    expect(task.images).toMatchObject([
      { seed: '1698551532', inferenceSeconds: 3.328, mimeType: 'image/png' },
    ]);
  });

  test('callback-failed ends the task with its error', async () => {
    const { id } = await app.generate({ prompt: 'failed' });
    await app.send(await upstream.callbackPath('failed'), sample('callback-failed'));
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: {
        code: 'UPSTREAM_FAILED',
        upstreamCode: 'api_error',
        upstreamTraceId: '2cf86e86-22a4-46e1-ac2f-032c0f2a4e89',
      },
    });
  });

  test.each(['error-api-error', 'error-bare-string'])('%s ends the task as failed', async (name) => {
    const prompt = `called back with ${name}`;
    const { id } = await app.generate({ prompt });
    await app.send(await upstream.callbackPath(prompt), sample(name));
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'UPSTREAM_FAILED' },
    });
  });
});

describe('reading a task', () => {
  /** The samples' tasks have this id. */
  const READ_ID = '2db0168c-3f0e-4a53-9d7a-0f6a5f1f7d11';

  test('that is unknown, absent, running or hiccuping changes nothing, and one that is finished ends it', async () => {
    upstream.submit = reply(200, { task_id: READ_ID });
    const { id } = await app.generate({ prompt: 'read' });
    await app.happened(id, 'TASK_SUBMITTED');
    for (const name of ['task-unknown', 'tasks-batch', 'task-running', 'task-hiccup-not-over']) {
      const body = sample(name);
      let readings = 0;
      upstream.read = (response, received) => {
        if (received.body.includes(READ_ID)) readings += 1;
        reply(200, 'id' in body ? { items: [body], count: 1 } : body)(response, received);
      };
      await waitFor(`two readings of ${name}`, () => readings >= 2);
      expect((await app.task(id)).status).toBe('RUNNING');
    }
    upstream.read = reply(200, { items: [sample('task-finished')], count: 1 });
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'SUCCEEDED',
      upstreamTaskId: READ_ID,
      images: [{ seed: '281520112', inferenceSeconds: 3.193 }],
    });
    const history = await app.history(id);
    expect(typesOf(history)).toEqual(['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']);
    expect(history[2]?.actor).toBe('reconciler');
  });
});

test('no sample was left out', () => {
  const names = readdirSync(new URL('../../contract/samples', import.meta.url));
  expect([...used].sort()).toEqual(names.map((name) => name.replace('.json', '')).sort());
});
