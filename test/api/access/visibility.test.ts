import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import pg from 'pg';
import { SCOPES, TOKEN_SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { openStream, type Stream, type Target, TRANSPORTS } from '../../support/events/streams.js';
import { writeEvent } from '../../support/events/event-rows.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { answerOf, ask } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';
import { AUDIT_LOG, type PageOf, type UserErrors } from '../../support/access/access-operations.js';
import { createToken } from '../../support/access/client-tokens.js';

interface Made {
  taskId: string;
  imageId: string;
}
/** Somebody who asks, what of the things there are is in their reach, and what is not. */
interface Eyes {
  token: string;
  own: Made;
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
let ofWorkspace: Made;
let anna: Eyes;
let bert: Eyes;
/** Sees one task of nobody's. */
let guest: Eyes;
const open: Stream[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
  const tokenFor = async (facts: object) =>
    (await createToken(app, { scopes: TOKEN_SCOPES, ...facts })).token;
  ofWorkspace = await make(app.key);
  const annaToken = await tokenFor({ endUserId: 'anna' });
  anna = { token: annaToken, own: await make(annaToken) };
  bert = { token: await tokenFor({ endUserId: 'bert' }), own: await make(app.key, { endUserId: 'bert' }) };
  const shown = await make(app.key);
  guest = { token: await tokenFor({ taskIds: [shown.taskId.toUpperCase()] }), own: shown };
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

type Requested = UserErrors & { task: { id: string; endUserId: string | null } | null };
const generate = (token: string, input: object = {}) =>
  answerOf<Requested>(app, GENERATE, { input: { prompt: 'x', callbackUrl: null, ...input } }, token);

async function make(token: string, input: object = {}): Promise<Made> {
  const { task } = await generate(token, input);
  const { images } = await app.settled(task?.id ?? '');
  return { taskId: task?.id ?? '', imageId: images[0]?.id ?? '' };
}

async function upload(token: string): Promise<string> {
  const { upload: link } = await answerOf<{ upload: { imageId: string; url: string } }>(
    app,
    CREATE_UPLOAD,
    {},
    token,
  );
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const sent = await fetch(`${app.url}${pathOf(link.url)}`, { method: 'PUT', body: new Uint8Array(picture) });
  expect(sent.status).toBe(201);
  return link.imageId;
}

const everyone = (): [string, Eyes][] => [
  ['an end user', anna],
  ['another end user', bert],
  ['a token for certain tasks', guest],
];
const notOf = (eyes: Eyes) =>
  [ofWorkspace, anna.own, bert.own, guest.own].filter(({ taskId }) => taskId !== eyes.own.taskId);
const eyesOf = (who: string) => everyone().find(([name]) => name === who)?.[1] ?? anna;
const WHO = ['an end user', 'another end user', 'a token for certain tasks'];

describe.each(WHO)('%s', (who) => {
  test('sees its own tasks, images and events, and no others, in every list', async () => {
    const { token, own } = eyesOf(who);
    const tasks = await answerOf<PageOf<{ id: string }>>(app, '{ tasks { nodes { id } } }', {}, token);
    expect(tasks.nodes.map(({ id }) => id)).toEqual([own.taskId]);
    const events = await answerOf<PageOf<{ task: { id: string } }>>(app, EVENTS, {}, token);
    expect(new Set(events.nodes.map(({ task }) => task.id))).toEqual(new Set([own.taskId]));
    const callbacks = '{ callbacks { nodes { task { id } } } }';
    const kept = await answerOf<PageOf<{ task: { id: string } }>>(app, callbacks, {}, token);
    expect(new Set(kept.nodes.map(({ task }) => task.id))).toEqual(new Set([own.taskId]));
  });

  test('is answered for what is of others as for what there is not', async () => {
    const eyes = eyesOf(who);
    const lookAt = ({ taskId, imageId }: Made) =>
      ask(
        app,
        `query ($task: ID!, $image: ID!, $tasks: [ID!]) {
          task(id: $task) { id } image(id: $image) { id }
          taskEvents(filter: { taskIds: $tasks }) { nodes { id } }
          callbacks(filter: { taskId: $task }) { nodes { id } }
        }`,
        { task: taskId, image: imageId, tasks: [taskId] },
        eyes.token,
      );
    const nothing = await lookAt({ taskId: newId(), imageId: newId() });
    expect(nothing.data).toMatchObject({ task: null, image: null, taskEvents: { nodes: [] } });
    for (const made of notOf(eyes)) expect(await lookAt(made)).toEqual(nothing);
    expect((await lookAt(eyes.own)).data).toMatchObject({
      task: { id: eyes.own.taskId },
      image: { id: eyes.own.imageId },
    });
  });

  test('changes nothing of others, and is told the same as of what there is not', async () => {
    const eyes = eyesOf(who);
    const [callback] = await app.rows<{ id: string }>('SELECT id FROM callbacks WHERE task_id = $1', [
      notOf(eyes)[0]?.taskId,
    ]);
    const tries = (task: string, image: string, kept: string) =>
      ask(
        app,
        `mutation ($task: ID!, $image: ID!, $kept: ID!) {
          cancelTask(input: { id: $task }) { task { id } userErrors { code message } }
          retryTask(input: { id: $task }) { task { id } userErrors { code message } }
          redeliverCallback(input: { id: $task }) { task { id } userErrors { code message } }
          deleteImage(input: { id: $image }) { image { id } userErrors { code message } }
          replayCallback(input: { id: $kept }) { callback { id } userErrors { code message } }
        }`,
        { task, image, kept },
        eyes.token,
      );
    const nothing = await tries(newId(), newId(), newId());
    expect(nothing.errors).toBeUndefined();
    for (const { taskId, imageId } of notOf(eyes))
      expect(await tries(taskId, imageId, callback?.id ?? '')).toEqual(nothing);
  });

  test.each(TRANSPORTS)(
    'is pushed its own events alone, over %s, live and from the log',
    async (transport) => {
      const eyes = eyesOf(who);
      const watch = (target: Target, after?: string) => {
        const stream = openStream({ url: app.url, key: eyes.token, transport, target, after });
        open.push(stream);
        return stream;
      };
      const all = [ofWorkspace, anna.own, bert.own, guest.own].map(({ taskId }) => taskId);
      const begin = await app.task(eyes.own.taskId);
      const live = watch({});
      await waitFor('it to be open', async () => {
        await writeEvent(sql, eyes.own.taskId, 'TASK_SUBMITTED', { of: eyes.own.taskId });
        return live.received.length > 0;
      });
      for (const taskId of all) await writeEvent(sql, taskId, 'SUBMIT_REJECTED', { of: taskId });
      await writeEvent(sql, eyes.own.taskId, 'TASK_EXPIRED', { of: eyes.own.taskId });
      const replayed = watch({}, begin.cursor);
      for (const stream of [live, replayed]) {
        await waitFor('the last event', () => stream.received.at(-1)?.type === 'TASK_EXPIRED');
        expect(new Set(stream.received.map(({ data }) => data.of))).toEqual(new Set([eyes.own.taskId]));
      }
      for (const { taskId } of notOf(eyes)) {
        const refused = await watch({ taskId }).ended;
        const unknown = await watch({ taskId: newId() }).ended;
        expect(refused).toEqual(unknown);
        expect(JSON.stringify(refused)).toContain('NOT_FOUND');
      }
    },
  );

  test('reads of itself alone in the audit log, or nothing', async () => {
    const { nodes } = await answerOf<PageOf<object>>(app, AUDIT_LOG, {}, eyesOf(who).token);
    expect(nodes).toEqual([]);
  });

  test('cannot go beyond itself by administration', async () => {
    const { token } = eyesOf(who);
    for (const query of ['{ apiKeys { nodes { id } } }', '{ webhookSecret { secret } }']) {
      expect((await ask(app, query, {}, token)).errors).toMatchObject([
        { extensions: { code: 'FORBIDDEN' } },
      ]);
    }
  });
});

describe('an end user', () => {
  test('makes what is theirs, without saying whose, and for nobody else', async () => {
    const own = await generate(anna.token);
    expect(own.task?.endUserId).toBe('anna');
    expect((await generate(anna.token, { endUserId: 'anna' })).task?.endUserId).toBe('anna');
    const foreign = await generate(anna.token, { endUserId: 'bert' });
    expect(foreign).toMatchObject({ task: null, userErrors: [{ code: 'INVALID_END_USER' }] });
    await answerOf(app, 'mutation ($id: ID!) { cancelTask(input: { id: $id }) { outcome } }', {
      id: own.task?.id,
    });
  });

  test('sees and edits the pictures that they have uploaded, and those alone', async () => {
    const [annas, workspaces] = [await upload(anna.token), await upload(app.key)];
    const look = '{ image(id: "ID") { id } }';
    const see = (imageId: string, token: string) =>
      ask<{ image: object | null }>(app, look.replace('ID', imageId), {}, token).then(
        ({ data }) => data?.image,
      );
    expect(await see(annas, anna.token)).toEqual({ id: annas });
    expect(await see(annas, app.key)).toEqual({ id: annas });
    expect([await see(annas, bert.token), await see(workspaces, anna.token)]).toEqual([null, null]);
    const edit = `mutation ($id: ID!) {
      editImage(input: { prompt: "x", sourceImageId: $id }) { task { id } userErrors { code } }
    }`;
    const codes = async (id: string) =>
      (await answerOf<UserErrors>(app, edit, { id }, anna.token)).userErrors.map(({ code }) => code);
    for (const id of [workspaces, bert.own.imageId]) expect(await codes(id)).toEqual(['NOT_FOUND']);
    expect(await codes(annas)).toEqual([]);
  });

  test('asked for by a key is kept through a retry, and named with 1 to 255 characters', async () => {
    const retry = 'mutation ($id: ID!) { retryTask(input: { id: $id }) { task { id endUserId } } }';
    const again = await answerOf<Requested>(app, retry, { id: bert.own.taskId });
    expect(again.task?.endUserId).toBe('bert');
    for (const endUserId of ['', 'x'.repeat(256), 'a\0b']) {
      const refused = await generate(app.key, { endUserId });
      expect(refused.userErrors.map(({ code }) => code)).toEqual(['INVALID_END_USER']);
    }
  });
});

test('a token for certain tasks makes nothing new', async () => {
  for (const [query, variables] of [
    [GENERATE, { input: { prompt: 'x' } }],
    [CREATE_UPLOAD, {}],
    ['mutation ($id: ID!) { retryTask(input: { id: $id }) { task { id } } }', { id: guest.own.taskId }],
  ] as const) {
    const { errors } = await ask(app, query, variables, guest.token);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  }
});

test('an end user of the same name in another workspace is somebody else', async () => {
  const key = await addWorkspace(app, SCOPES);
  const { token } = await createToken(app, { scopes: TOKEN_SCOPES, endUserId: 'anna' }, key);
  const { nodes } = await answerOf<PageOf<object>>(app, '{ tasks { nodes { id } } }', {}, token);
  expect(nodes).toEqual([]);
});
