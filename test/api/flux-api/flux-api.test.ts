import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { EditImageDocument, GenerateImagesDocument, ImageByIdDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { FLUX_ERRORS, FLUX_REQUEST_ERRORS } from '../../../src/core/flux-api/flux-errors.js';
import {
  fluxClientFor,
  statusAndCode,
  type FluxResponse,
  FluxClient,
  imagesOf,
} from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const GENERATE = { action: 'generate', prompt: 'a white siamese cat', size: '256x256' };
/** Runs for longer than any test. */
const SLOW = { ...GENERATE, prompt: 'slow [sandbox: delay=600s]' };

const messageOf = ({ body }: FluxResponse) => (body.error as { message: string }).message;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({
    tuning: { fluxHoldTimeoutMs: 1_500 },
    environment: { CONNECTIONS_PER_KEY: '1' },
  });
});
afterAll(() => app.stop());

async function firstWorkspaceOf(instance: TestApp): Promise<string> {
  const [row] = await instance.rows<{ id: string }>('SELECT id FROM workspaces ORDER BY created_at LIMIT 1');
  return row?.id ?? '';
}
async function countTasks(instance: TestApp): Promise<number> {
  const [row] = await instance.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}

describe('errors of the Flux API', () => {
  /** A request that causes each error of the table. */
  const REQUESTS: Record<string, () => Promise<FluxResponse>> = {
    UNAUTHENTICATED: () => fluxClientFor(app, 'dk_wrong').images(GENERATE),
    FORBIDDEN: async () =>
      fluxClientFor(app, await addKey(app, await firstWorkspaceOf(app), ['tasks:read'])).images(GENERATE),
    UNKNOWN_ACTION: () => fluxClientFor(app).images({ ...GENERATE, action: 'paint' }),
    BAD_REQUEST: () => fluxClientFor(app).images({ ...GENERATE, prompt: 7 }),
    INPUT_REJECTED: () => fluxClientFor(app).images({ ...GENERATE, count: 9 }),
    PAYLOAD_TOO_LARGE: () => fluxClientFor(app).images({ ...GENERATE, padding: 'x'.repeat(1024 * 1024) }),
    NOT_FOUND: () => fluxClientFor(app).post('/flux/videos', '{}'),
    TOO_MANY_CONNECTIONS: async () => {
      const both = await Promise.all([fluxClientFor(app).images(SLOW), fluxClientFor(app).images(SLOW)]);
      return both.find(({ body }) => body.task_id === undefined) ?? both[0];
    },
    RATE_LIMITED: async () => {
      const key = await addKey(app, await firstWorkspaceOf(app), SCOPES, { requestsPerMinute: 1 });
      await fluxClientFor(app, key).tasks({ action: 'retrieve_batch', ids: [] });
      return fluxClientFor(app, key).images(GENERATE);
    },
    RESULT_NOT_READY: () => fluxClientFor(app).images(SLOW),
    WRITE_UNCONFIRMED: () => whileDatabaseIsDown((client) => client.images(GENERATE)),
    DATABASE_UNAVAILABLE: () =>
      whileDatabaseIsDown((client) => client.tasks({ action: 'retrieve_batch', ids: [crypto.randomUUID()] })),
  };

  test('every error code has a request that causes it', () => {
    expect(Object.keys(REQUESTS)).toEqual(Object.keys(FLUX_REQUEST_ERRORS));
  });

  test.each(Object.keys(REQUESTS))(
    '%s is reported in the Flux envelope with its code, its status and the trace ID',
    async (code) => {
      const response = await REQUESTS[code]?.();
      const { code: fluxCode, status } = FLUX_REQUEST_ERRORS[code] ?? {};
      const hasTask = code === 'RESULT_NOT_READY';
      expect(response?.body).toEqual({
        success: false,
        ...(hasTask && { task_id: expect.any(String) as unknown }),
        error: { code: fluxCode, message: expect.any(String) as unknown },
        trace_id: response?.headers.get('x-request-id'),
      });
      expect(response?.status).toBe(status);
      expect(response?.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null);
      expect(response?.headers.get('cache-control')).toBe('no-store');
    },
  );

  test('every error has the status that the Flux API gives its code, except for a body that is too large and an outage', () => {
    const exceptions = Object.entries(FLUX_REQUEST_ERRORS).filter(
      ([, { code, status }]) => FLUX_ERRORS[code].status !== status,
    );
    expect(exceptions.map(([code]) => code)).toEqual(['PAYLOAD_TOO_LARGE', 'DATABASE_UNAVAILABLE']);
  });

  test('an unexpected error is masked, and the log contains it with the trace ID', async () => {
    const broken = await TestApp.start();
    await broken.generate({ prompt: 'before it broke' });
    await broken.rows('ALTER TABLE images RENAME TO renamed_images');
    const response = await fluxClientFor(broken).tasks({ action: 'retrieve_batch', ids: [] });
    expect(statusAndCode(response)).toEqual([500, 'api_error']);
    expect(messageOf(response)).not.toMatch(/images|relation|prisma/i);
    const lines = broken.logLines.filter((line) => line.includes(String(response.body.trace_id)));
    expect(lines.some((line) => line.includes('a request failed'))).toBe(true);
    await broken.stop();
  });

  test.each([
    ['a request that waits', {}],
    ['a request that does not wait', { async: true }],
  ])(
    'an unexpected error while %s is written invites no repetition, because the task may exist',
    async (_what, fields) => {
      await app.rows(`ALTER TABLE tasks ADD CONSTRAINT reject CHECK (prompt <> 'rejected') NOT VALID`);
      try {
        const response = await fluxClientFor(app).images({ ...GENERATE, ...fields, prompt: 'rejected' });
        expect(statusAndCode(response)).toEqual([504, 'timeout']);
        expect(messageOf(response)).toContain('Idempotency-Key');
      } finally {
        await app.rows('ALTER TABLE tasks DROP CONSTRAINT reject');
      }
    },
  );

  test.each([
    ['/flux/images', 'tasks:write', ['tasks:read'] as const],
    ['/flux/tasks', 'tasks:read', ['tasks:write'] as const],
  ])('the refusal of %s names the missing scope %s', async (path, scope, scopes) => {
    const key = await addKey(app, await firstWorkspaceOf(app), scopes);
    const response = await fluxClientFor(app, key).post(path, '{}');
    expect(statusAndCode(response)).toEqual([403, 'forbidden']);
    expect(messageOf(response)).toContain(scope);
  });

  test.each([undefined, '', 'Bearer', 'Bearer dk_wrong', 'Basic dk_wrong'])(
    'the authorization header "%s" is refused like an unknown key',
    async (authorization) => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const server = { url: app.url, token: '' };
      const response = await new FluxClient(server, headers).images(GENERATE);
      expect(statusAndCode(response)).toEqual([401, 'invalid_token']);
    },
  );

  test('a request over the connection limit creates no task', async () => {
    const before = await countTasks(app);
    const [one, other] = await Promise.all([
      fluxClientFor(app).images(SLOW),
      fluxClientFor(app).images(SLOW),
    ]);
    expect([one, other].map(statusAndCode).sort()).toEqual([
      [429, 'too_many_requests'],
      [504, 'timeout'],
    ]);
    expect(await countTasks(app)).toBe(before + 1);
  });

  test('a request with an unconfirmed write creates one task when it is sent again with its idempotency key', async () => {
    const responses = await whileDatabaseIsDown(
      (client) => client.post('/flux/images', JSON.stringify(GENERATE), { 'idempotency-key': 'one' }),
      async (client, first) => {
        const second = await client.post('/flux/images', JSON.stringify(GENERATE), {
          'idempotency-key': 'one',
        });
        return [first, second];
      },
    );
    expect(responses.map(statusAndCode)).toEqual([
      [504, 'timeout'],
      [200, undefined],
    ]);
  });
});

describe('invalid values', () => {
  const edit = { action: 'edit', prompt: 'at night' };
  const FAULTS: [what: string, body: object, input: object][] = [
    ['an unknown model', { ...GENERATE, model: 'flux-9' }, { model: 'flux-9' }],
    ['a size that is not a size', { ...GENERATE, size: 'large' }, { size: 'large' }],
    ['an invalid count', { ...GENERATE, count: 9 }, { count: 9 }],
    ['an empty prompt', { ...GENERATE, prompt: '' }, { prompt: '' }],
    ['a prompt with a NUL', { ...GENERATE, prompt: 'a\0b' }, { prompt: 'a\0b' }],
    ['several invalid values', { ...GENERATE, prompt: '', count: 0 }, { prompt: '', count: 0 }],
    [
      'a callback_url in a private network',
      { ...GENERATE, callback_url: 'http://10.0.0.1/' },
      { webhookUrl: 'http://10.0.0.1/' },
    ],
    [
      'a callback_url of a cloud metadata service',
      { ...GENERATE, callback_url: 'http://169.254.169.254/' },
      { webhookUrl: 'http://169.254.169.254/' },
    ],
  ];
  test.each(FAULTS)('%s is refused with the messages of GraphQL', async (_what, body, input) => {
    const response = await fluxClientFor(app).images(body);
    const { prompt, size } = GENERATE;
    const { generateImages } = await app.query(GenerateImagesDocument, { input: { prompt, size, ...input } });
    expect(statusAndCode(response)).toEqual([400, 'bad_request']);
    expect(messageOf(response)).toBe(generateImages.userErrors.map(({ message }) => message).join(' '));
  });

  test.each(['no link', 'http://10.0.0.1/cat.png'])(
    'the source image "%s" is refused with the message of GraphQL',
    async (url) => {
      const response = await fluxClientFor(app).images({ ...edit, image_url: url });
      const input = { prompt: edit.prompt, sourceImageUrl: url };
      const { editImage } = await app.query(EditImageDocument, { input });
      expect(statusAndCode(response)).toEqual([400, 'bad_request']);
      expect(messageOf(response)).toBe(editImage.userErrors[0]?.message);
    },
  );

  test('an idempotency key with two different requests is refused', async () => {
    const send = (body: object) =>
      fluxClientFor(app).post('/flux/images', JSON.stringify({ ...body, async: true }), {
        'idempotency-key': 'both',
      });
    await send(GENERATE);
    const response = await send({ ...GENERATE, prompt: 'another' });
    expect(statusAndCode(response)).toEqual([400, 'bad_request']);
    expect(messageOf(response)).toContain('idempotency key');
  });
});

describe('malformed bodies', () => {
  const nestedArrays = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  const MALFORMED: [what: string, body: string, code: string][] = [
    ['a prompt in the prototype', '{"__proto__":{"action":"generate","prompt":"x"}}', 'bad_request'],
    ['an action of nested arrays', `{"action":${nestedArrays(150)}}`, 'api_not_implemented'],
    ['a prompt of nested arrays', `{"action":"generate","prompt":${nestedArrays(150)}}`, 'bad_request'],
    [
      'a body with too many levels',
      `{"action":"generate","prompt":"x","a":${nestedArrays(200)}}`,
      'bad_request',
    ],
    [
      'a body with too many values',
      `{"action":"generate","prompt":"x","a":[${'0,'.repeat(50_000)}0]}`,
      'bad_request',
    ],
    ['an infinite count', '{"action":"generate","prompt":"x","count":1e999}', 'bad_request'],
    ['a list as the count', '{"action":"generate","prompt":"x","count":[3]}', 'bad_request'],
    ['an object as the model', '{"action":"generate","prompt":"x","model":{"toString":1}}', 'bad_request'],
    ['a list as the size', '{"action":"generate","prompt":"x","size":["256x256"]}', 'bad_request'],
    [
      'an object as the image URL',
      '{"action":"edits","prompt":"x","image_url":{"href":"http://x/"}}',
      'bad_request',
    ],
  ];
  test.each(MALFORMED)('%s is refused with 400', async (_what, body, code) => {
    expect(statusAndCode(await fluxClientFor(app).post('/flux/images', body))).toEqual([400, code]);
  });

  test('a body with an unknown charset, encoding or content type is refused with 400', async () => {
    const send = (headers: Record<string, string>) => fluxClientFor(app).post('/flux/images', '{}', headers);
    expect(statusAndCode(await send({ 'content-type': 'application/json; charset=klingon' }))).toEqual([
      400,
      'bad_request',
    ]);
    expect(statusAndCode(await send({ 'content-encoding': 'gzip' }))).toEqual([400, 'bad_request']);
    expect(statusAndCode(await send({ 'content-type': 'application/x-www-form-urlencoded' }))).toEqual([
      400,
      'bad_request',
    ]);
  });
});

describe('fields that are not part of the Flux API', () => {
  async function metadataOf(fields: string): Promise<unknown> {
    const body = `{"action":"generate","prompt":"with more","size":"256x256","async":true${fields}}`;
    const response = await fluxClientFor(app).post('/flux/images', body);
    expect(response.status).toBe(200);
    const [row] = await app.rows<{ metadata: unknown }>('SELECT metadata FROM tasks WHERE id = $1', [
      response.body.task_id,
    ]);
    return row?.metadata;
  }

  test('unknown fields are stored as metadata', async () => {
    const metadata = await metadataOf(',"order":17,"tags":["a",null],"image_url":"http://x/"');
    expect(metadata).toEqual({ order: 17, tags: ['a', null] });
  });

  test('a request without unknown fields has no metadata', async () => {
    expect(await metadataOf('')).toBeNull();
  });

  test('unknown fields keep unusual names, characters and nesting', async () => {
    const fields = '"__proto__":{"a":1},"constructor":"x","n\\u0000l":"\\u0000"';
    expect(JSON.stringify(await metadataOf(`,${fields}`))).toBe(`{${fields}}`);
    const nested = `"deep":${'['.repeat(199)}${']'.repeat(199)}`;
    expect(JSON.stringify(await metadataOf(`,${nested}`))).toBe(`{${nested}}`);
  });

  test('unknown fields over the metadata limits are dropped', async () => {
    expect(await metadataOf(`,"much":"${'x'.repeat(4_096)}"`)).toBeNull();
    expect(await metadataOf(`,"many":[${'0,'.repeat(4_000)}0]`)).toBeNull();
  });
});

describe('/flux/tasks', () => {
  test('tasks created over GraphQL are returned in the same form', async () => {
    const { id } = await app.generate({ prompt: 'over GraphQL', size: '256x256', count: 2 });
    await app.waitUntilSettled(id);
    const { body } = await fluxClientFor(app).tasks({ action: 'retrieve', id });
    expect(body).toMatchObject({
      id,
      type: 'images',
      request: { action: 'generate', prompt: 'over GraphQL', model: 'flux-dev', size: '256x256', count: 2 },
      response: { success: true, task_id: id, data: [{ prompt: 'over GraphQL' }, {}] },
    });
  });

  test('tasks of another workspace look like unknown tasks', async () => {
    const foreign = fluxClientFor(app, await addWorkspaceWithKey(app));
    const { body } = await fluxClientFor(app).images({ ...GENERATE, async: true });
    const known = body.task_id;
    const read = (id: unknown) => foreign.tasks({ action: 'retrieve', id });
    const [foreignTask, unknownTask] = await Promise.all([read(known), read(crypto.randomUUID())]);
    expect(foreignTask.body).toEqual(unknownTask.body);
    const batch = await foreign.tasks({ action: 'retrieve_batch', ids: [known] });
    expect(batch.body).toEqual({ items: [], count: 0 });
    const { body: own } = await foreign.images({ ...GENERATE, async: true });
    const both = await foreign.tasks({ action: 'retrieve_batch', ids: [known, own.task_id] });
    expect(both.body).toMatchObject({ items: [{ id: own.task_id }], count: 1 });
  });

  test('task IDs are case-insensitive, and repeated IDs return the task once', async () => {
    const { body } = await fluxClientFor(app).images({ ...GENERATE, async: true });
    const id = String(body.task_id);
    const batch = await fluxClientFor(app).tasks({ action: 'retrieve_batch', ids: [id.toUpperCase(), id] });
    expect(batch.body).toMatchObject({ items: [{ id }], count: 1 });
  });

  test('a task keeps the trace ID of the request that created it, and the log contains it', async () => {
    const { body, headers } = await fluxClientFor(app).images({ ...GENERATE, async: true });
    expect(body.trace_id).toBe(headers.get('x-request-id'));
    const { body: task } = await fluxClientFor(app).tasks({ action: 'retrieve', id: body.task_id });
    expect(task.trace_id).toBe(body.trace_id);
    expect(app.logLines.some((line) => line.includes(String(body.trace_id)))).toBe(true);
  });
});

test('editing a stored image by its URL makes it the source image of the task', async () => {
  const unlimitedApp = await TestApp.start();
  const generated = await fluxClientFor(unlimitedApp).images(GENERATE);
  const [generatedImage] = imagesOf(generated);
  const edited = await fluxClientFor(unlimitedApp).images({
    action: 'edits',
    prompt: 'at night',
    image_url: generatedImage?.image_url,
  });
  expect(edited.status).toBe(200);
  const [source] = (await unlimitedApp.task(String(generated.body.task_id))).images;
  const task = await unlimitedApp.task(String(edited.body.task_id));
  expect(task).toMatchObject({ kind: 'EDIT', sourceImage: { id: source?.id }, sourceImageUrl: null });
  const { image } = await unlimitedApp.query(ImageByIdDocument, { id: task.images[0]?.id ?? '' });
  expect(image?.parent?.id).toBe(source?.id);
  const { body: view } = await fluxClientFor(unlimitedApp).tasks({ action: 'retrieve', id: task.id });
  expect(view).toMatchObject({ request: { action: 'edit', image_url: generatedImage?.image_url } });
  await unlimitedApp.stop();
});

test('pages of any origin may call the Flux API', async () => {
  const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' };
  const preflight = await fetch(`${app.url}/flux/images`, { method: 'OPTIONS', headers });
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*']);
  const { headers: responseHeaders } = await fluxClientFor(app).post('/flux/tasks', '{}', headers);
  expect(responseHeaders.get('access-control-allow-origin')).toBe('*');
});

test('an instance with the role worker only does not serve the Flux API', async () => {
  const worker = await TestApp.start({ environment: { ROLES: 'worker' } });
  const response = await worker.postBody('/flux/images', GENERATE, {
    authorization: `Bearer ${worker.apiKey}`,
  });
  expect(response.status).toBe(404);
  expect(await countTasks(worker)).toBe(0);
  await worker.stop();
});

/** Sends a request to an instance whose database is down, and optionally another one after the database has returned. */
async function whileDatabaseIsDown(
  send: (client: FluxClient) => Promise<FluxResponse>,
): Promise<FluxResponse>;
async function whileDatabaseIsDown<Then>(
  send: (client: FluxClient) => Promise<FluxResponse>,
  afterwards: (client: FluxClient, response: FluxResponse) => Promise<Then>,
): Promise<Then>;
async function whileDatabaseIsDown(
  send: (client: FluxClient) => Promise<FluxResponse>,
  afterwards = (_client: FluxClient, response: FluxResponse): Promise<unknown> => Promise.resolve(response),
): Promise<unknown> {
  // The queue library prints a trace to the console when it loses a connection.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const database = await createTestDatabase();
  const { proxy, url } = await TcpProxy.inFrontOf(database.url);
  const instance = await TestApp.start({ databaseUrl: url });
  try {
    const client = fluxClientFor(instance);
    // Caches the key, so that the next request is authenticated without the database.
    await client.tasks({ action: 'retrieve_batch', ids: [] });
    await proxy.cut();
    const response = await send(client);
    await proxy.restore();
    return await afterwards(client, response);
  } finally {
    await instance.stop();
    await proxy.cut();
    await database.drop();
  }
}
