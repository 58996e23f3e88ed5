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
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const SECRET_KEY = 'the secret of an installation that is only a test';
const signer = new Signer(Buffer.from(SECRET_KEY));

let upstream: FakeUpstream;
let accept: FakeUpstream['submit'];
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.submit;
  app = await TestApp.start({ environment: { ...upstream.environment, SECRET_KEY } });
});
afterEach(() => {
  upstream.submit = accept;
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

interface Row {
  id: string;
  workspace_id: string | null;
  verdict: CallbackVerdict;
  body: Buffer;
}
async function inbox(taskId: string): Promise<Row[]> {
  return app.rows<Row>('SELECT * FROM callbacks WHERE task_id = $1 ORDER BY id', [taskId]);
}
async function verdicts(taskId: string): Promise<CallbackVerdict[]> {
  return (await inbox(taskId)).map((row) => row.verdict);
}
async function list(
  filter: CallbackFilter | null = null,
  page: { first?: number; after?: string | null } = {},
  key?: string,
): Promise<CallbacksQuery['callbacks']> {
  return (await app.query(CallbacksDocument, { filter, ...page }, key)).callbacks;
}
async function running(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt });
  await app.happened(id, 'TASK_SUBMITTED');
  return { id, path: await upstream.callbackPath(prompt) };
}
async function expire(id: string): Promise<void> {
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
  await app.happened(id, 'TASK_EXPIRED');
}
/** Posts bytes as they are. */
async function sendBytes(path: string, body: Uint8Array): Promise<number> {
  return (await fetch(app.url + path, { method: 'POST', body: Buffer.from(body) })).status;
}
/** A callback that was kept as one that could not be understood. */
async function kept(taskId: string, body: object): Promise<string> {
  const id = v7();
  await app.rows(
    `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
     SELECT $1, workspace_id, id, 'MALFORMED', $3 FROM tasks WHERE id = $2`,
    [id, taskId, Buffer.from(JSON.stringify(body))],
  );
  return id;
}
async function replay(id: string, key?: string) {
  return (await app.query(ReplayCallbackDocument, { input: { id } }, key)).replayCallback;
}

describe('a callback is kept as', () => {
  test('APPLIED when it ends a running task, and DUPLICATE when the same comes again', async () => {
    const { id, path } = await running('applied');
    await app.send(path, upstream.success());
    await app.send(path, upstream.success(3));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'DUPLICATE']);
  });

  test('APPLIED when it is a failure that ends a running task, and DUPLICATE when it comes again', async () => {
    const { id, path } = await running('failure applied');
    await app.send(path, upstream.failure('forbidden'));
    await app.send(path, upstream.failure('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'DUPLICATE']);
  });

  test('EARLY when it comes before the reply', async () => {
    let answer = () => {};
    upstream.submit = (response, received) => (answer = () => accept(response, received));
    const { id } = await app.generate({ prompt: 'early' });
    await app.send(await upstream.callbackPath('early'), upstream.success());
    answer();
    await expect(verdicts(id)).resolves.toEqual(['EARLY']);
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });

  test('EARLY when nobody knew whether the request had arrived', async () => {
    upstream.submit = (response) => response.destroy();
    const { id } = await app.generate({ prompt: 'early and unconfirmed' });
    await app.happened(id, 'SUBMIT_UNCONFIRMED');
    await app.send(await upstream.callbackPath('early and unconfirmed'), upstream.failure('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['EARLY']);
  });

  test('LATE when the task had expired, with pictures once and without as often as it comes', async () => {
    const withPictures = await running('late');
    const without = await running('late failure');
    await expire(withPictures.id);
    await expire(without.id);
    for (let time = 1; time <= 2; time += 1) {
      await app.send(withPictures.path, upstream.success());
      await app.send(without.path, upstream.failure('api_error'));
    }
    await expect(verdicts(withPictures.id)).resolves.toEqual(['LATE', 'DUPLICATE']);
    await expect(verdicts(without.id)).resolves.toEqual(['LATE', 'LATE']);
  });

  test('DUPLICATE while one of the late pictures is being stored, and does not wait for that', async () => {
    const { id, path } = await running('late and being stored');
    await expire(id);
    await app.send(path, upstream.success());
    const storing = new pg.Client({ connectionString: app.databaseUrl });
    await storing.connect();
    try {
      await storing.query('BEGIN');
      await storing.query('UPDATE images SET seed = seed WHERE task_id = $1', [id]);
      expect((await app.send(path, upstream.success())).status).toBe(200);
    } finally {
      await storing.end();
    }
    await expect(verdicts(id)).resolves.toEqual(['LATE', 'DUPLICATE']);
  });

  test('LATE when the task had been canceled, or had failed and pictures come all the same', async () => {
    const canceled = await running('late, canceled');
    await app.query(CancelTaskDocument, { input: { id: canceled.id } });
    await app.send(canceled.path, upstream.success());
    await expect(verdicts(canceled.id)).resolves.toEqual(['LATE']);

    const failed = await running('late, failed');
    await app.send(failed.path, upstream.failure('api_error'));
    await app.send(failed.path, upstream.success());
    await expect(verdicts(failed.id)).resolves.toEqual(['APPLIED', 'LATE']);
    expect((await app.task(failed.id)).lateImages).toHaveLength(1);
  });

  test('CONFLICT when it is a failure of a task that has succeeded', async () => {
    const { id, path } = await running('conflict');
    await app.send(path, upstream.success());
    await app.send(path, upstream.failure('api_error'));
    await expect(verdicts(id)).resolves.toEqual(['APPLIED', 'CONFLICT']);
  });

  test('MALFORMED when it cannot be understood', async () => {
    const { id, path } = await running('malformed');
    for (const body of ['not JSON', '', '{}', '{"task_id":"accepted again"}']) {
      expect((await app.send(path, body)).status).toBe(400);
    }
    await expect(verdicts(id)).resolves.toEqual(Array(4).fill('MALFORMED'));
  });

  test('UNKNOWN_TASK, for nobody to see, when its task does not exist', async () => {
    const id = v7();
    const body = JSON.stringify(upstream.success());
    const { status } = await app.send(`/callbacks/flux/${id}/${signer.sign('flux-callback', id)}`, body);
    expect(status).toBe(200);
    const [row] = await inbox(id);
    expect(row).toMatchObject({ verdict: 'UNKNOWN_TASK', workspace_id: null });
    expect(row?.body.toString()).toBe(body);
    await expect(list({ verdicts: ['UNKNOWN_TASK'] })).resolves.toMatchObject({ nodes: [] });
    await expect(replay(row?.id ?? '')).resolves.toMatchObject({ userErrors: [{ code: 'NOT_FOUND' }] });
  });

  test('one of them that was applied when ten come at the same moment', async () => {
    const { id, path } = await running('ten at once');
    await Promise.all(Array.from({ length: 10 }, () => app.send(path, upstream.success())));
    const told = await verdicts(id);
    expect(told.filter((verdict) => verdict === 'APPLIED')).toHaveLength(1);
    expect(told.filter((verdict) => verdict === 'DUPLICATE')).toHaveLength(9);
  });
});

describe('what is kept', () => {
  test('is the body byte for byte', async () => {
    const { id, path } = await running('bytes');
    const bodies = [
      Buffer.from([0x00, 0xff, 0xfe, 0x7b, 0x80, 0x0a]),
      Buffer.alloc(0),
      Buffer.from(
        ` {"success" : true,\r\n"data":[{"image_url":"${upstream.pictureUrl('bytes')}"}],"é":"\u2028"}\n`,
      ),
      Buffer.from(JSON.stringify(upstream.success())),
    ];
    const statuses = [];
    for (const body of bodies) statuses.push(await sendBytes(path, body));
    expect(statuses).toEqual([400, 400, 200, 200]);
    const rows = await inbox(id);
    expect(rows.map((row) => row.verdict)).toEqual(['MALFORMED', 'MALFORMED', 'APPLIED', 'DUPLICATE']);
    expect(rows.map((row) => row.body.toString('hex'))).toEqual(bodies.map((body) => body.toString('hex')));
    const shown = (await list({ taskId: id })).nodes.map((callback) => callback.body).reverse();
    expect(shown).toEqual(bodies.map((body) => body.toString('utf8')));
  });

  test('is nothing when the token is forged, and nothing when the body has 11 MB', async () => {
    const { id, path } = await running('kept out');
    const forged = path.replace(/[^/]+$/, signer.sign('flux-callback', v7()));
    expect((await app.send(forged, upstream.success())).status).toBe(401);
    expect((await app.send(path, 'x'.repeat(11 * 1024 * 1024))).status).toBe(413);
    await expect(inbox(id)).resolves.toEqual([]);
    const largest = Buffer.alloc(10 * 1024 * 1024, 'x');
    expect(await sendBytes(path, largest)).toBe(400);
    expect((await inbox(id))[0]?.body.equals(largest)).toBe(true);
  });
});

describe('callbacks', () => {
  test('lists them newest first, with their task, by verdict and by task', async () => {
    const { id, path } = await running('listed');
    await app.send(path, 'first');
    await app.send(path, upstream.success());
    await app.send(path, upstream.failure('api_error'));
    const all = await list({ taskId: id });
    expect(all.nodes.map((callback) => [callback.verdict, callback.task?.id])).toEqual([
      ['CONFLICT', id],
      ['APPLIED', id],
      ['MALFORMED', id],
    ]);
    const times = all.nodes.map((callback) => Date.parse(callback.receivedAt));
    expect(times).toEqual([...times].sort((a, b) => b - a));

    const some = await list({ taskId: id, verdicts: ['MALFORMED', 'CONFLICT'] });
    expect(some.nodes.map((callback) => callback.verdict)).toEqual(['CONFLICT', 'MALFORMED']);
    await expect(list({ taskId: id, verdicts: ['LATE'] })).resolves.toMatchObject({ nodes: [] });
    await expect(list({ taskId: id, verdicts: [] })).resolves.toMatchObject({ nodes: { length: 3 } });
    await expect(list({ taskId: v7() })).resolves.toMatchObject({ nodes: [] });
    await expect(list({ taskId: 'nothing' })).resolves.toMatchObject({ nodes: [] });
  });

  test('gives them in pages, each once, also when more come meanwhile', async () => {
    const { id, path } = await running('paged');
    for (let n = 1; n <= 5; n += 1) await app.send(path, `${n}`);
    const seen: string[] = [];
    let after: string | null | undefined;
    for (let page = 1, more = true; more; page += 1) {
      const { nodes, pageInfo } = await list({ taskId: id }, { first: 2, after });
      seen.push(...nodes.map((callback) => callback.body));
      after = pageInfo.endCursor;
      more = pageInfo.hasNextPage;
      if (page === 1) await app.send(path, 'new');
    }
    expect(seen).toEqual(['5', '4', '3', '2', '1']);
  });

  test.each([{ first: 0 }, { first: 101 }, { after: 'nothing' }])(
    'refuses %j with BAD_REQUEST',
    async (page) => {
      const { errors } = await app.post(CallbacksDocument, page);
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
    },
  );

  test('shows another workspace none of them', async () => {
    const { id, path } = await running('ours');
    await app.send(path, upstream.success());
    const stranger = await addWorkspace(app);
    await expect(list(null, {}, stranger)).resolves.toMatchObject({ nodes: [] });
    await expect(list({ taskId: id }, {}, stranger)).resolves.toMatchObject({ nodes: [] });
    const [callback] = (await list({ taskId: id })).nodes;
    const refused = await replay(callback?.id ?? '', stranger);
    expect(refused).toMatchObject({ callback: null, userErrors: [{ code: 'NOT_FOUND' }] });
  });

  test('needs the scope audit:read, and replayCallback needs tasks:write beside it', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const writer = await addKey(app, viewer.workspaceId, ['tasks:read', 'tasks:write']);
    const auditor = await addKey(app, viewer.workspaceId, ['audit:read']);
    const answers = [
      await app.post(CallbacksDocument, {}, writer),
      await app.post(ReplayCallbackDocument, { input: { id: v7() } }, writer),
      await app.post(ReplayCallbackDocument, { input: { id: v7() } }, auditor),
    ];
    for (const { errors } of answers) expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await app.post(CallbacksDocument, { first: 1 }, auditor)).errors).toBeUndefined();
  });
});

describe('replayCallback', () => {
  test('of one that was taken changes nothing', async () => {
    const { id, path } = await running('replayed');
    await app.send(path, upstream.success(2));
    await app.settled(id);
    const before = [await app.history(id), (await app.task(id)).images, await inbox(id)];
    const [callback] = await inbox(id);
    await expect(replay(callback?.id ?? '')).resolves.toEqual({
      callback: { id: callback?.id, verdict: 'APPLIED' },
      userErrors: [],
    });
    expect([await app.history(id), (await app.task(id)).images, await inbox(id)]).toEqual(before);
  });

  test('of one that cannot be understood leaves it MALFORMED', async () => {
    const { id, path } = await running('replayed in vain');
    await app.send(path, 'not JSON');
    const [callback] = await inbox(id);
    const answer = await replay(callback?.id ?? '');
    expect(answer).toMatchObject({ callback: { verdict: 'MALFORMED' }, userErrors: [] });
    await expect(inbox(id)).resolves.toEqual([callback]);
    expect((await app.task(id)).status).toBe('RUNNING');
  });

  test('of one that its task still waits for applies it, and its verdict becomes APPLIED', async () => {
    const { id } = await running('understood at last');
    const callback = await kept(id, upstream.success(2));
    await expect(replay(callback)).resolves.toEqual({
      callback: { id: callback, verdict: 'APPLIED' },
      userErrors: [],
    });
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2 });
    await expect(verdicts(id)).resolves.toEqual(['APPLIED']);
    expect(typesOf(await app.history(id)).slice(0, 3)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
    ]);
  });

  test('of one whose task has ended gives it the verdict of now', async () => {
    const [won, lost] = [await running('replayed, won'), await running('replayed, lost')];
    await app.send(won.path, upstream.success());
    await expire(lost.id);
    const replays = [
      await replay(await kept(won.id, upstream.success())),
      await replay(await kept(won.id, upstream.failure('api_error'))),
      await replay(await kept(lost.id, upstream.success())),
    ];
    expect(replays.map((answer) => answer.callback?.verdict)).toEqual(['DUPLICATE', 'CONFLICT', 'LATE']);
    expect((await app.task(lost.id)).lateImages).toHaveLength(1);
  });

  test('ten times at once applies it once', async () => {
    const { id } = await running('replayed at once');
    const callback = await kept(id, upstream.success(2));
    await Promise.all(Array.from({ length: 10 }, () => replay(callback)));
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2, lateImages: [] });
    expect(typesOf(await app.history(id)).filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
    await expect(inbox(id)).resolves.toHaveLength(1);
  });

  test.each([v7(), 'nothing'])('of %s is refused with NOT_FOUND', async (id) => {
    await expect(replay(id)).resolves.toEqual({
      callback: null,
      userErrors: [
        {
          code: 'NOT_FOUND',
          message: 'There is no callback with this id in your workspace.',
          field: ['input', 'id'],
        },
      ],
    });
  });
});

test('callbacks are forgotten after 30 days, and not before', async () => {
  const { id } = await running('forgotten');
  const DAY_MS = 24 * 3_600_000;
  const age = (days: number) => v7({ msecs: Date.now() - days * DAY_MS });
  const ages = [400, 31, 30.01, 29.99, 29, 0];
  for (const days of ages) {
    await app.rows(
      `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
       SELECT $1, workspace_id, id, 'APPLIED', $3 FROM tasks WHERE id = $2`,
      [age(days), id, Buffer.from(String(days))],
    );
  }
  await app.rows("SELECT graphile_worker.add_job('forget-callbacks', '{}')");
  await waitFor('the old ones to be gone', async () => (await inbox(id)).length <= 3);
  const left = (await inbox(id)).map((row) => row.body.toString());
  expect(left).toEqual(['29.99', '29', '0']);
});
