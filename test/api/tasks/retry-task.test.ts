import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { v7 } from 'uuid';
import {
  GenerateImagesDocument,
  type GenerateImagesInput,
  type GenerateImagesMutation,
  RetryTaskDocument,
  type RetryTaskMutation,
} from '../../../clients/operations.js';
import { reply } from '../../support/net/test-http-server.js';
import { TestApp, type TaskView, eventTypes } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { resumeSubmissions } from '../../support/upstreams/submission-pace.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let upstream: FakeUpstream;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

async function retry(id: string, idempotencyKey?: string, apiKey?: string) {
  return (await app.query(RetryTaskDocument, { input: { id, idempotencyKey } }, apiKey)).retryTask;
}
async function createFailedTask(input: GenerateImagesInput): Promise<TaskView> {
  const { id } = await app.generate(input);
  await app.postBody(await upstream.callbackPath(input.prompt), upstream.failureCallback('forbidden'));
  return app.waitUntilSettled(id);
}
/** Makes the task overdue by moving all its times back by two hours. */
async function makeOverdue(id: string): Promise<void> {
  await app.rows(
    `UPDATE tasks SET created_at = created_at - interval '2 hours', deadline_at = deadline_at - interval '2 hours'
     WHERE id = $1`,
    [id],
  );
}
/** The fields of the task that come from the request. */
function requestOf({ kind, prompt, model, size, requestedCount, sourceImageUrl, metadata }: TaskView) {
  return { kind, prompt, model, size, requestedCount, sourceImageUrl, metadata };
}
function timeoutMsOf({ createdAt, deadlineAt }: TaskView): number {
  return Date.parse(deadlineAt) - Date.parse(createdAt);
}

describe('retryTask', () => {
  test('creates a task with the same request, links it to the failed one, and leaves that one unchanged', async () => {
    const input = { prompt: 'again', model: 'flux-pro', size: '512x768', count: 3 };
    const old = await createFailedTask({ ...input, metadata: { order: 7 }, timeoutSeconds: 77 });
    expect(old.status).toBe('FAILED');
    const { task, userErrors } = await retry(old.id);
    expect(userErrors).toEqual([]);
    const again = await app.task(task?.id ?? '');
    expect(again.id).not.toBe(old.id);
    expect(again.retryOf).toEqual({ id: old.id });
    expect(requestOf(again)).toEqual(requestOf(old));
    expect(timeoutMsOf(again)).toBe(77_000);
    expect(again.idempotencyKey).toBeNull();

    await app.waitForEvent(again.id, 'TASK_SUBMITTED');
    const [first, second] = upstream.submissions('again');
    expect(second).toEqual({ ...first, callback_url: second?.callback_url });
    expect(second?.callback_url).toContain(again.id);
    const path = new URL(second?.callback_url ?? '').pathname;
    await app.postBody(path, upstream.successCallback(3));
    await expect(app.waitUntilSettled(again.id)).resolves.toMatchObject({
      status: 'SUCCEEDED',
      deliveredCount: 3,
    });
    await expect(app.task(old.id)).resolves.toMatchObject({ status: 'FAILED', retryOf: null });
  });

  test('gives the new task the same timeout as the expired one had', async () => {
    const { id } = await app.generate({ prompt: 'expired', timeoutSeconds: 90 });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await makeOverdue(id);
    await app.waitForEvent(id, 'TASK_EXPIRED');
    const { task } = await retry(id);
    const again = await app.task(task?.id ?? '');
    expect(again).toMatchObject({ prompt: 'expired', retryOf: { id } });
    expect(timeoutMsOf(again)).toBe(90_000);
    expect(Date.parse(again.deadlineAt)).toBeGreaterThan(Date.now());
    await app.waitForEvent(again.id, 'TASK_SUBMITTED');
  });

  test('repeats and pays for a task that succeeded', async () => {
    const { id } = await app.generate({ prompt: 'once more' });
    await app.postBody(await upstream.callbackPath('once more'), upstream.successCallback());
    await app.waitUntilSettled(id);
    const { task } = await retry(id);
    await app.waitForEvent(task?.id ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('once more')).toHaveLength(2);
  });

  test('returns the same new task for the same idempotency key, and another task without a key', async () => {
    const old = await createFailedTask({ prompt: 'keyed' });
    const payloads = [
      await retry(old.id, 'again, once'),
      await retry(old.id, 'again, once'),
      await retry(old.id),
    ];
    const [first, second, third] = payloads.map((payload) => payload.task?.id);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(payloads[1]?.task).toMatchObject({ idempotencyKey: 'again, once', retryOf: { id: old.id } });
    await app.waitForEvent(third ?? '', 'TASK_SUBMITTED');
    await app.waitForEvent(first ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('keyed')).toHaveLength(3);
  });

  test('rejects an idempotency key that belongs to another request', async () => {
    const old = await createFailedTask({ prompt: 'taken', idempotencyKey: 'taken' });
    const other = await createFailedTask({ prompt: 'another' });
    await retry(other.id, 'taken by a retry');
    for (const idempotencyKey of ['taken', 'taken by a retry']) {
      await expect(retry(old.id, idempotencyKey)).resolves.toMatchObject({
        task: null,
        userErrors: [{ code: 'IDEMPOTENCY_CONFLICT', field: ['input', 'idempotencyKey'] }],
      });
    }
  });

  test('creates one task when it is called ten times at once with the same idempotency key', async () => {
    const old = await createFailedTask({ prompt: 'ten at once' });
    const payloads = await Promise.all(Array.from({ length: 10 }, () => retry(old.id, 'ten at once')));
    const ids = new Set(payloads.map((payload) => payload.task?.id));
    expect(ids.size).toBe(1);
    await app.waitForEvent([...ids][0] ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('ten at once')).toHaveLength(2);
  });

  test('rejects a task that has not ended with TASK_NOT_FINISHED', async () => {
    const { id } = await app.generate({ prompt: 'still running' });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await expect(retry(id)).resolves.toEqual({
      task: null,
      userErrors: [
        {
          code: 'TASK_NOT_FINISHED',
          message: 'The task is RUNNING. Wait until it has finished, or cancel it, before you retry it.',
          field: ['input', 'id'],
        },
      ],
    });
    expect(upstream.submissions('still running')).toHaveLength(1);
  });

  test('rejects an unknown ID, a malformed ID and a task of another workspace in the same way', async () => {
    const { id } = await createFailedTask({ prompt: 'ours' });
    const otherApiKey = await addWorkspaceWithKey(app);
    const payloads = [await retry(v7()), await retry('nothing'), await retry(id, undefined, otherApiKey)];
    for (const payload of payloads) {
      expect(payload).toMatchObject({
        task: null,
        userErrors: [{ code: 'NOT_FOUND', field: ['input', 'id'] }],
      });
    }
    expect(upstream.submissions('ours')).toHaveLength(1);
  });
});

describe('the Idempotency-Key header', () => {
  async function post<Data>(
    document: Parameters<typeof print>[0],
    input: object,
    idempotencyKey: string,
  ): Promise<Data> {
    const headers = { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': idempotencyKey };
    const { json } = await app.postBody(
      '/graphql',
      { query: print(document), variables: { input } },
      headers,
    );
    return (json as { data: Data }).data;
  }
  async function generate(input: GenerateImagesInput, idempotencyKey: string) {
    return (await post<GenerateImagesMutation>(GenerateImagesDocument, input, idempotencyKey)).generateImages;
  }

  test('sets the idempotency key of generateImages', async () => {
    const first = await generate({ prompt: 'by header' }, 'in the header');
    const second = await generate({ prompt: 'by header' }, 'in the header');
    const third = await app.query(GenerateImagesDocument, {
      input: { prompt: 'by header', idempotencyKey: 'in the header' },
    });
    expect(first).toMatchObject({ replayed: false, task: { idempotencyKey: 'in the header' } });
    for (const payload of [second, third.generateImages]) {
      expect(payload).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    }
  });

  test('is ignored when the input has an idempotency key', async () => {
    const input = { prompt: 'by both', idempotencyKey: 'in the input' };
    const first = await generate(input, 'one header');
    const second = await generate(input, 'another header');
    expect(first.task?.idempotencyKey).toBe('in the input');
    expect(second).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    await expect(generate({ prompt: 'by both' }, 'one header')).resolves.toMatchObject({ replayed: false });
  });

  test('sets the idempotency key of retryTask', async () => {
    const { id } = await createFailedTask({ prompt: 'retried by header' });
    const retryWithHeader = () => post<RetryTaskMutation>(RetryTaskDocument, { id }, 'retry in the header');
    const [first, second] = [await retryWithHeader(), await retryWithHeader()];
    expect(first.retryTask.task).toMatchObject({ idempotencyKey: 'retry in the header' });
    expect(second.retryTask.task?.id).toBe(first.retryTask.task?.id);
  });

  test('is rejected when it is too long, as in the input', async () => {
    await expect(generate({ prompt: 'too long' }, 'k'.repeat(256))).resolves.toMatchObject({
      task: null,
      userErrors: [{ code: 'INVALID_IDEMPOTENCY_KEY' }],
    });
  });
});

describe('a queued task that is overdue', () => {
  // An upstream of its own, because tasks of the tests above may still be waiting to be sent: this one
  // would refuse them, and that would stop all submissions of their application.
  let upstream: FakeUpstream;
  let accept: FakeUpstream['onSubmit'];
  beforeEach(async () => {
    upstream = await FakeUpstream.open();
    accept = upstream.onSubmit;
    upstream.onSubmit = reply(
      429,
      { success: false, error: { code: 'too_many_requests', message: 'slow down' } },
      { 'retry-after': '30' },
    );
  });
  afterEach(() => upstream.close());

  test('expires and is not submitted', async () => {
    // Without a worker, nothing expires the task before its job runs.
    const api = await TestApp.start({ environment: { ...upstream.environment, ROLES: 'api' } });
    try {
      const { id } = await api.generate({ prompt: 'overdue' });
      await api.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
      const worker = await TestApp.start({
        databaseUrl: api.databaseUrl,
        apiKey: api.apiKey,
        environment: { ...upstream.environment, ROLES: 'worker' },
      });
      try {
        await waitFor('the job to be deleted', async () => {
          const text = `SELECT FROM graphile_worker.jobs WHERE task_identifier = 'submit-task'`;
          return (await api.rows(text)).length === 0;
        });
        const task = await api.waitUntilSettled(id);
        expect(task).toMatchObject({
          status: 'EXPIRED',
          error: { code: 'DEADLINE_EXCEEDED', retryable: true },
        });
        expect(eventTypes(await api.history(id))).toEqual(['TASK_REQUESTED', 'TASK_EXPIRED']);
        expect(upstream.submissions('overdue')).toEqual([]);
      } finally {
        await worker.stop();
      }
    } finally {
      await api.stop();
    }
  });

  test('is not submitted again when it was waiting for its next attempt', async () => {
    const app = await TestApp.start({ environment: upstream.environment });
    try {
      const { id } = await app.generate({ prompt: 'overdue later' });
      await app.waitForEvent(id, 'SUBMIT_REJECTED');
      upstream.onSubmit = accept;
      await resumeSubmissions(app);
      await app.rows(
        `WITH task AS (UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1)
         UPDATE graphile_worker._private_jobs SET run_at = now() WHERE payload->>'taskId' = $1::text`,
        [id],
      );
      await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
        status: 'EXPIRED',
        error: { code: 'DEADLINE_EXCEEDED' },
      });
      await waitFor('the job to be deleted', async () => {
        const text = `SELECT FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1`;
        return (await app.rows(text, [id])).length === 0;
      });
      expect(upstream.submissions('overdue later')).toHaveLength(1);
    } finally {
      await app.stop();
    }
  });
});
