import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { v7 } from 'uuid';
import { newApiKey } from '../../../src/core/access/api-key.js';
import {
  GenerateImagesDocument,
  ImageByIdDocument,
  TaskByIdDocument,
  TasksDocument,
  TaskUpdatedDocument,
  ViewerDocument,
} from '../../../clients/operations.js';
import { codesOf, TestApp, WatchFailed } from '../../support/app/test-app.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

interface ErrorBody {
  errors: { message: string; extensions: Record<string, unknown> }[];
}
/** Posts something odd as a caller with a good key. */
function send(body: string | object, headers: Record<string, string> = {}) {
  return app.send('/graphql', body, { authorization: `Bearer ${app.key}`, ...headers });
}
/** The one error in an answer, which must have a code and must not have a stack trace or anything of the inside. */
function errorIn(json: unknown): { code: unknown; message: string } {
  const { errors } = json as ErrorBody;
  expect(errors).toHaveLength(1);
  expect(JSON.stringify(json)).not.toMatch(/stacktrace|node_modules|\.ts:| {4}at |prisma|postgres/i);
  const [error] = errors;
  return { code: error?.extensions['code'], message: error?.message ?? '' };
}

describe('a GraphQL request', () => {
  test.each([
    ['a document that cannot be parsed', { query: '{ viewer {' }, 400, 'GRAPHQL_PARSE_FAILED'],
    ['a field that does not exist', { query: '{ viewer { secret } }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['no document', {}, 400, 'BAD_REQUEST'],
    ['an empty document', { query: '' }, 400, 'BAD_REQUEST'],
    ['a document that is no text', { query: 7 }, 400, 'BAD_REQUEST'],
    ['a list', [{ query: '{ viewer { keyName } }' }], 400, 'BAD_REQUEST'],
    ['a missing variable', { query: print(TaskByIdDocument) }, 400, 'BAD_USER_INPUT'],
    [
      'an operation that is not there',
      { query: 'query A { viewer { keyName } }', operationName: 'B' },
      400,
      'OPERATION_RESOLUTION_FAILURE',
    ],
    [
      'an argument of another type',
      { query: '{ tasks(first: "ten") { nodes { id } } }' },
      400,
      'GRAPHQL_VALIDATION_FAILED',
    ],
  ])('with %s is answered with a code', async (_what, body, status, code) => {
    const answer = await send(body);
    expect({ status: answer.status, code: errorIn(answer.json).code }).toEqual({ status, code });
  });

  test('that is not JSON, or cut short, is a BAD_REQUEST', async () => {
    for (const body of ['nonsense', '{"query": "{ viewer', '"text"']) {
      const { status, json } = await send(body);
      expect({ body, status, code: errorIn(json).code }).toEqual({ body, status: 400, code: 'BAD_REQUEST' });
    }
  });

  test('over 1 MB is refused with 413', async () => {
    const { status, json } = await send({ query: `# ${'x'.repeat(1024 * 1024)}\n{ viewer { keyName } }` });
    expect({ status, code: errorIn(json).code }).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
  });

  test('by GET without a document is a BAD_REQUEST, and by GET with a mutation changes nothing', async () => {
    const authorization = `Bearer ${app.key}`;
    const preflighted = { authorization, 'content-type': 'application/json' };
    const empty = await app.get('/graphql', preflighted);
    expect({ status: empty.status, code: errorIn(empty.json).code }).toEqual({
      status: 400,
      code: 'BAD_REQUEST',
    });
    const mutation = encodeURIComponent(
      'mutation { generateImages(input: { prompt: "by GET" }) { replayed } }',
    );
    const refused = await app.get(`/graphql?query=${mutation}`, preflighted);
    expect(refused.status).toBe(405);
    const rows = await app.rows("SELECT id FROM tasks WHERE prompt = 'by GET'");
    expect(rows).toEqual([]);
  });

  test('that subscribes is a BAD_REQUEST that says where to', async () => {
    const query = 'subscription { taskEvents { cursor } }';
    const { status, json } = await app.send('/graphql', { query }, { authorization: `Bearer ${app.key}` });
    expect({ status, error: errorIn(json) }).toMatchObject({
      ...{ status: 400, error: { code: 'BAD_REQUEST' } },
      error: { message: expect.stringContaining('/graphql/stream') as unknown },
    });
  });
});

describe('without a key that is good', () => {
  test.each([
    ['none', undefined],
    ['an empty one', 'Bearer '],
    ['one of another scheme', 'Basic dXNlcjpwYXNz'],
    ['a malformed one', 'Bearer dk_short'],
    ['one with a typing error', `Bearer ${newApiKey().slice(0, -1)}-`],
    ['one that nobody was given', `Bearer ${newApiKey()}`],
  ])('%s: 401 over HTTP, and 4403 on a WebSocket', async (_what, authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await app.send('/graphql', { query: print(ViewerDocument) }, headers);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(errorIn(answer.json)).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'Send your API key as "Authorization: Bearer dk_…".',
    });

    const client = app.connectSockets(authorization?.replace('Bearer ', '') ?? '');
    const watch = app.watch(TaskUpdatedDocument, { id: v7() }, client);
    const error: unknown = await watch.ended.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WatchFailed);
    expect((error as WatchFailed).reason).toMatchObject({ code: 4403, reason: 'Forbidden' });
    await client.dispose();
  });

  test('a revoked and an expired key are as good as none', async () => {
    for (const column of ['revoked_at', 'expires_at']) {
      const key = await addWorkspace(app);
      await app.rows(`UPDATE api_keys SET ${column} = now() - interval '1 second' WHERE prefix = $1`, [
        key.slice(0, 9),
      ]);
      const { errors } = await app.post(ViewerDocument, {}, key);
      expect(errors?.map((error) => error.extensions?.['code'])).toEqual(['UNAUTHENTICATED']);
    }
  });
});

describe('a key without the scope', () => {
  test('is told which one it lacks, over HTTP and on a WebSocket', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const reader = await addKey(app, viewer.workspaceId, ['tasks:read']);
    const writer = await addKey(app, viewer.workspaceId, ['tasks:write']);
    const refusedWrite = await app.post(GenerateImagesDocument, { input: { prompt: 'read only' } }, reader);
    expect(refusedWrite.errors?.[0]).toMatchObject({
      message: 'This needs the scope "tasks:write", which your key does not have.',
      extensions: { code: 'FORBIDDEN' },
    });
    const { task } = (await app.query(GenerateImagesDocument, { input: { prompt: 'write only' } }, writer))
      .generateImages;
    expect(task?.status).toBe('QUEUED');
    const refusedRead = await app.post(TasksDocument, {}, writer);
    expect(refusedRead.errors?.[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
    const client = app.connectSockets(writer);
    const watch = app.watch(TaskUpdatedDocument, { id: task?.id ?? '' }, client);
    await expect(codesOf(watch)).resolves.toEqual(['FORBIDDEN']);
    await client.dispose();
  });
});

describe("another workspace's", () => {
  test('tasks and images are as absent as those that never existed, to read, to list and to watch', async () => {
    const { id } = await app.generate({ prompt: 'ours' });
    const [image] = (await app.settled(id)).images;
    const stranger = await addWorkspace(app);
    await expect(app.query(TaskByIdDocument, { id }, stranger)).resolves.toEqual({ task: null });
    await expect(app.query(ImageByIdDocument, { id: image?.id ?? '' }, stranger)).resolves.toEqual({
      image: null,
    });
    const { tasks } = await app.query(TasksDocument, {}, stranger);
    expect(tasks).toMatchObject({ nodes: [], pageInfo: { hasNextPage: false, endCursor: null } });
    const client = app.connectSockets(stranger);
    await expect(codesOf(app.watch(TaskUpdatedDocument, { id }, client))).resolves.toEqual(['NOT_FOUND']);
    await client.dispose();
  });
});

describe('an id', () => {
  test.each(['', 'nothing', '0', `${v7()}0`])('of no form is answered with null: "%s"', async (id) => {
    await expect(app.query(TaskByIdDocument, { id })).resolves.toEqual({ task: null });
    await expect(app.query(ImageByIdDocument, { id })).resolves.toEqual({ image: null });
  });
});

describe('a page', () => {
  test.each([0, -1, 101])('of %d tasks is a BAD_REQUEST that says what works', async (first) => {
    const { errors } = await app.post(TasksDocument, { first });
    expect(errors?.[0]).toMatchObject({
      message: `\`first\` is ${first}; ask for 1 to 100.`,
      extensions: { code: 'BAD_REQUEST' },
    });
  });

  test.each(['nonsense', ''])('after "%s", which is no cursor, is a BAD_REQUEST', async (after) => {
    const { errors } = await app.post(TasksDocument, { after });
    expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
  });

  test.each([{ search: 'a\0b' }, { models: ['a\0b'] }])(
    'of tasks with a NUL character, which none can have, is a BAD_REQUEST: %j',
    async (filter) => {
      const { errors } = await app.post(TasksDocument, { filter });
      expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
    },
  );
});
