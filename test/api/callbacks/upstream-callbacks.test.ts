import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pathAndQuery, TestApp, type TaskView, eventTypes } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

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

/** Creates a task, waits until it is RUNNING, and returns its ID and the path of its callback link. */
async function createRunningTask(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  const path = await upstream.callbackPath(prompt);
  await app.waitForEvent(id, 'TASK_SUBMITTED');
  return { id, path };
}
/** The task and its event types, without the cursor, which differs between reads. */
async function stateOf(id: string): Promise<TaskView & { history: string[] }> {
  return { ...(await app.task(id)), eventCursor: '', history: eventTypes(await app.history(id)) };
}
async function expire(id: string): Promise<void> {
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
  await app.waitForEvent(id, 'TASK_EXPIRED');
}

describe('an upstream callback', () => {
  test('ends the task, and its link cannot be guessed', async () => {
    const { id, path } = await createRunningTask('called back');
    expect(path).toMatch(new RegExp(`^/callbacks/flux/${id}/1\\.[\\w-]{43}$`));
    const { status, json } = await app.postBody(path, upstream.successCallback(2));
    expect({ status, json }).toEqual({ status: 200, json: { received: true } });
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({
      status: 'SUCCEEDED',
      deliveredCount: 2,
      upstreamTraceId: 'trace-of-callback',
    });
    expect(task.images.map((image) => [image.seed, image.inferenceSeconds, image.width])).toEqual([
      ['0', 1.5, 16],
      ['1', 1.5, 16],
    ]);
  });

  test('is answered with 200 and changes nothing when it arrives a second time', async () => {
    const { id, path } = await createRunningTask('called back twice');
    await app.postBody(path, upstream.successCallback());
    await app.waitUntilSettled(id);
    const before = await stateOf(id);
    for (const body of [upstream.successCallback(), upstream.successCallback(3, 'others')]) {
      expect((await app.postBody(path, body)).status).toBe(200);
    }
    await expect(stateOf(id)).resolves.toEqual(before);
  });

  test('is applied once when it arrives ten times at once', async () => {
    const { id, path } = await createRunningTask('called back at once');
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => app.postBody(path, upstream.successCallback(4))),
    );
    expect(responses.map((response) => response.status)).toEqual(Array(10).fill(200));
    const task = await app.waitUntilSettled(id);
    expect(task.images).toHaveLength(4);
    expect(eventTypes(await app.history(id)).filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
  });

  test('that contradicts the final status changes nothing', async () => {
    const succeeded = await createRunningTask('succeeded, then failed');
    await app.postBody(succeeded.path, upstream.successCallback());
    await app.waitUntilSettled(succeeded.id);
    const before = await stateOf(succeeded.id);
    expect((await app.postBody(succeeded.path, upstream.failureCallback('api_error'))).status).toBe(200);
    await expect(stateOf(succeeded.id)).resolves.toEqual(before);
    expect(before).toMatchObject({ status: 'SUCCEEDED', error: null });
  });

  test('is rejected with 401 and changes nothing when its token is wrong or belongs to another task', async () => {
    const mine = await createRunningTask('mine');
    const other = await createRunningTask('another');
    const before = await stateOf(mine.id);
    const token = mine.path.split('/').at(-1) ?? '';
    const wrongPaths = [
      `/callbacks/flux/${mine.id}/${other.path.split('/').at(-1)}`,
      `/callbacks/flux/${mine.id}/${token.slice(0, -1)}`,
      `/callbacks/flux/${mine.id}/${token}A`,
      `/callbacks/flux/${mine.id}/${token.toLowerCase()}`,
      `/callbacks/flux/${mine.id}/2${token.slice(1)}`,
      `/callbacks/flux/${mine.id}/01${token.slice(1)}`,
      `/callbacks/flux/${mine.id}/${token.slice(2)}`,
      `/callbacks/flux/${mine.id}/x`,
      `/callbacks/flux/${mine.id.toUpperCase()}/${token}`,
      `/callbacks/flux/nothing/${token}`,
    ];
    for (const path of wrongPaths) {
      const { status, json } = await app.postBody(path, upstream.successCallback());
      expect({ path, status, json }).toMatchObject({
        status: 401,
        json: { error: { code: 'UNAUTHENTICATED' } },
      });
    }
    await expect(stateOf(mine.id)).resolves.toEqual(before);
    expect((await app.postBody(mine.path, upstream.successCallback())).status).toBe(200);
  });

  test.each([
    ['text that is not JSON', 'this is not JSON'],
    ['empty', ''],
    ['a JSON array', '[]'],
    ['an empty object', '{}'],
    ['the reply to a submission', '{"task_id":"accepted-again"}'],
  ])('is rejected with 400 when its body is %s, and the task keeps running', async (description, body) => {
    const { id, path } = await createRunningTask(`malformed: ${description}`);
    const before = await stateOf(id);
    const { status, json } = await app.postBody(path, body);
    expect({ status, json }).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    await expect(stateOf(id)).resolves.toEqual(before);
    await app.postBody(path, upstream.successCallback(), { 'content-type': 'text/plain' });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('of 11 MB is rejected with 413, and the task keeps running', async () => {
    const { id, path } = await createRunningTask('too large');
    const { status, json } = await app.postBody(path, 'x'.repeat(11 * 1024 * 1024));
    expect({ status, json }).toMatchObject({ status: 413, json: { error: { code: 'PAYLOAD_TOO_LARGE' } } });
    expect((await app.task(id)).status).toBe('RUNNING');
    await app.postBody(path, upstream.successCallback());
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('with NUL characters is accepted, and the characters are removed', async () => {
    const { id, path } = await createRunningTask('NUL');
    const [image] = (upstream.successCallback() as { data: object[] }).data;
    const body = { ...upstream.successCallback(), trace_id: 'tra\0ce', data: [{ ...image, seed: '1\0' }] };
    expect((await app.postBody(path, body)).status).toBe(200);
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', upstreamTraceId: 'trace', images: [{ seed: '1' }] });
  });

  test('is answered with 404 when it is not a POST', async () => {
    const { path } = await createRunningTask('requested with GET');
    expect((await app.get(path)).status).toBe(404);
  });
});

describe('a result that arrives after the deadline', () => {
  test('is stored as late images, reported once, and does not reopen the task', async () => {
    const { id, path } = await createRunningTask('too late');
    await expire(id);
    const expired = await app.task(id);
    expect(expired).toMatchObject({
      status: 'EXPIRED',
      error: { code: 'DEADLINE_EXCEEDED', retryable: false },
    });

    for (let time = 1; time <= 2; time += 1) {
      expect((await app.postBody(path, upstream.successCallback(2))).status).toBe(200);
    }
    await app.waitForEvent(id, 'IMAGE_STORED');
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'EXPIRED', deliveredCount: 0, images: [], error: expired.error });
    expect(task.finishedAt).toBe(expired.finishedAt);
    expect(task.lateImages.map((image) => image.index)).toEqual([0, 1]);
    const lateEvents = eventTypes(await app.history(id)).filter((type) => type === 'LATE_RESULT_RECEIVED');
    expect(lateEvents).toHaveLength(1);
    const [image] = task.lateImages;
    expect((await app.get(pathAndQuery(image?.url))).bytes.equals(upstream.imageBytes)).toBe(true);
  });

  test('is pushed to a subscription that starts after the end', async () => {
    const { id, path } = await createRunningTask('late, and subscribed to');
    await expire(id);
    const { cursor } = await app.waitForEvent(id, 'TASK_EXPIRED');
    await app.postBody(path, upstream.successCallback());
    await app.waitForEvent(id, 'IMAGE_STORED');
    const subscription = app.subscribeToTask(id, cursor);
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual(['LATE_RESULT_RECEIVED', 'IMAGE_STORED']);
  });

  test('changes nothing when it is a failure', async () => {
    const { id, path } = await createRunningTask('late failure');
    await expire(id);
    const before = await stateOf(id);
    expect((await app.postBody(path, upstream.failureCallback('api_error'))).status).toBe(200);
    await expect(stateOf(id)).resolves.toEqual(before);
  });
});

test('the token of a callback link is never logged', async () => {
  const { id, path } = await createRunningTask('secret');
  const token = path.split('/').at(-1) ?? '';
  const links = [path, path.replace('callbacks', 'CALLBACKS'), `${path}?again`, `${path}/`, `${path}/more`];
  for (const link of links) await app.postBody(link, 'not JSON');
  await app.get(path);
  await app.postBody(path, 'x'.repeat(11 * 1024 * 1024));
  await app.postBody(path, upstream.successCallback());
  await app.waitUntilSettled(id);
  const linesWith = (text: string) => app.logLines.filter((line) => line.includes(text));
  expect(linesWith('/callbacks/[redacted]').length).toBeGreaterThan(links.length);
  expect(linesWith(token)).toEqual([]);
  expect(linesWith('token-of-the-fake')).toEqual([]);
});

describe('callbacks that arrive together', () => {
  /** Tasks whose callbacks are posted together, and the transactions that made them SUCCEEDED. */
  const createRunningTasks = (prompt: string) =>
    Promise.all(Array.from({ length: 12 }, (_, n) => createRunningTask(`${prompt} ${n}`)));
  const transactionsOf = async (ids: string[]) => {
    const rows = await app.rows<{ transactionId: string }>(
      `SELECT transaction_id AS "transactionId" FROM task_events WHERE type = 'TASK_SUCCEEDED' AND task_id = ANY ($1)`,
      [ids],
    );
    return rows.map(({ transactionId }) => transactionId);
  };

  test('share commits', async () => {
    // On a busy machine, they may arrive one after another.
    for (let attempt = 1; ; attempt += 1) {
      const tasks = await createRunningTasks(`together ${attempt}`);
      const responses = await Promise.all(
        tasks.map(({ path }) => app.postBody(path, upstream.successCallback())),
      );
      expect(responses.map(({ status }) => status)).toEqual(tasks.map(() => 200));
      const transactions = await transactionsOf(tasks.map(({ id }) => id));
      expect(transactions).toHaveLength(tasks.length);
      if (new Set(transactions).size < tasks.length) return;
      expect(attempt).toBeLessThan(10);
    }
  });

  test('do not wait for the one whose task is locked', async () => {
    const [locked, ...others] = await createRunningTasks('beside a lock');
    const client = new pg.Client({ connectionString: app.databaseUrl });
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM tasks WHERE id = $1 FOR UPDATE', [locked?.id]);
      const waiting = app.postBody(locked?.path ?? '', upstream.successCallback());
      const responses = await Promise.all(
        others.map(({ path }) => app.postBody(path, upstream.successCallback())),
      );
      expect(responses.map(({ status }) => status)).toEqual(others.map(() => 200));
      expect(await transactionsOf([locked?.id ?? ''])).toEqual([]);
      await client.query('COMMIT');
      expect((await waiting).status).toBe(200);
      expect(await transactionsOf([locked?.id ?? ''])).toHaveLength(1);
    } finally {
      await client.end();
    }
  });
});
