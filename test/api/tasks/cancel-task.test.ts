import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { CancelTaskDocument, ViewerDocument } from '../../../clients/operations.js';
import { reply } from '../../support/net/http-peer.js';
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const tooManyRequests = reply(
  429,
  { success: false, error: { code: 'too_many_requests', message: 'slow down' }, trace_id: 'trace' },
  { 'retry-after': '30' },
);

let upstream: FakeUpstream;
let accept: FakeUpstream['submit'];
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.submit;
  app = await TestApp.start({ environment: upstream.environment });
});
afterEach(() => {
  upstream.submit = accept;
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

async function cancel(id: string, key?: string) {
  return (await app.query(CancelTaskDocument, { input: { id } }, key)).cancelTask;
}
/** A task that the upstream has refused for half a minute, so that it waits as QUEUED. */
async function queued(prompt: string): Promise<string> {
  upstream.submit = tooManyRequests;
  const { id } = await app.generate({ prompt });
  await app.happened(id, 'SUBMIT_REJECTED');
  upstream.submit = accept;
  return id;
}
async function running(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  await app.happened(id, 'TASK_SUBMITTED');
  return { id, path: await upstream.callbackPath(prompt) };
}
const canceledData = async (id: string) => (await app.happened(id, 'TASK_CANCELED')).data as object;

describe('cancelTask', () => {
  test('of a queued task answers NOT_SENT, and the task is not sent when its time comes', async () => {
    const id = await queued('never sent');
    const answer = await cancel(id);
    expect(answer).toMatchObject({ outcome: 'NOT_SENT', task: { id, status: 'CANCELED' }, userErrors: [] });
    expect(answer.task?.finishedAt).not.toBeNull();
    await expect(canceledData(id)).resolves.toEqual({ outcome: 'NOT_SENT' });

    const itsJobs = `FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1`;
    const due = await app.rows(
      `UPDATE graphile_worker._private_jobs SET run_at = now() WHERE id IN (SELECT id ${itsJobs}) RETURNING id`,
      [id],
    );
    expect(due).toHaveLength(1);
    await waitFor('the job to be gone', async () => (await app.rows(`SELECT ${itsJobs}`, [id])).length === 0);
    expect(upstream.submissions('never sent')).toHaveLength(1);
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'SUBMIT_REJECTED', 'TASK_CANCELED']);
  });

  test('of a running task answers ALREADY_SENT, and keeps the pictures that come as late ones', async () => {
    const { id, path } = await running('already sent');
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_SENT',
      task: { id, status: 'CANCELED', error: null },
    });
    await expect(canceledData(id)).resolves.toEqual({ outcome: 'ALREADY_SENT' });

    expect((await app.send(path, upstream.success(2))).status).toBe(200);
    await waitFor('both pictures', async () => {
      const stored = (await app.history(id)).filter(({ type }) => type === 'IMAGE_STORED');
      return stored.length === 2;
    });
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'CANCELED', deliveredCount: 0, images: [], error: null });
    expect(typesOf(await app.history(id))).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_CANCELED',
      'LATE_RESULT_ARRIVED',
      'IMAGE_STORED',
      'IMAGE_STORED',
    ]);
    expect((await app.happened(id, 'LATE_RESULT_ARRIVED')).data).toEqual({
      deliveredCount: 2,
      imageIds: task.lateImages.map((image) => image.id),
    });
  });

  test('while the request is being sent answers ALREADY_SENT, and the reply names the task without reopening it', async () => {
    let answer = () => {};
    upstream.submit = (response, received) => (answer = () => accept(response, received));
    const { id } = await app.generate({ prompt: 'on its way' });
    await upstream.callbackPath('on its way');
    await expect(cancel(id)).resolves.toMatchObject({ outcome: 'ALREADY_SENT' });
    answer();
    await waitFor('the name', async () => (await app.task(id)).upstreamTaskId);
    expect((await app.task(id)).status).toBe('CANCELED');
    await app.happened(id, 'TASK_CANCELED');
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_CANCELED']);
  });

  test('of a task whose request may have arrived answers ALREADY_SENT', async () => {
    upstream.submit = (response) => response.destroy();
    const { id } = await app.generate({ prompt: 'perhaps sent' });
    await app.happened(id, 'SUBMIT_UNCONFIRMED');
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_SENT',
      task: { status: 'CANCELED' },
    });
  });

  test('of a task that has ended answers ALREADY_FINISHED and changes nothing', async () => {
    const { id, path } = await running('finished');
    await app.send(path, upstream.success());
    await app.settled(id);
    const before = [await app.task(id), await app.history(id)];
    await expect(cancel(id)).resolves.toMatchObject({
      outcome: 'ALREADY_FINISHED',
      task: { id, status: 'SUCCEEDED' },
      userErrors: [],
    });
    expect([await app.task(id), await app.history(id)]).toEqual(before);
  });

  test('at the same moment, ten times, cancels once', async () => {
    const { id } = await running('ten times');
    const answers = await Promise.all(Array.from({ length: 10 }, () => cancel(id)));
    const outcomes = answers.map((answer) => answer.outcome);
    expect(outcomes.filter((outcome) => outcome === 'ALREADY_SENT')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'ALREADY_FINISHED')).toHaveLength(9);
    await app.happened(id, 'TASK_CANCELED');
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_CANCELED']);
  });

  test('is told with the name of the key as its actor', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const other = await addKey(app, viewer.workspaceId, ['tasks:read', 'tasks:write']);
    const [mine, theirs] = [await running('by the first key'), await running('by another key')];
    await cancel(mine.id);
    await cancel(theirs.id, other);
    expect((await app.happened(mine.id, 'TASK_CANCELED')).actor).toBe('first key');
    expect((await app.happened(theirs.id, 'TASK_CANCELED')).actor).toBe('added');
  });

  test("completes the watcher's stream", async () => {
    const { id } = await running('watched');
    const watch = app.watchTask(id, (await app.history(id)).at(-1)?.cursor);
    await cancel(id);
    await watch.ended;
    expect(watch.received).toMatchObject([
      { type: 'TASK_CANCELED', data: { outcome: 'ALREADY_SENT' }, task: { status: 'CANCELED' } },
    ]);
  });

  test('of an id that never was, of no form, or of another workspace is refused alike', async () => {
    const { id } = await running('ours');
    const stranger = await addWorkspace(app);
    const refusals = [await cancel(v7()), await cancel('nothing'), await cancel(id, stranger)];
    for (const refusal of refusals) {
      expect(refusal).toEqual({
        task: null,
        outcome: null,
        userErrors: [
          {
            code: 'NOT_FOUND',
            message: 'There is no task with this id in your workspace.',
            field: ['input', 'id'],
          },
        ],
      });
    }
    expect((await app.task(id)).status).toBe('RUNNING');
  });

  test('without the scope tasks:write is refused with FORBIDDEN, and the task goes on', async () => {
    const { id } = await running('only read');
    const { viewer } = await app.query(ViewerDocument, {});
    const reader = await addKey(app, viewer.workspaceId, ['tasks:read']);
    const { errors } = await app.post(CancelTaskDocument, { input: { id } }, reader);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await app.task(id)).status).toBe('RUNNING');
  });
});
