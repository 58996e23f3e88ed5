import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { v7 } from 'uuid';
import { Signer } from '../../../src/core/access/signer.js';
import {
  type CallbackFilter,
  CallbacksDocument,
  type CallbacksQuery,
  type CallbackVerdict,
  CancelTaskDocument,
  ReplayCallbackDocument,
  ViewerDocument,
} from '../../../clients/operations.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { reply } from '../../support/net/test-http-server.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const SECRET_KEY = 'the secret of an installation that is only a test';
const signer = new Signer(Buffer.from(SECRET_KEY));

let upstream: FakeUpstream;
let accept: FakeUpstream['onSubmit'];
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.onSubmit;
  app = await TestApp.start({ environment: { ...upstream.environment, SECRET_KEY } });
});
afterEach(() => {
  upstream.onSubmit = accept;
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

interface CallbackRow {
  id: string;
  workspace_id: string | null;
  verdict: CallbackVerdict;
  body: Buffer;
}
async function callbackRows(taskId: string): Promise<CallbackRow[]> {
  return app.rows<CallbackRow>('SELECT * FROM callbacks WHERE task_id = $1 ORDER BY id', [taskId]);
}
async function verdicts(taskId: string): Promise<CallbackVerdict[]> {
  return (await callbackRows(taskId)).map((row) => row.verdict);
}
async function listCallbacks(
  filter: CallbackFilter | null = null,
  page: { first?: number; after?: string | null } = {},
  apiKey?: string,
): Promise<CallbacksQuery['callbacks']> {
  return (await app.query(CallbacksDocument, { filter, ...page }, apiKey)).callbacks;
}
async function createRunningTask(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  await app.waitForEvent(id, 'TASK_SUBMITTED');
  return { id, path: await upstream.callbackPath(prompt) };
}
async function expire(id: string): Promise<void> {
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
  await app.waitForEvent(id, 'TASK_EXPIRED');
}
/** Posts the bytes unchanged and returns the status code. */
async function postBytes(path: string, body: Uint8Array): Promise<number> {
  return (await fetch(app.url + path, { method: 'POST', body: Buffer.from(body) })).status;
}
/** Inserts a callback with the verdict MALFORMED, as if an earlier version could not parse it. Returns its ID. */
async function addMalformedCallback(taskId: string, body: object): Promise<string> {
  const id = v7();
  await app.rows(
    `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
     SELECT $1, workspace_id, id, 'MALFORMED', $3 FROM tasks WHERE id = $2`,
    [id, taskId, Buffer.from(JSON.stringify(body))],
  );
  return id;
}
async function replay(id: string, apiKey?: string) {
  return (await app.query(ReplayCallbackDocument, { input: { id } }, apiKey)).replayCallback;
}

describe('a callback is saved as', () => {
  test('APPLIED when it ends a running task, and DUPLICATE when it arrives again', async () => {
    const { id, path } = await createRunningTask('applied');
    await app.postBody(path, upstream.successCallback());
    await app.postBody(path, upstream.successCallback());
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'DUPLICATE']);
  });

  test('LATE when the result before it was incomplete, and only the rest is added', async () => {
    const { id } = await app.generate({ prompt: 'incomplete', count: 3 });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    const path = await upstream.callbackPath('incomplete');
    const { data } = upstream.successCallback(3, 'rest') as { data: object[] };
    const callbackWith = (images: object[]) => ({ ...upstream.successCallback(), data: images });
    await app.postBody(path, callbackWith(data.slice(1, 2)));
    for (let time = 1; time <= 2; time += 1) await app.postBody(path, callbackWith(data));
    await app.postBody(path, callbackWith(data.slice(0, 2)));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'LATE', 'DUPLICATE', 'DUPLICATE']);

    await waitFor('the images to be stored', async () => {
      const stored = await app.rows('SELECT FROM images WHERE task_id = $1 AND stored_at IS NOT NULL', [id]);
      return stored.length === 3;
    });
    const task = await app.task(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    const links = [...task.images, ...task.lateImages].map(({ index, upstreamUrl }) => [index, upstreamUrl]);
    expect(links).toEqual([1, 0, 2].map((name, index) => [index, upstream.imageUrl(`rest-${name}`)]));
  });

  test('APPLIED when it has far too many images, of which a bounded number is kept', async () => {
    const { id, path } = await createRunningTask('far too many');
    await app.postBody(path, upstream.successCallback(1_000));
    await app.postBody(path, upstream.successCallback(1_000));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'DUPLICATE']);
    expect((await app.task(id)).deliveredCount).toBe(16);
  });

  test('APPLIED when it is a failure that ends a running task, and DUPLICATE when it arrives again', async () => {
    const { id, path } = await createRunningTask('failure applied');
    await app.postBody(path, upstream.failureCallback('forbidden'));
    await app.postBody(path, upstream.failureCallback('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'DUPLICATE']);
  });

  test('EARLY when it arrives before the reply to the submission', async () => {
    let replyToSubmission = () => {};
    upstream.onSubmit = (response, received) => (replyToSubmission = () => accept(response, received));
    const { id } = await app.generate({ prompt: 'early' });
    await app.postBody(await upstream.callbackPath('early'), upstream.successCallback());
    replyToSubmission();
    await expect(verdicts(id)).resolves.toEqual(['EARLY']);
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('EARLY when the submission was unconfirmed', async () => {
    upstream.onSubmit = (response) => response.destroy();
    const { id } = await app.generate({ prompt: 'early and unconfirmed' });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await app.postBody(
      await upstream.callbackPath('early and unconfirmed'),
      upstream.failureCallback('api_error'),
    );
    await expect(verdicts(id)).resolves.toEqual(['EARLY']);
  });

  test('LATE when the task had expired, once if it has images and every time if it has none', async () => {
    const withImages = await createRunningTask('late');
    const withoutImages = await createRunningTask('late failure');
    await expire(withImages.id);
    await expire(withoutImages.id);
    for (let time = 1; time <= 2; time += 1) {
      await app.postBody(withImages.path, upstream.successCallback());
      await app.postBody(withoutImages.path, upstream.failureCallback('api_error'));
    }
    await expect(verdicts(withImages.id)).resolves.toEqual(['LATE', 'DUPLICATE']);
    await expect(verdicts(withoutImages.id)).resolves.toEqual(['LATE', 'LATE']);
  });

  test('DUPLICATE without waiting while a late image is being stored', async () => {
    const { id, path } = await createRunningTask('late and being stored');
    await expire(id);
    await app.postBody(path, upstream.successCallback());
    const storingClient = new pg.Client({ connectionString: app.databaseUrl });
    await storingClient.connect();
    try {
      await storingClient.query('BEGIN');
      await storingClient.query('UPDATE images SET seed = seed WHERE task_id = $1', [id]);
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
    } finally {
      await storingClient.end();
    }
    await expect(verdicts(id)).resolves.toEqual(['LATE', 'DUPLICATE']);
  });

  test('LATE when the task had been canceled, or had failed and images arrive nevertheless', async () => {
    const canceled = await createRunningTask('late, canceled');
    await app.query(CancelTaskDocument, { input: { id: canceled.id } });
    await app.postBody(canceled.path, upstream.successCallback());
    await expect(verdicts(canceled.id)).resolves.toEqual(['LATE']);

    const failed = await createRunningTask('late, failed');
    await app.postBody(failed.path, upstream.failureCallback('api_error'));
    await app.postBody(failed.path, upstream.successCallback());
    await expect(verdicts(failed.id)).resolves.toEqual(['APPLIED', 'LATE']);
    expect((await app.task(failed.id)).lateImages).toHaveLength(1);
  });

  test('CONFLICT when it reports the failure of a task that has succeeded', async () => {
    const { id, path } = await createRunningTask('conflict');
    await app.postBody(path, upstream.successCallback());
    await app.postBody(path, upstream.failureCallback('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'CONFLICT']);
  });

  test('CONFLICT when it reports the failure of an earlier attempt, which ends nothing', async () => {
    const refuse = reply(429, { error: { code: 'too_many_requests', message: 'slow down' } });
    upstream.onSubmit = (response, received) => {
      upstream.onSubmit = accept;
      refuse(response, received);
    };
    const { id } = await app.generate({ prompt: 'second attempt' });
    await app.waitForEvent(id, 'SUBMIT_REJECTED');
    const [first] = upstream.submissions('second attempt');
    const firstPath = new URL(first?.callback_url ?? '').pathname;
    // While the task waits for its second attempt, and while that attempt is running.
    await app.postBody(firstPath, upstream.failureCallback('api_error'));
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await app.postBody(firstPath, upstream.failureCallback('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['CONFLICT', 'CONFLICT']);
    expect((await app.task(id)).status).toBe('RUNNING');

    const [, second] = upstream.submissions('second attempt');
    const secondPath = new URL(second?.callback_url ?? '').pathname;
    expect(secondPath).not.toBe(firstPath);
    await app.postBody(secondPath, upstream.failureCallback('api_error'));
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'FAILED' });
  });

  test('APPLIED when it brings the images of an earlier attempt, because they are paid for', async () => {
    const refuse = reply(429, { error: { code: 'too_many_requests', message: 'slow down' } });
    upstream.onSubmit = (response, received) => {
      upstream.onSubmit = accept;
      refuse(response, received);
    };
    const { id } = await app.generate({ prompt: 'images of the first attempt' });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await app.postBody(
      await upstream.callbackPath('images of the first attempt'),
      upstream.successCallback(),
    );
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
  });

  test('MALFORMED when it cannot be parsed', async () => {
    const { id, path } = await createRunningTask('malformed');
    for (const body of ['not JSON', '', '{}', '{"task_id":"accepted again"}']) {
      expect((await app.postBody(path, body)).status).toBe(400);
    }
    await expect(verdicts(id)).resolves.toEqual(Array(4).fill('MALFORMED'));
  });

  test('UNKNOWN_TASK when its task does not exist, and no workspace can see it', async () => {
    const id = v7();
    const body = JSON.stringify(upstream.successCallback());
    const { status } = await app.postBody(
      `/callbacks/flux/${id}/1.${signer.sign('flux-callback', `${id}.1`)}`,
      body,
    );
    expect(status).toBe(200);
    const [row] = await callbackRows(id);
    expect(row).toMatchObject({ verdict: 'UNKNOWN_TASK', workspace_id: null });
    expect(row?.body.toString()).toBe(body);
    await expect(listCallbacks({ verdicts: ['UNKNOWN_TASK'] })).resolves.toMatchObject({ nodes: [] });
    await expect(replay(row?.id ?? '')).resolves.toMatchObject({ userErrors: [{ code: 'NOT_FOUND' }] });
  });

  test('APPLIED once and DUPLICATE nine times when ten arrive at once', async () => {
    const { id, path } = await createRunningTask('ten at once');
    await Promise.all(Array.from({ length: 10 }, () => app.postBody(path, upstream.successCallback())));
    const allVerdicts = await verdicts(id);
    expect(allVerdicts.filter((verdict) => verdict === 'APPLIED')).toHaveLength(1);
    expect(allVerdicts.filter((verdict) => verdict === 'DUPLICATE')).toHaveLength(9);
  });
});

describe('the callback inbox', () => {
  test('saves the body byte for byte', async () => {
    const { id, path } = await createRunningTask('bytes');
    const bodies = [
      Buffer.from([0x00, 0xff, 0xfe, 0x7b, 0x80, 0x0a]),
      Buffer.alloc(0),
      Buffer.from(
        ` {"success" : true,\r\n"data":[{"image_url":"${upstream.imageUrl('bytes')}"}],"é":"\u2028"}\n`,
      ),
      Buffer.from(JSON.stringify(upstream.successCallback())),
    ];
    const statuses = [];
    for (const body of bodies) statuses.push(await postBytes(path, body));
    expect(statuses).toEqual([400, 400, 200, 200]);
    const rows = await callbackRows(id);
    expect(rows.map((row) => row.verdict)).toEqual(['MALFORMED', 'MALFORMED', 'APPLIED', 'DUPLICATE']);
    expect(rows.map((row) => row.body.toString('hex'))).toEqual(bodies.map((body) => body.toString('hex')));
    const returnedBodies = (await listCallbacks({ taskId: id })).nodes
      .map((callback) => callback.body)
      .reverse();
    expect(returnedBodies).toEqual(bodies.map((body) => body.toString('utf8')));
  });

  // Enforces MAX_CALLBACK_BYTES in src/http/server/request-bodies.ts.
  test('saves nothing when the token is forged or the body has 11 MB', async () => {
    const { id, path } = await createRunningTask('not saved');
    const forged = path.replace(/[^/]+$/, `1.${signer.sign('flux-callback', `${v7()}.1`)}`);
    expect((await app.postBody(forged, upstream.successCallback())).status).toBe(401);
    expect((await app.postBody(path, 'x'.repeat(11 * 1024 * 1024))).status).toBe(413);
    await expect(callbackRows(id)).resolves.toEqual([]);
    const largest = Buffer.alloc(10 * 1024 * 1024, 'x');
    expect(await postBytes(path, largest)).toBe(400);
    expect((await callbackRows(id))[0]?.body.equals(largest)).toBe(true);
  });
});

describe('the callbacks query', () => {
  test('returns callbacks newest first, with their task, filtered by verdict and by task', async () => {
    const { id, path } = await createRunningTask('listed');
    await app.postBody(path, 'first');
    await app.postBody(path, upstream.successCallback());
    await app.postBody(path, upstream.failureCallback('api_error'));
    const all = await listCallbacks({ taskId: id });
    expect(all.nodes.map((callback) => [callback.verdict, callback.task?.id])).toEqual([
      ['CONFLICT', id],
      ['APPLIED', id],
      ['MALFORMED', id],
    ]);
    const times = all.nodes.map((callback) => Date.parse(callback.receivedAt));
    expect(times).toEqual([...times].sort((a, b) => b - a));

    const filtered = await listCallbacks({ taskId: id, verdicts: ['MALFORMED', 'CONFLICT'] });
    expect(filtered.nodes.map((callback) => callback.verdict)).toEqual(['CONFLICT', 'MALFORMED']);
    await expect(listCallbacks({ taskId: id, verdicts: ['LATE'] })).resolves.toMatchObject({ nodes: [] });
    await expect(listCallbacks({ taskId: id, verdicts: [] })).resolves.toMatchObject({
      nodes: { length: 3 },
    });
    await expect(listCallbacks({ taskId: v7() })).resolves.toMatchObject({ nodes: [] });
    await expect(listCallbacks({ taskId: 'nothing' })).resolves.toMatchObject({ nodes: [] });
  });

  test('returns each callback in one page, even when more arrive meanwhile', async () => {
    const { id, path } = await createRunningTask('paged');
    for (let n = 1; n <= 5; n += 1) await app.postBody(path, `${n}`);
    const bodies: string[] = [];
    let after: string | null | undefined;
    for (let page = 1, more = true; more; page += 1) {
      const { nodes, pageInfo } = await listCallbacks({ taskId: id }, { first: 2, after });
      bodies.push(...nodes.map((callback) => callback.body));
      after = pageInfo.endCursor;
      more = pageInfo.hasNextPage;
      if (page === 1) await app.postBody(path, 'new');
    }
    expect(bodies).toEqual(['5', '4', '3', '2', '1']);
  });

  test.each([{ first: 0 }, { first: 101 }, { after: 'nothing' }])(
    'rejects %j with BAD_REQUEST',
    async (page) => {
      const { errors } = await app.execute(CallbacksDocument, page);
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
    },
  );

  test('returns no callbacks of another workspace', async () => {
    const { id, path } = await createRunningTask('ours');
    await app.postBody(path, upstream.successCallback());
    const otherApiKey = await addWorkspaceWithKey(app);
    await expect(listCallbacks(null, {}, otherApiKey)).resolves.toMatchObject({ nodes: [] });
    await expect(listCallbacks({ taskId: id }, {}, otherApiKey)).resolves.toMatchObject({ nodes: [] });
    const [callback] = (await listCallbacks({ taskId: id })).nodes;
    const rejected = await replay(callback?.id ?? '', otherApiKey);
    expect(rejected).toMatchObject({ callback: null, userErrors: [{ code: 'NOT_FOUND' }] });
  });

  test('requires the scope audit:read, and replayCallback also requires tasks:write', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const writer = await addKey(app, viewer.workspaceId, ['tasks:read', 'tasks:write']);
    const auditor = await addKey(app, viewer.workspaceId, ['audit:read']);
    const results = [
      await app.execute(CallbacksDocument, {}, writer),
      await app.execute(ReplayCallbackDocument, { input: { id: v7() } }, writer),
      await app.execute(ReplayCallbackDocument, { input: { id: v7() } }, auditor),
    ];
    for (const { errors } of results) expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await app.execute(CallbacksDocument, { first: 1 }, auditor)).errors).toBeUndefined();
  });
});

describe('replayCallback', () => {
  test('changes nothing for a callback that was applied', async () => {
    const { id, path } = await createRunningTask('replayed');
    await app.postBody(path, upstream.successCallback(2));
    await app.waitUntilSettled(id);
    const before = [await app.history(id), (await app.task(id)).images, await callbackRows(id)];
    const [callback] = await callbackRows(id);
    await expect(replay(callback?.id ?? '')).resolves.toEqual({
      callback: { id: callback?.id, verdict: 'APPLIED' },
      userErrors: [],
    });
    expect([await app.history(id), (await app.task(id)).images, await callbackRows(id)]).toEqual(before);
  });

  test('leaves a callback that cannot be parsed MALFORMED', async () => {
    const { id, path } = await createRunningTask('replayed in vain');
    await app.postBody(path, 'not JSON');
    const [callback] = await callbackRows(id);
    const payload = await replay(callback?.id ?? '');
    expect(payload).toMatchObject({ callback: { verdict: 'MALFORMED' }, userErrors: [] });
    await expect(callbackRows(id)).resolves.toEqual([callback]);
    expect((await app.task(id)).status).toBe('RUNNING');
  });

  test('applies a callback that its task still waits for, and changes its verdict to APPLIED', async () => {
    const { id } = await createRunningTask('replayed and applied');
    const callback = await addMalformedCallback(id, upstream.successCallback(2));
    await expect(replay(callback)).resolves.toEqual({
      callback: { id: callback, verdict: 'APPLIED' },
      userErrors: [],
    });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2 });
    await expect(verdicts(id)).resolves.toEqual(['APPLIED']);
    expect(eventTypes(await app.history(id)).slice(0, 3)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
    ]);
  });

  test('changes the verdict to match a task that has ended meanwhile', async () => {
    const [succeeded, expired] = [
      await createRunningTask('replayed, succeeded'),
      await createRunningTask('replayed, expired'),
    ];
    await app.postBody(succeeded.path, upstream.successCallback());
    await expire(expired.id);
    const replays = [
      await replay(await addMalformedCallback(succeeded.id, upstream.successCallback())),
      await replay(await addMalformedCallback(succeeded.id, upstream.failureCallback('api_error'))),
      await replay(await addMalformedCallback(expired.id, upstream.successCallback())),
    ];
    expect(replays.map((payload) => payload.callback?.verdict)).toEqual(['DUPLICATE', 'CONFLICT', 'LATE']);
    expect((await app.task(expired.id)).lateImages).toHaveLength(1);
  });

  test('applies a callback once when it is called ten times at once', async () => {
    const { id } = await createRunningTask('replayed at once');
    const callback = await addMalformedCallback(id, upstream.successCallback(2));
    await Promise.all(Array.from({ length: 10 }, () => replay(callback)));
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2, lateImages: [] });
    expect(eventTypes(await app.history(id)).filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
    await expect(callbackRows(id)).resolves.toHaveLength(1);
  });

  test.each([v7(), 'nothing'])('rejects the ID %s with NOT_FOUND', async (id) => {
    await expect(replay(id)).resolves.toEqual({
      callback: null,
      userErrors: [
        {
          code: 'NOT_FOUND',
          message: 'No callback with this ID in your workspace.',
          field: ['input', 'id'],
        },
      ],
    });
  });
});

test('callbacks are deleted after 30 days, and not before', async () => {
  const { id } = await createRunningTask('retention');
  const DAY_MS = 24 * 3_600_000;
  const idOfAge = (days: number) => v7({ msecs: Date.now() - days * DAY_MS });
  const agesInDays = [400, 31, 30.01, 29.99, 29, 0];
  for (const days of agesInDays) {
    await app.rows(
      `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
       SELECT $1, workspace_id, id, 'APPLIED', $3 FROM tasks WHERE id = $2`,
      [idOfAge(days), id, Buffer.from(String(days))],
    );
  }
  await app.rows("SELECT graphile_worker.add_job('delete-old-callbacks', '{}')");
  await waitFor('the old callbacks to be deleted', async () => (await callbackRows(id)).length <= 3);
  const remaining = (await callbackRows(id)).map((row) => row.body.toString());
  expect(remaining).toEqual(['29.99', '29', '0']);
});
