import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { v7 } from 'uuid';
import { generateApiKey } from '../../../src/core/access/api-key.js';
import {
  GenerateImagesDocument,
  ImageByIdDocument,
  TaskByIdDocument,
  TasksDocument,
  TaskUpdatedDocument,
  ViewerDocument,
} from '../../../clients/operations.js';
import { subscriptionErrorCodes, TestApp, SubscriptionFailed } from '../../support/app/test-app.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

interface ErrorBody {
  errors: { message: string; extensions: Record<string, unknown> }[];
}
/** Posts any body with a valid API key. */
function send(body: string | object, headers: Record<string, string> = {}) {
  return app.postBody('/graphql', body, { authorization: `Bearer ${app.apiKey}`, ...headers });
}
/** Returns the only error of a response. Fails if the response reveals a stack trace or another internal detail. */
function errorIn(json: unknown): { code: unknown; message: string } {
  const { errors } = json as ErrorBody;
  expect(errors).toHaveLength(1);
  expect(JSON.stringify(json)).not.toMatch(/stacktrace|node_modules|\.ts:| {4}at |prisma|postgres/i);
  const [error] = errors;
  return { code: error?.extensions['code'], message: error?.message ?? '' };
}

describe('GraphQL requests', () => {
  test.each([
    ['a document that cannot be parsed', { query: '{ viewer {' }, 400, 'GRAPHQL_PARSE_FAILED'],
    ['a field that does not exist', { query: '{ viewer { secret } }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['no document', {}, 400, 'BAD_REQUEST'],
    ['an empty document', { query: '' }, 400, 'BAD_REQUEST'],
    ['a document that is not a string', { query: 7 }, 400, 'BAD_REQUEST'],
    ['a batch', [{ query: '{ viewer { keyName } }' }], 400, 'BAD_REQUEST'],
    ['a missing variable', { query: print(TaskByIdDocument) }, 400, 'BAD_USER_INPUT'],
    [
      'an operation name that the document does not contain',
      { query: 'query A { viewer { keyName } }', operationName: 'B' },
      400,
      'OPERATION_RESOLUTION_FAILURE',
    ],
    [
      'an argument of the wrong type',
      { query: '{ tasks(first: "ten") { nodes { id } } }' },
      400,
      'GRAPHQL_VALIDATION_FAILED',
    ],
  ])('a request with %s is refused with an error code', async (_what, body, status, code) => {
    const response = await send(body);
    expect({ status: response.status, code: errorIn(response.json).code }).toEqual({ status, code });
  });

  test('a body that is not a complete JSON object is a BAD_REQUEST', async () => {
    for (const body of ['nonsense', '{"query": "{ viewer', '"text"']) {
      const { status, json } = await send(body);
      expect({ body, status, code: errorIn(json).code }).toEqual({ body, status: 400, code: 'BAD_REQUEST' });
    }
  });

  // Enforces MAX_JSON_BYTES in src/http/server/request-bodies.ts.
  test('a body over 1 MB is refused with 413', async () => {
    const { status, json } = await send({ query: `# ${'x'.repeat(1024 * 1024)}\n{ viewer { keyName } }` });
    expect({ status, code: errorIn(json).code }).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
  });

  /** With this content type the request is not a CORS simple request, so it passes the CSRF check. */
  const getHeaders = () => ({ authorization: `Bearer ${app.apiKey}`, 'content-type': 'application/json' });

  test('a GET request without a document is a BAD_REQUEST', async () => {
    const empty = await app.get('/graphql', getHeaders());
    expect({ status: empty.status, code: errorIn(empty.json).code }).toEqual({
      status: 400,
      code: 'BAD_REQUEST',
    });
  });

  test('a mutation sent by GET is refused and changes nothing', async () => {
    const mutation = encodeURIComponent(
      'mutation { generateImages(input: { prompt: "by GET" }) { replayed } }',
    );
    const refused = await app.get(`/graphql?query=${mutation}`, getHeaders());
    expect(refused.status).toBe(405);
    const rows = await app.rows("SELECT id FROM tasks WHERE prompt = 'by GET'");
    expect(rows).toEqual([]);
  });

  test('a subscription sent to /graphql is a BAD_REQUEST that names /graphql/stream', async () => {
    const query = 'subscription { taskEvents { cursor } }';
    const { status, json } = await app.postBody(
      '/graphql',
      { query },
      { authorization: `Bearer ${app.apiKey}` },
    );
    expect({ status, error: errorIn(json) }).toMatchObject({
      ...{ status: 400, error: { code: 'BAD_REQUEST' } },
      error: { message: expect.stringContaining('/graphql/stream') as unknown },
    });
  });
});

describe('requests without a valid API key', () => {
  test.each([
    ['no key', undefined],
    ['an empty key', 'Bearer '],
    ['another scheme', 'Basic dXNlcjpwYXNz'],
    ['a malformed key', 'Bearer dk_short'],
    ['a mistyped key', `Bearer ${generateApiKey().slice(0, -1)}-`],
    ['a well-formed key that does not exist', `Bearer ${generateApiKey()}`],
  ])('%s is refused with 401 over HTTP and with 4403 on a WebSocket', async (_what, authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const response = await app.postBody('/graphql', { query: print(ViewerDocument) }, headers);
    expect(response.status).toBe(401);
    expect(response.headers['www-authenticate']).toBe('Bearer');
    expect(errorIn(response.json)).toEqual({
      code: 'UNAUTHENTICATED',
      message: 'The API key or token is missing or not valid. Send it as "Authorization: Bearer dk_…".',
    });

    const client = app.createWebSocketClient(authorization?.replace('Bearer ', '') ?? '');
    const subscription = app.openSubscription(TaskUpdatedDocument, { id: v7() }, client);
    const error: unknown = await subscription.ended.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SubscriptionFailed);
    expect((error as SubscriptionFailed).reason).toMatchObject({ code: 4403, reason: 'Forbidden' });
    await client.dispose();
  });

  test('a revoked or expired key is refused', async () => {
    for (const column of ['revoked_at', 'expires_at']) {
      const key = await addWorkspaceWithKey(app);
      await app.rows(`UPDATE api_keys SET ${column} = now() - interval '1 second' WHERE prefix = $1`, [
        key.slice(0, 9),
      ]);
      const { errors } = await app.execute(ViewerDocument, {}, key);
      expect(errors?.map((error) => error.extensions?.['code'])).toEqual(['UNAUTHENTICATED']);
    }
  });
});

describe('API keys without the required scope', () => {
  test('the error names the missing scope over HTTP, and the subscription is refused on a WebSocket', async () => {
    const { viewer } = await app.query(ViewerDocument, {});
    const reader = await addKey(app, viewer.workspaceId, ['tasks:read']);
    const writer = await addKey(app, viewer.workspaceId, ['tasks:write']);
    const refusedWrite = await app.execute(
      GenerateImagesDocument,
      { input: { prompt: 'read only' } },
      reader,
    );
    expect(refusedWrite.errors?.[0]).toMatchObject({
      message:
        'This operation needs the scope "tasks:write", which your API key or token does not have. Use one that has it.',
      extensions: { code: 'FORBIDDEN' },
    });
    const { task } = (await app.query(GenerateImagesDocument, { input: { prompt: 'write only' } }, writer))
      .generateImages;
    expect(task?.status).toBe('QUEUED');
    const refusedRead = await app.execute(TasksDocument, {}, writer);
    expect(refusedRead.errors?.[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
    const client = app.createWebSocketClient(writer);
    const subscription = app.openSubscription(TaskUpdatedDocument, { id: task?.id ?? '' }, client);
    await expect(subscriptionErrorCodes(subscription)).resolves.toEqual(['FORBIDDEN']);
    await client.dispose();
  });
});

describe('workspace isolation', () => {
  test('tasks and images of another workspace look absent to queries, lists and subscriptions', async () => {
    const { id } = await app.generate({ prompt: 'ours' });
    const [image] = (await app.waitUntilSettled(id)).images;
    const foreignKey = await addWorkspaceWithKey(app);
    await expect(app.query(TaskByIdDocument, { id }, foreignKey)).resolves.toEqual({ task: null });
    await expect(app.query(ImageByIdDocument, { id: image?.id ?? '' }, foreignKey)).resolves.toEqual({
      image: null,
    });
    const { tasks } = await app.query(TasksDocument, {}, foreignKey);
    expect(tasks).toMatchObject({ nodes: [], pageInfo: { hasNextPage: false, endCursor: null } });
    const client = app.createWebSocketClient(foreignKey);
    await expect(
      subscriptionErrorCodes(app.openSubscription(TaskUpdatedDocument, { id }, client)),
    ).resolves.toEqual(['NOT_FOUND']);
    await client.dispose();
  });
});

describe('IDs', () => {
  test.each(['', 'nothing', '0', `${v7()}0`])('the malformed ID "%s" gives null', async (id) => {
    await expect(app.query(TaskByIdDocument, { id })).resolves.toEqual({ task: null });
    await expect(app.query(ImageByIdDocument, { id })).resolves.toEqual({ image: null });
  });
});

describe('page arguments', () => {
  test.each([0, -1, 101])(
    'a page of %d tasks is a BAD_REQUEST that states the allowed range',
    async (first) => {
      const { errors } = await app.execute(TasksDocument, { first });
      expect(errors?.[0]).toMatchObject({
        message: `\`first\` is ${first}. Use 1 to 100.`,
        extensions: { code: 'BAD_REQUEST' },
      });
    },
  );

  test.each(['nonsense', ''])('the malformed cursor "%s" is a BAD_REQUEST', async (after) => {
    const { errors } = await app.execute(TasksDocument, { after });
    expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
  });

  test('a search with 500 characters is accepted, also as one word, and with one more it is a BAD_REQUEST', async () => {
    for (const letter of ['x', 'ß', '狐', 'Ⱥ'])
      await expect(
        app.query(TasksDocument, { filter: { search: letter.repeat(500) } }),
      ).resolves.toBeTruthy();
    const { errors } = await app.execute(TasksDocument, { filter: { search: 'x'.repeat(501) } });
    expect(errors?.[0]).toMatchObject({
      message: '`search` has 501 characters. Shorten it to at most 500.',
      extensions: { code: 'BAD_REQUEST' },
    });
  });

  test.each([{ search: 'a\0b' }, { models: ['a\0b'] }])(
    'a filter with a NUL character is a BAD_REQUEST: %j',
    async (filter) => {
      const { errors } = await app.execute(TasksDocument, { filter });
      expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
    },
  );
});
