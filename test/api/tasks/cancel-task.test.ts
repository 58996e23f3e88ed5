import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { CancelTaskDocument, ViewerDocument } from '../../../clients/operations.js';
import { reply } from '../../support/net/test-http-server.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { resumeSubmissions } from '../../support/upstreams/submission-pace.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const tooManyRequests = reply(
  429,
  { success: false, error: { code: 'too_many_requests', message: 'slow down' }, trace_id: 'trace' },
  { 'retry-after': '30' },
);

let upstream: FakeUpstream;
let accept: FakeUpstream['onSubmit'];
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.onSubmit;
  app = await TestApp.start({ environment: upstream.environment });
});
afterEach(() => {
  upstream.onSubmit = accept;
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

async function cancel(id: string, apiKey?: string) {
  return (await app.query(CancelTaskDocument, { input: { id } }, apiKey)).cancelTask;
}
/** Creates a task that stays QUEUED for 30 seconds, because the upstream refused it. */
async function createQueuedTask(prompt: string): Promise<string> {
  upstream.onSubmit = tooManyRequests;
  const { id } = await app.generate({ prompt });
  await app.waitForEvent(id, 'SUBMIT_REJECTED');
  upstream.onSubmit = accept;
  // The other tasks of this file need not wait.
  await resumeSubmissions(app);
  return id;
}
async function createRunningTask(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  await app.waitForEvent(id, 'TASK_SUBMITTED');
  return { id, path: await upstream.callbackPath(prompt) };
}
const canceledData = async (id: string) => (await app.waitForEvent(id, 'TASK_CANCELED')).data as object;

describe('cancelTask', () => {
  test('of a queued task returns NOT_SENT, and the task is not submitted when its next attempt is due', async () => {
    const id = await createQueuedTask('never sent');
    const payload = await cancel(id);
    expect(payload).toMatchObject({ outcome: 'NOT_SENT', task: { id, status: 'CANCELED' }, userErrors: [] });
    expect(payload.task?.finishedAt).not.toBeNull();
    await expect(canceledData(id)).resolves.toEqual({ outcome: 'NOT_SENT' });

    const jobsOfTask = `FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1`;
    const due = await app.rows(
      `UPDATE graphile_worker._private_jobs SET run_at = now() WHERE id IN (SELECT id ${jobsOfTask}) RETURNING id`,
      [id],
    );
    expect(due).toHaveLength(1);
    await waitFor(
      'the job to be deleted',
      async () => (await app.rows(`SELECT ${jobsOfTask}`, [id])).length === 0,
    );
    expect(upstream.submissions('never sent')).toHaveLength(1);
    expect(eventTypes(await app.history(id))).toEqual(['TASK_REQUESTED', 'SUBMIT_REJECTED', 'TASK_CANCELED']);
  });

  test('of a running task returns ALREADY_SENT, and images that arrive afterwards are stored as late images', async () => {
    const { id, path } = await createRunningTask('already sent');
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_SENT',
      task: { id, status: 'CANCELED', error: null },
    });
    await expect(canceledData(id)).resolves.toEqual({ outcome: 'ALREADY_SENT' });

    expect((await app.postBody(path, upstream.successCallback(2))).status).toBe(200);
    await waitFor('both images', async () => {
      const stored = (await app.history(id)).filter(({ type }) => type === 'IMAGE_STORED');
      return stored.length === 2;
    });
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'CANCELED', deliveredCount: 0, images: [], error: null });
    expect(eventTypes(await app.history(id))).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_CANCELED',
      'LATE_RESULT_RECEIVED',
      'IMAGE_STORED',
      'IMAGE_STORED',
    ]);
    expect((await app.waitForEvent(id, 'LATE_RESULT_RECEIVED')).data).toEqual({
      deliveredCount: 2,
      imageIds: task.lateImages.map((image) => image.id),
    });
  });

  test('during a submission returns ALREADY_SENT, and the reply sets the upstream task ID without reopening the task', async () => {
    let replyToSubmission = () => {};
    upstream.onSubmit = (response, received) => (replyToSubmission = () => accept(response, received));
    const { id } = await app.generate({ prompt: 'being submitted' });
    await upstream.callbackPath('being submitted');
    await expect(cancel(id)).resolves.toMatchObject({ outcome: 'ALREADY_SENT' });
    replyToSubmission();
    await waitFor('the upstream task ID', async () => (await app.task(id)).upstreamTaskId);
    expect((await app.task(id)).status).toBe('CANCELED');
    await app.waitForEvent(id, 'TASK_CANCELED');
    expect(eventTypes(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_CANCELED']);
  });

  test('of an unconfirmed task returns ALREADY_SENT', async () => {
    upstream.onSubmit = (response) => response.destroy();
    const { id } = await app.generate({ prompt: 'perhaps sent' });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_SENT',
      task: { status: 'CANCELED' },
    });
  });

  test('of a task that has ended returns ALREADY_FINISHED and changes nothing', async () => {
    const { id, path } = await createRunningTask('finished');
    await app.postBody(path, upstream.successCallback());
    await app.waitUntilSettled(id);
    const before = [await app.task(id), await app.history(id)];
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_FINISHED',
      task: { id, status: 'SUCCEEDED' },
      userErrors: [],
    });
    expect([await app.task(id), await app.history(id)]).toEqual(before);
  });

  test('cancels once when it is called ten times at once', async () => {
    const { id } = await createRunningTask('ten times');
    const payloads = await Promise.all(Array.from({ length: 10 }, () => cancel(id)));
    const outcomes = payloads.map((payload) => payload.outcome);
    expect(outcomes.filter((outcome) => outcome === 'ALREADY_SENT')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'ALREADY_FINISHED')).toHaveLength(9);
    await app.waitForEvent(id, 'TASK_CANCELED');
    expect(eventTypes(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_CANCELED']);
  });

  test('records the name of the API key as the actor of the event', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const otherApiKey = await addKey(app, viewer.workspaceId, ['tasks:read', 'tasks:write']);
    const [mine, theirs] = [
      await createRunningTask('by the first key'),
      await createRunningTask('by another key'),
    ];
    await cancel(mine.id);
    await cancel(theirs.id, otherApiKey);
    expect((await app.waitForEvent(mine.id, 'TASK_CANCELED')).actor).toBe('first key');
    expect((await app.waitForEvent(theirs.id, 'TASK_CANCELED')).actor).toBe('added');
  });

  test('completes the stream of a subscriber', async () => {
    const { id } = await createRunningTask('subscribed to');
    const subscription = app.subscribeToTask(id, (await app.history(id)).at(-1)?.cursor);
    await cancel(id);
    await subscription.ended;
    expect(subscription.received).toMatchObject([
      { type: 'TASK_CANCELED', data: { outcome: 'ALREADY_SENT' }, task: { status: 'CANCELED' } },
    ]);
  });

  test('rejects an unknown ID, a malformed ID and a task of another workspace in the same way', async () => {
    const { id } = await createRunningTask('ours');
    const otherApiKey = await addWorkspaceWithKey(app);
    const payloads = [await cancel(v7()), await cancel('nothing'), await cancel(id, otherApiKey)];
    for (const payload of payloads) {
      expect(payload).toEqual({
        task: null,
        outcome: null,
        userErrors: [
          {
            code: 'NOT_FOUND',
            message: 'No task with this ID in your workspace.',
            field: ['input', 'id'],
          },
        ],
      });
    }
    expect((await app.task(id)).status).toBe('RUNNING');
  });

  test('is rejected with FORBIDDEN without the scope tasks:write, and the task keeps running', async () => {
    const { id } = await createRunningTask('only read');
    const { viewer } = await app.query(ViewerDocument, {});
    const readOnlyApiKey = await addKey(app, viewer.workspaceId, ['tasks:read']);
    const { errors } = await app.execute(CancelTaskDocument, { input: { id } }, readOnlyApiKey);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await app.task(id)).status).toBe('RUNNING');
  });
});
