import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import pg from 'pg';
import { SCOPES, CLIENT_TOKEN_SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  openSubscriptionStream,
  type EventSubscriptionStream,
  type SubscriptionTarget,
  STREAM_TRANSPORTS,
} from '../../support/events/streams.js';
import { insertEvent } from '../../support/events/event-rows.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { queryField, postGraphql } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';
import { AUDIT_LOG, type Page, type WithUserErrors } from '../../support/access/access-operations.js';
import { createClientToken } from '../../support/access/client-tokens.js';

interface TaskWithImage {
  taskId: string;
  imageId: string;
}
/** A caller that may see a part of the workspace, with the one task that existed and was visible to it at the start. */
interface RestrictedCaller {
  token: string;
  own: TaskWithImage;
}

const GENERATE = `mutation ($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id endUserId } userErrors { code } }
}`;
const EVENTS = `query ($filter: TaskEventFilter) {
  taskEvents(first: 100, filter: $filter) { nodes { task { id } } }
}`;
const CREATE_UPLOAD = 'mutation { createUpload(input: {}) { upload { imageId url } userErrors { code } } }';

let app: TestApp;
let sql: pg.Pool;
let workspaceTask: TaskWithImage;
let anna: RestrictedCaller;
let bert: RestrictedCaller;
/** Holds a token for one task that belongs to no end user. */
let guest: RestrictedCaller;
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  const tokenWith = async (restriction: object) =>
    (await createClientToken(app, { scopes: CLIENT_TOKEN_SCOPES, ...restriction })).token;
  workspaceTask = await createSettledTask(app.apiKey);
  const annaToken = await tokenWith({ endUserId: 'anna' });
  anna = { token: annaToken, own: await createSettledTask(annaToken) };
  bert = {
    token: await tokenWith({ endUserId: 'bert' }),
    own: await createSettledTask(app.apiKey, { endUserId: 'bert' }),
  };
  const sharedTask = await createSettledTask(app.apiKey);
  guest = { token: await tokenWith({ taskIds: [sharedTask.taskId.toUpperCase()] }), own: sharedTask };
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

type GenerateResult = WithUserErrors & { task: { id: string; endUserId: string | null } | null };
const generate = (token: string, input: object = {}) =>
  queryField<GenerateResult>(app, GENERATE, { input: { prompt: 'x', webhookUrl: null, ...input } }, token);

async function createSettledTask(token: string, input: object = {}): Promise<TaskWithImage> {
  const { task } = await generate(token, input);
  const { images } = await app.waitUntilSettled(task?.id ?? '');
  return { taskId: task?.id ?? '', imageId: images[0]?.id ?? '' };
}

async function uploadImage(token: string): Promise<string> {
  const { upload } = await queryField<{ upload: { imageId: string; url: string } }>(
    app,
    CREATE_UPLOAD,
    {},
    token,
  );
  const image = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const response = await fetch(`${app.url}${pathAndQuery(upload.url)}`, {
    method: 'PUT',
    body: new Uint8Array(image),
  });
  expect(response.status).toBe(201);
  return upload.imageId;
}

/** A test table is built before `beforeAll` runs, so it names the callers. */
const CALLER_NAMES = ['an end user', 'another end user', 'a token for certain tasks'] as const;
const callerNamed = (name: (typeof CALLER_NAMES)[number]): RestrictedCaller =>
  ({ 'an end user': anna, 'another end user': bert, 'a token for certain tasks': guest })[name];
const othersTasks = (caller: RestrictedCaller) =>
  [workspaceTask, anna.own, bert.own, guest.own].filter(({ taskId }) => taskId !== caller.own.taskId);

describe.each(CALLER_NAMES)('visibility for %s', (callerName) => {
  test('every list contains its own tasks, events and callbacks and no others', async () => {
    const { token, own } = callerNamed(callerName);
    const tasks = await queryField<Page<{ id: string }>>(app, '{ tasks { nodes { id } } }', {}, token);
    expect(tasks.nodes.map(({ id }) => id)).toEqual([own.taskId]);
    const events = await queryField<Page<{ task: { id: string } }>>(app, EVENTS, {}, token);
    expect(new Set(events.nodes.map(({ task }) => task.id))).toEqual(new Set([own.taskId]));
    const callbacksQuery = '{ callbacks { nodes { task { id } } } }';
    const callbacks = await queryField<Page<{ task: { id: string } }>>(app, callbacksQuery, {}, token);
    expect(new Set(callbacks.nodes.map(({ task }) => task.id))).toEqual(new Set([own.taskId]));
  });

  test("reading another caller's resources gives the same answer as reading absent ones", async () => {
    const caller = callerNamed(callerName);
    const readAll = ({ taskId, imageId }: TaskWithImage) =>
      postGraphql(
        app,
        `query ($task: ID!, $image: ID!, $tasks: [ID!]) {
          task(id: $task) { id } image(id: $image) { id }
          taskEvents(filter: { taskIds: $tasks }) { nodes { id } }
          callbacks(filter: { taskId: $task }) { nodes { id } }
        }`,
        { task: taskId, image: imageId, tasks: [taskId] },
        caller.token,
      );
    const absent = await readAll({ taskId: newId(), imageId: newId() });
    expect(absent.data).toMatchObject({ task: null, image: null, taskEvents: { nodes: [] } });
    for (const foreign of othersTasks(caller)) expect(await readAll(foreign)).toEqual(absent);
    expect((await readAll(caller.own)).data).toMatchObject({
      task: { id: caller.own.taskId },
      image: { id: caller.own.imageId },
    });
  });

  test("changing another caller's resources gives the same answer as changing absent ones", async () => {
    const caller = callerNamed(callerName);
    const [callback] = await app.rows<{ id: string }>('SELECT id FROM callbacks WHERE task_id = $1', [
      othersTasks(caller)[0]?.taskId,
    ]);
    const changeAll = (task: string, image: string, callbackId: string) =>
      postGraphql(
        app,
        `mutation ($task: ID!, $image: ID!, $callback: ID!) {
          cancelTask(input: { id: $task }) { task { id } userErrors { code message } }
          retryTask(input: { id: $task }) { task { id } userErrors { code message } }
          redeliverWebhook(input: { taskId: $task }) { task { id } userErrors { code message } }
          deleteImage(input: { id: $image }) { image { id } userErrors { code message } }
          replayCallback(input: { id: $callback }) { callback { id } userErrors { code message } }
        }`,
        { task, image, callback: callbackId },
        caller.token,
      );
    const absent = await changeAll(newId(), newId(), newId());
    expect(absent.errors).toBeUndefined();
    for (const { taskId, imageId } of othersTasks(caller))
      expect(await changeAll(taskId, imageId, callback?.id ?? '')).toEqual(absent);
  });

  test.each(STREAM_TRANSPORTS)(
    'a subscription over %s carries its own events only, live and replayed from the log',
    async (transport) => {
      const caller = callerNamed(callerName);
      const subscribe = (target: SubscriptionTarget, after?: string) => {
        const stream = openSubscriptionStream({ url: app.url, key: caller.token, transport, target, after });
        open.push(stream);
        return stream;
      };
      const allTaskIds = [workspaceTask, anna.own, bert.own, guest.own].map(({ taskId }) => taskId);
      const { eventCursor } = await app.task(caller.own.taskId);
      const live = subscribe({});
      await waitFor('the live stream to deliver an event', async () => {
        await insertEvent(sql, caller.own.taskId, 'TASK_SUBMITTED', { of: caller.own.taskId });
        return live.received.length > 0;
      });
      for (const taskId of allTaskIds) await insertEvent(sql, taskId, 'SUBMIT_REJECTED', { of: taskId });
      await insertEvent(sql, caller.own.taskId, 'TASK_EXPIRED', { of: caller.own.taskId });
      const replayed = subscribe({}, eventCursor);
      for (const stream of [live, replayed]) {
        await waitFor('the last event', () => stream.received.at(-1)?.type === 'TASK_EXPIRED');
        expect(new Set(stream.received.map(({ data }) => data.of))).toEqual(new Set([caller.own.taskId]));
      }
      for (const { taskId } of othersTasks(caller)) {
        const refused = await subscribe({ taskId }).ended;
        const unknown = await subscribe({ taskId: newId() }).ended;
        expect(refused).toEqual(unknown);
        expect(JSON.stringify(refused)).toContain('NOT_FOUND');
      }
    },
  );

  test('the audit log is empty until the caller does something privileged', async () => {
    const { nodes } = await queryField<Page<object>>(app, AUDIT_LOG, {}, callerNamed(callerName).token);
    expect(nodes).toEqual([]);
  });

  test('administrative queries are refused with FORBIDDEN', async () => {
    const { token } = callerNamed(callerName);
    for (const query of ['{ apiKeys { nodes { id } } }', '{ webhookSecret { secret } }']) {
      expect((await postGraphql(app, query, {}, token)).errors).toMatchObject([
        { extensions: { code: 'FORBIDDEN' } },
      ]);
    }
  });
});

describe('end users', () => {
  test('a task created with an end-user token belongs to that end user and cannot be created for another', async () => {
    const own = await generate(anna.token);
    expect(own.task?.endUserId).toBe('anna');
    expect((await generate(anna.token, { endUserId: 'anna' })).task?.endUserId).toBe('anna');
    const foreign = await generate(anna.token, { endUserId: 'bert' });
    expect(foreign).toMatchObject({ task: null, userErrors: [{ code: 'INVALID_END_USER' }] });
    await queryField(app, 'mutation ($id: ID!) { cancelTask(input: { id: $id }) { outcome } }', {
      id: own.task?.id,
    });
  });

  test('an end user can read and edit the images that they uploaded and no others', async () => {
    const [annasImage, workspaceImage] = [await uploadImage(anna.token), await uploadImage(app.apiKey)];
    const query = 'query ($id: ID!) { image(id: $id) { id } }';
    const imageAs = (token: string, imageId: string) =>
      postGraphql<{ image: object | null }>(app, query, { id: imageId }, token).then(
        ({ data }) => data?.image,
      );
    expect(await imageAs(anna.token, annasImage)).toEqual({ id: annasImage });
    expect(await imageAs(app.apiKey, annasImage)).toEqual({ id: annasImage });
    expect([await imageAs(bert.token, annasImage), await imageAs(anna.token, workspaceImage)]).toEqual([
      null,
      null,
    ]);
    const edit = `mutation ($id: ID!) {
      editImage(input: { prompt: "x", sourceImageId: $id }) { task { id } userErrors { code } }
    }`;
    const codes = async (id: string) =>
      (await queryField<WithUserErrors>(app, edit, { id }, anna.token)).userErrors.map(({ code }) => code);
    for (const id of [workspaceImage, bert.own.imageId]) expect(await codes(id)).toEqual(['NOT_FOUND']);
    expect(await codes(annasImage)).toEqual([]);
  });

  test('a retry keeps the end user of the task', async () => {
    const retry = 'mutation ($id: ID!) { retryTask(input: { id: $id }) { task { id endUserId } } }';
    const retried = await queryField<GenerateResult>(app, retry, { id: bert.own.taskId });
    expect(retried.task?.endUserId).toBe('bert');
  });

  test('an end-user ID must have 1 to 255 characters and no NUL', async () => {
    for (const endUserId of ['', 'x'.repeat(256), 'a\0b']) {
      const refused = await generate(app.apiKey, { endUserId });
      expect(refused.userErrors.map(({ code }) => code)).toEqual(['INVALID_END_USER']);
    }
  });
});

test('a token for certain tasks cannot create tasks or uploads', async () => {
  for (const [query, variables] of [
    [GENERATE, { input: { prompt: 'x' } }],
    [CREATE_UPLOAD, {}],
    ['mutation ($id: ID!) { retryTask(input: { id: $id }) { task { id } } }', { id: guest.own.taskId }],
  ] as const) {
    const { errors } = await postGraphql(app, query, variables, guest.token);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  }
});

test('end users with the same ID in different workspaces are separate', async () => {
  const key = await addWorkspaceWithKey(app, SCOPES);
  const { token } = await createClientToken(app, { scopes: CLIENT_TOKEN_SCOPES, endUserId: 'anna' }, key);
  const { nodes } = await queryField<Page<object>>(app, '{ tasks { nodes { id } } }', {}, token);
  expect(nodes).toEqual([]);
});
