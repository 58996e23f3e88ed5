import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { v7 } from 'uuid';
import {
  GenerateImagesDocument,
  type GenerateImagesInput,
  type GenerateImagesMutation,
  RetryTaskDocument,
  type RetryTaskMutation,
} from '../../../clients/operations.js';
import { reply } from '../../support/net/http-peer.js';
import { TestApp, type TaskView, typesOf } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';

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

async function retry(id: string, idempotencyKey?: string, key?: string) {
  return (await app.query(RetryTaskDocument, { input: { id, idempotencyKey } }, key)).retryTask;
}
async function failed(input: GenerateImagesInput): Promise<TaskView> {
  const { id } = await app.generate(input);
  await app.send(await upstream.callbackPath(input.prompt), upstream.failure('forbidden'));
  return app.settled(id);
}
/** Lets the time pass that the task was given, with all its times moved back alike. */
async function overdue(id: string): Promise<void> {
  await app.rows(
    `UPDATE tasks SET created_at = created_at - interval '2 hours', deadline_at = deadline_at - interval '2 hours'
     WHERE id = $1`,
    [id],
  );
}
/** What was asked for, and nothing of what became of it. */
function request({ kind, prompt, model, size, requestedCount, sourceImageUrl, metadata }: TaskView) {
  return { kind, prompt, model, size, requestedCount, sourceImageUrl, metadata };
}
function timeoutOf({ createdAt, deadlineAt }: TaskView): number {
  return Date.parse(deadlineAt) - Date.parse(createdAt);
}

describe('retryTask', () => {
  test('of a failed task makes a new one with the same request, linked to it, and leaves the old one alone', async () => {
    const input = { prompt: 'again', model: 'flux-pro', size: '512x768', count: 3 };
    const old = await failed({ ...input, metadata: { order: 7 }, timeoutSeconds: 77 });
    expect(old.status).toBe('FAILED');
    const { task, userErrors } = await retry(old.id);
    expect(userErrors).toEqual([]);
    const again = await app.task(task?.id ?? '');
    expect(again.id).not.toBe(old.id);
    expect(again.retryOf).toEqual({ id: old.id });
    expect(request(again)).toEqual(request(old));
    expect(timeoutOf(again)).toBe(77_000);
    expect(again.idempotencyKey).toBeNull();

    await app.happened(again.id, 'TASK_SUBMITTED');
    const [first, second] = upstream.submissions('again');
    expect(second).toEqual({ ...first, callback_url: second?.callback_url });
    expect(second?.callback_url).toContain(again.id);
    const path = new URL(second?.callback_url ?? '').pathname;
    await app.send(path, upstream.success(3));
    await expect(app.settled(again.id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 3 });
    await expect(app.task(old.id)).resolves.toMatchObject({ status: 'FAILED', retryOf: null });
  });

  test('of an expired task gives the new one as much time as the old one had', async () => {
    const { id } = await app.generate({ prompt: 'expired', timeoutSeconds: 90 });
    await app.happened(id, 'TASK_SUBMITTED');
    await overdue(id);
    await app.happened(id, 'TASK_EXPIRED');
    const { task } = await retry(id);
    const again = await app.task(task?.id ?? '');
    expect(again).toMatchObject({ prompt: 'expired', retryOf: { id } });
    expect(timeoutOf(again)).toBe(90_000);
    expect(Date.parse(again.deadlineAt)).toBeGreaterThan(Date.now());
    await app.happened(again.id, 'TASK_SUBMITTED');
  });

  test('of a succeeded task pays again, because the caller says so', async () => {
    const { id } = await app.generate({ prompt: 'once more' });
    await app.send(await upstream.callbackPath('once more'), upstream.success());
    await app.settled(id);
    const { task } = await retry(id);
    await app.happened(task?.id ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('once more')).toHaveLength(2);
  });

  test('with an idempotency key gives the same new task again, and another one without', async () => {
    const old = await failed({ prompt: 'keyed' });
    const answers = [
      await retry(old.id, 'again, once'),
      await retry(old.id, 'again, once'),
      await retry(old.id),
    ];
    const [first, second, third] = answers.map((answer) => answer.task?.id);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(answers[1]?.task).toMatchObject({ idempotencyKey: 'again, once', retryOf: { id: old.id } });
    await app.happened(third ?? '', 'TASK_SUBMITTED');
    await app.happened(first ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('keyed')).toHaveLength(3);
  });

  test('with a key that stands for another request is a conflict', async () => {
    const old = await failed({ prompt: 'taken', idempotencyKey: 'taken' });
    const other = await failed({ prompt: 'another' });
    await retry(other.id, 'taken by a retry');
    for (const key of ['taken', 'taken by a retry']) {
      await expect(retry(old.id, key)).resolves.toMatchObject({
        task: null,
        userErrors: [{ code: 'IDEMPOTENCY_CONFLICT', field: ['input', 'idempotencyKey'] }],
      });
    }
  });

  test('ten times at once with one key makes one task', async () => {
    const old = await failed({ prompt: 'ten at once' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => retry(old.id, 'ten at once')));
    const ids = new Set(answers.map((answer) => answer.task?.id));
    expect(ids.size).toBe(1);
    await app.happened([...ids][0] ?? '', 'TASK_SUBMITTED');
    expect(upstream.submissions('ten at once')).toHaveLength(2);
  });

  test('of a task that has not ended is refused with TASK_NOT_FINISHED', async () => {
    const { id } = await app.generate({ prompt: 'still running' });
    await app.happened(id, 'TASK_SUBMITTED');
    await expect(retry(id)).resolves.toEqual({
      task: null,
      userErrors: [
        {
          code: 'TASK_NOT_FINISHED',
          message: 'The task is RUNNING. Wait for its end, or cancel it, before asking for it again.',
          field: ['input', 'id'],
        },
      ],
    });
    expect(upstream.submissions('still running')).toHaveLength(1);
  });

  test('of an id that never was, of no form, or of another workspace is refused alike', async () => {
    const { id } = await failed({ prompt: 'ours' });
    const stranger = await addWorkspace(app);
    for (const refusal of [await retry(v7()), await retry('nothing'), await retry(id, undefined, stranger)]) {
      expect(refusal).toMatchObject({
        task: null,
        userErrors: [{ code: 'NOT_FOUND', field: ['input', 'id'] }],
      });
    }
    expect(upstream.submissions('ours')).toHaveLength(1);
  });
});

describe('the header Idempotency-Key', () => {
  async function post<Data>(
    document: Parameters<typeof print>[0],
    input: object,
    key: string,
  ): Promise<Data> {
    const headers = { authorization: `Bearer ${app.key}`, 'idempotency-key': key };
    const { json } = await app.send('/graphql', { query: print(document), variables: { input } }, headers);
    return (json as { data: Data }).data;
  }
  async function generate(input: GenerateImagesInput, key: string) {
    return (await post<GenerateImagesMutation>(GenerateImagesDocument, input, key)).generateImages;
  }

  test('stands for a key in the input of generateImages', async () => {
    const first = await generate({ prompt: 'by header' }, 'in the header');
    const second = await generate({ prompt: 'by header' }, 'in the header');
    const third = await app.query(GenerateImagesDocument, {
      input: { prompt: 'by header', idempotencyKey: 'in the header' },
    });
    expect(first).toMatchObject({ replayed: false, task: { idempotencyKey: 'in the header' } });
    for (const answer of [second, third.generateImages]) {
      expect(answer).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    }
  });

  test('gives way to a key in the input', async () => {
    const input = { prompt: 'by both', idempotencyKey: 'in the input' };
    const first = await generate(input, 'one header');
    const second = await generate(input, 'another header');
    expect(first.task?.idempotencyKey).toBe('in the input');
    expect(second).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    await expect(generate({ prompt: 'by both' }, 'one header')).resolves.toMatchObject({ replayed: false });
  });

  test('holds for retryTask too', async () => {
    const { id } = await failed({ prompt: 'retried by header' });
    const ask = () => post<RetryTaskMutation>(RetryTaskDocument, { id }, 'retry in the header');
    const [first, second] = [await ask(), await ask()];
    expect(first.retryTask.task).toMatchObject({ idempotencyKey: 'retry in the header' });
    expect(second.retryTask.task?.id).toBe(first.retryTask.task?.id);
  });

  test('that is too long is refused as one in the input is', async () => {
    await expect(generate({ prompt: 'too long' }, 'k'.repeat(256))).resolves.toMatchObject({
      task: null,
      userErrors: [{ code: 'INVALID_IDEMPOTENCY_KEY' }],
    });
  });
});

describe('a task that is overdue while it is queued', () => {
  test('is not sent any more, and expires', async () => {
    upstream.submit = reply(
      429,
      { success: false, error: { code: 'too_many_requests', message: 'slow down' } },
      { 'retry-after': '30' },
    );
    // Without a worker nothing expires it before its job runs.
    const api = await TestApp.start({ environment: { ...upstream.environment, ROLES: 'api' } });
    try {
      const { id } = await api.generate({ prompt: 'overdue' });
      await api.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
      const worker = await TestApp.start({
        databaseUrl: api.databaseUrl,
        key: api.key,
        environment: { ...upstream.environment, ROLES: 'worker' },
      });
      try {
        await waitFor('its job to be gone', async () => {
          const text = `SELECT FROM graphile_worker.jobs WHERE task_identifier = 'submit-task'`;
          return (await api.rows(text)).length === 0;
        });
        const task = await api.settled(id);
        expect(task).toMatchObject({
          status: 'EXPIRED',
          error: { code: 'DEADLINE_EXCEEDED', retryable: true },
        });
        expect(typesOf(await api.history(id))).toEqual(['TASK_REQUESTED', 'TASK_EXPIRED']);
        expect(upstream.submissions('overdue')).toEqual([]);
      } finally {
        await worker.stop();
      }
    } finally {
      await api.stop();
    }
  });

  test('is not sent any more when it waited for its next attempt', async () => {
    upstream.submit = reply(
      429,
      { success: false, error: { code: 'too_many_requests', message: 'slow down' } },
      { 'retry-after': '30' },
    );
    const { id } = await app.generate({ prompt: 'overdue later' });
    await app.happened(id, 'SUBMIT_REJECTED');
    upstream.submit = accept;
    await app.rows(
      `WITH task AS (UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1)
       UPDATE graphile_worker._private_jobs SET run_at = now() WHERE payload->>'taskId' = $1::text`,
      [id],
    );
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'EXPIRED',
      error: { code: 'DEADLINE_EXCEEDED' },
    });
    await waitFor('its job to be gone', async () => {
      const text = `SELECT FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1`;
      return (await app.rows(text, [id])).length === 0;
    });
    expect(upstream.submissions('overdue later')).toHaveLength(1);
  });
});
