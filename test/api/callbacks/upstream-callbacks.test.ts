import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pathOf, TestApp, type TaskView, typesOf } from '../../support/app/test-app.js';
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

/** A task that the upstream has accepted, and the path that its result is posted to. */
async function running(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  const path = await upstream.callbackPath(prompt);
  await app.happened(id, 'TASK_SUBMITTED');
  return { id, path };
}
/** The task without what changes from one reading to the next. */
async function state(id: string): Promise<TaskView & { history: string[] }> {
  return { ...(await app.task(id)), cursor: '', history: typesOf(await app.history(id)) };
}
async function expire(id: string): Promise<void> {
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
  await app.happened(id, 'TASK_EXPIRED');
}

describe('a callback', () => {
  test('ends the task, and its link holds nothing that can be guessed', async () => {
    const { id, path } = await running('called back');
    expect(path).toMatch(new RegExp(`^/callbacks/flux/${id}/[\\w-]{43}$`));
    const { status, json } = await app.send(path, upstream.success(2));
    expect({ status, json }).toEqual({ status: 200, json: { received: true } });
    const task = await app.settled(id);
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

  test('is answered 200 and changes nothing when it comes a second time', async () => {
    const { id, path } = await running('called back twice');
    await app.send(path, upstream.success());
    await app.settled(id);
    const before = await state(id);
    for (const body of [upstream.success(), upstream.success(3, 'others')]) {
      expect((await app.send(path, body)).status).toBe(200);
    }
    await expect(state(id)).resolves.toEqual(before);
  });

  test('is applied once when ten of them come at the same moment', async () => {
    const { id, path } = await running('called back at once');
    const answers = await Promise.all(Array.from({ length: 10 }, () => app.send(path, upstream.success(4))));
    expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(200));
    const task = await app.settled(id);
    expect(task.images).toHaveLength(4);
    expect(typesOf(await app.history(id)).filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
  });

  test('that contradicts the end changes nothing', async () => {
    const won = await running('won, then lost');
    await app.send(won.path, upstream.success());
    await app.settled(won.id);
    const before = await state(won.id);
    expect((await app.send(won.path, upstream.failure('api_error'))).status).toBe(200);
    await expect(state(won.id)).resolves.toEqual(before);
    expect(before).toMatchObject({ status: 'SUCCEEDED', error: null });
  });

  test('is refused with 401, and changes nothing, when its token is wrong or that of another task', async () => {
    const mine = await running('mine');
    const other = await running('of another');
    const before = await state(mine.id);
    const token = mine.path.split('/').at(-1) ?? '';
    const wrong = [
      `/callbacks/flux/${mine.id}/${other.path.split('/').at(-1)}`,
      `/callbacks/flux/${mine.id}/${token.slice(0, -1)}`,
      `/callbacks/flux/${mine.id}/${token}A`,
      `/callbacks/flux/${mine.id}/${token.toLowerCase()}`,
      `/callbacks/flux/${mine.id}/x`,
      `/callbacks/flux/${mine.id.toUpperCase()}/${token}`,
      `/callbacks/flux/nothing/${token}`,
    ];
    for (const path of wrong) {
      const { status, json } = await app.send(path, upstream.success());
      expect({ path, status, json }).toMatchObject({
        status: 401,
        json: { error: { code: 'UNAUTHENTICATED' } },
      });
    }
    await expect(state(mine.id)).resolves.toEqual(before);
    expect((await app.send(mine.path, upstream.success())).status).toBe(200);
  });

  test.each([
    ['not JSON', 'this is not JSON'],
    ['empty', ''],
    ['a JSON array', '[]'],
    ['an object that says nothing', '{}'],
    ['an acceptance', '{"task_id":"accepted-again"}'],
  ])('is refused with 400 when its body is %s, and the task lives on', async (what, body) => {
    const { id, path } = await running(`malformed: ${what}`);
    const before = await state(id);
    const { status, json } = await app.send(path, body);
    expect({ status, json }).toMatchObject({ status: 400, json: { error: { code: 'BAD_REQUEST' } } });
    await expect(state(id)).resolves.toEqual(before);
    await app.send(path, upstream.success(), { 'content-type': 'text/plain' });
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('of 11 MB is refused with 413, and the task lives on', async () => {
    const { id, path } = await running('too much');
    const { status, json } = await app.send(path, 'x'.repeat(11 * 1024 * 1024));
    expect({ status, json }).toMatchObject({ status: 413, json: { error: { code: 'PAYLOAD_TOO_LARGE' } } });
    expect((await app.task(id)).status).toBe('RUNNING');
    await app.send(path, upstream.success());
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('with NUL characters in its texts is taken without them', async () => {
    const { id, path } = await running('NUL');
    const [picture] = (upstream.success() as { data: object[] }).data;
    const body = { ...upstream.success(), trace_id: 'tra\0ce', data: [{ ...picture, seed: '1\0' }] };
    expect((await app.send(path, body)).status).toBe(200);
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', upstreamTraceId: 'trace', images: [{ seed: '1' }] });
  });

  test('that is no POST finds nothing', async () => {
    const { path } = await running('asked for by GET');
    expect((await app.get(path)).status).toBe(404);
  });
});

describe('pictures that come after the deadline', () => {
  test('are kept as late ones, told once, and do not reopen the task', async () => {
    const { id, path } = await running('too late');
    await expire(id);
    const expired = await app.task(id);
    expect(expired).toMatchObject({
      status: 'EXPIRED',
      error: { code: 'DEADLINE_EXCEEDED', retryable: true },
    });

    for (let time = 1; time <= 2; time += 1) {
      expect((await app.send(path, upstream.success(2))).status).toBe(200);
    }
    await app.happened(id, 'IMAGE_STORED');
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'EXPIRED', deliveredCount: 0, images: [], error: expired.error });
    expect(task.finishedAt).toBe(expired.finishedAt);
    expect(task.lateImages.map((image) => image.index)).toEqual([0, 1]);
    const told = typesOf(await app.history(id)).filter((type) => type === 'LATE_RESULT_ARRIVED');
    expect(told).toHaveLength(1);
    const [image] = task.lateImages;
    expect((await app.get(pathOf(image?.url))).bytes.equals(upstream.picture)).toBe(true);
  });

  test('are given to whoever goes on watching after the end', async () => {
    const { id, path } = await running('late, and watched');
    await expire(id);
    const { cursor } = await app.happened(id, 'TASK_EXPIRED');
    await app.send(path, upstream.success());
    await app.happened(id, 'IMAGE_STORED');
    const watch = app.watchTask(id, cursor);
    await watch.ended;
    expect(typesOf(watch.received)).toEqual(['LATE_RESULT_ARRIVED', 'IMAGE_STORED']);
  });

  test('are not kept of a failure: it changes nothing', async () => {
    const { id, path } = await running('late failure');
    await expire(id);
    const before = await state(id);
    expect((await app.send(path, upstream.failure('api_error'))).status).toBe(200);
    await expect(state(id)).resolves.toEqual(before);
  });
});

test('the token of a callback link never reaches the log', async () => {
  const { id, path } = await running('secret');
  const token = path.split('/').at(-1) ?? '';
  const links = [path, path.replace('callbacks', 'CALLBACKS'), `${path}?again`, `${path}/`, `${path}/more`];
  for (const link of links) await app.send(link, 'not JSON');
  await app.get(path);
  await app.send(path, 'x'.repeat(11 * 1024 * 1024));
  await app.send(path, upstream.success());
  await app.settled(id);
  const linesWith = (text: string) => app.logged.filter((line) => line.includes(text));
  expect(linesWith('/callbacks/[redacted]').length).toBeGreaterThan(links.length);
  expect(linesWith(token)).toEqual([]);
  expect(linesWith('token-of-the-fake')).toEqual([]);
});
