import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { EditImageDocument, GenerateImagesDocument, ImageByIdDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { API_ERRORS } from '../../../src/core/flux-api/flux-error.js';
import { FLUX_CODES, fluxErrorOf } from '../../../src/http/flux-api/flux-error-reply.js';
import {
  doorOf,
  errorOf,
  type FluxAnswer,
  FluxClient,
  picturesOf,
} from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const GENERATE = { action: 'generate', prompt: 'a white siamese cat', size: '256x256' };
/** Held until the test ends. */
const SLOW = { ...GENERATE, prompt: 'slow [sandbox: delay=600s]' };

const messageOf = ({ body }: FluxAnswer) => (body.error as { message: string }).message;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ tuning: { fluxWaitMs: 1_500 }, environment: { CONNECTIONS_PER_KEY: '1' } });
});
afterAll(() => app.stop());

async function workspaceOf(on: TestApp): Promise<string> {
  const [row] = await on.rows<{ id: string }>('SELECT id FROM workspaces ORDER BY created_at LIMIT 1');
  return row?.id ?? '';
}
async function tasksIn(on: TestApp): Promise<number> {
  const [row] = await on.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}

describe('every error of the door', () => {
  /** How each row of the table is reached. */
  const WAYS: Record<string, () => Promise<FluxAnswer>> = {
    UNAUTHENTICATED: () => doorOf(app, 'dk_wrong').images(GENERATE),
    FORBIDDEN: async () =>
      doorOf(app, await addKey(app, await workspaceOf(app), ['tasks:read'])).images(GENERATE),
    UNKNOWN_ACTION: () => doorOf(app).images({ ...GENERATE, action: 'paint' }),
    BAD_REQUEST: () => doorOf(app).images({ ...GENERATE, prompt: 7 }),
    INPUT_REJECTED: () => doorOf(app).images({ ...GENERATE, count: 9 }),
    PAYLOAD_TOO_LARGE: () => doorOf(app).images({ ...GENERATE, padding: 'x'.repeat(1024 * 1024) }),
    NOT_FOUND: () => doorOf(app).post('/flux/videos', '{}'),
    TOO_MANY_WATCHERS: async () => {
      const both = await Promise.all([doorOf(app).images(SLOW), doorOf(app).images(SLOW)]);
      return both.find(({ body }) => body.task_id === undefined) ?? both[0];
    },
    RATE_LIMITED: async () => {
      const key = await addKey(app, await workspaceOf(app), SCOPES, { requestsPerMinute: 1 });
      await doorOf(app, key).tasks({ action: 'retrieve_batch', ids: [] });
      return doorOf(app, key).images(GENERATE);
    },
    WAIT_ENDED: () => doorOf(app).images(SLOW),
    WRITE_UNCONFIRMED: () => whileDatabaseIsAway((door) => door.images(GENERATE)),
    DATABASE_UNAVAILABLE: () =>
      whileDatabaseIsAway((door) => door.tasks({ action: 'retrieve_batch', ids: [crypto.randomUUID()] })),
  };

  test('is reached here', () => {
    expect(Object.keys(WAYS)).toEqual([...Object.keys(FLUX_CODES), 'DATABASE_UNAVAILABLE']);
  });

  test.each(Object.keys(WAYS))(
    '%s: has its code and status in the envelope, and the trace id of the response',
    async (code) => {
      const answer = await WAYS[code]?.();
      const { code: fluxCode, status } = fluxErrorOf(code);
      const isTaken = code === 'WAIT_ENDED';
      expect(answer?.body).toEqual({
        success: false,
        ...(isTaken && { task_id: expect.any(String) as unknown }),
        error: { code: fluxCode, message: expect.any(String) as unknown },
        trace_id: answer?.headers.get('x-request-id'),
      });
      expect(answer?.status).toBe(status);
      expect(answer?.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null);
      expect(answer?.headers.get('cache-control')).toBe('no-store');
    },
  );

  test('the status of a code is the one of the API, except for a body that is too large', () => {
    const odd = Object.keys(FLUX_CODES).filter((code) => {
      const { code: fluxCode, status } = fluxErrorOf(code);
      return API_ERRORS[fluxCode].status !== status;
    });
    expect(odd).toEqual(['PAYLOAD_TOO_LARGE']);
  });

  test('an error that nobody expected is masked, and the log has it under the trace id', async () => {
    const broken = await TestApp.start();
    await broken.generate({ prompt: 'before it broke' });
    await broken.rows('ALTER TABLE images RENAME TO pictures');
    const answer = await doorOf(broken).tasks({ action: 'retrieve_batch', ids: [] });
    expect(errorOf(answer)).toEqual([500, 'api_error']);
    expect(messageOf(answer)).not.toMatch(/images|relation|prisma/i);
    const lines = broken.logged.filter((line) => line.includes(String(answer.body.trace_id)));
    expect(lines.some((line) => line.includes('a request to the Flux API failed'))).toBe(true);
    await broken.stop();
  });

  test.each([
    ['/flux/images', 'tasks:write', ['tasks:read'] as const],
    ['/flux/tasks', 'tasks:read', ['tasks:write'] as const],
  ])('%s names the scope that the key lacks: %s', async (path, scope, scopes) => {
    const key = await addKey(app, await workspaceOf(app), scopes);
    const answer = await doorOf(app, key).post(path, '{}');
    expect(errorOf(answer)).toEqual([403, 'forbidden']);
    expect(messageOf(answer)).toContain(scope);
  });

  test.each([undefined, '', 'Bearer', 'Bearer dk_wrong', 'Basic dk_wrong'])(
    'a key sent as "%s" is answered like every wrong one',
    async (authorization) => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const server = { url: app.url, token: '' };
      const answer = await new FluxClient(server, headers).images(GENERATE);
      expect(errorOf(answer)).toEqual([401, 'invalid_token']);
    },
  );

  test('the limit of connections is looked at before anything is written', async () => {
    const before = await tasksIn(app);
    const [one, other] = await Promise.all([doorOf(app).images(SLOW), doorOf(app).images(SLOW)]);
    expect([one, other].map(errorOf).sort()).toEqual([
      [429, 'too_many_requests'],
      [504, 'timeout'],
    ]);
    expect(await tasksIn(app)).toBe(before + 1);
  });

  test('a request whose taking is unknown makes nothing twice when it is sent again with its key', async () => {
    const answers = await whileDatabaseIsAway(
      (door) => door.post('/flux/images', JSON.stringify(GENERATE), { 'idempotency-key': 'one' }),
      async (door, first) => {
        const again = await door.post('/flux/images', JSON.stringify(GENERATE), { 'idempotency-key': 'one' });
        return [first, again];
      },
    );
    expect(answers.map(errorOf)).toEqual([
      [504, 'timeout'],
      [200, undefined],
    ]);
  });
});

describe('what is refused for its values', () => {
  const edit = { action: 'edit', prompt: 'at night' };
  const FAULTS: [what: string, body: object, input: object][] = [
    ['a model', { ...GENERATE, model: 'flux-9' }, { model: 'flux-9' }],
    [
      'a model that cannot generate so',
      { ...GENERATE, model: 'flux-kontext-pro' },
      { model: 'flux-kontext-pro' },
    ],
    ['a size', { ...GENERATE, size: '255x255' }, { size: '255x255' }],
    ['an empty size', { ...GENERATE, size: '' }, { size: '' }],
    ['a count', { ...GENERATE, count: 9 }, { count: 9 }],
    ['an empty prompt', { ...GENERATE, prompt: '' }, { prompt: '' }],
    ['a prompt with NUL', { ...GENERATE, prompt: 'a\0b' }, { prompt: 'a\0b' }],
    ['several at once', { ...GENERATE, prompt: '', count: 0 }, { prompt: '', count: 0 }],
    [
      'a callback into our network',
      { ...GENERATE, callback_url: 'http://10.0.0.1/' },
      { callbackUrl: 'http://10.0.0.1/' },
    ],
    [
      'a callback to the cloud',
      { ...GENERATE, callback_url: 'http://169.254.169.254/' },
      { callbackUrl: 'http://169.254.169.254/' },
    ],
  ];
  test.each(FAULTS)('%s: the sentences are those of GraphQL', async (_what, body, input) => {
    const answer = await doorOf(app).images(body);
    const { prompt, size } = GENERATE;
    const { generateImages } = await app.query(GenerateImagesDocument, { input: { prompt, size, ...input } });
    expect(errorOf(answer)).toEqual([400, 'bad_request']);
    expect(messageOf(answer)).toBe(generateImages.userErrors.map(({ message }) => message).join(' '));
  });

  test.each(['no link', 'http://10.0.0.1/cat.png'])('a source, "%s": likewise', async (url) => {
    const answer = await doorOf(app).images({ ...edit, image_url: url });
    const input = { prompt: edit.prompt, sourceImageUrl: url };
    const { editImage } = await app.query(EditImageDocument, { input });
    expect(errorOf(answer)).toEqual([400, 'bad_request']);
    expect(messageOf(answer)).toBe(editImage.userErrors[0]?.message);
  });

  test('one idempotency key for two requests', async () => {
    const send = (body: object) =>
      doorOf(app).post('/flux/images', JSON.stringify({ ...body, async: true }), {
        'idempotency-key': 'both',
      });
    await send(GENERATE);
    const answer = await send({ ...GENERATE, prompt: 'another' });
    expect(errorOf(answer)).toEqual([400, 'bad_request']);
    expect(messageOf(answer)).toContain('idempotency key');
  });
});

describe('forged bodies', () => {
  const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  const FORGED: [what: string, body: string, code: string][] = [
    ['an action in the prototype', '{"__proto__":{"action":"generate","prompt":"x"}}', 'api_not_implemented'],
    ['an action of many brackets', `{"action":${deep(50_000)}}`, 'api_not_implemented'],
    ['a prompt of many brackets', `{"action":"generate","prompt":${deep(50_000)}}`, 'bad_request'],
    ['an endless count', '{"action":"generate","prompt":"x","count":1e999}', 'bad_request'],
    ['a list for a count', '{"action":"generate","prompt":"x","count":[3]}', 'bad_request'],
    ['an object for a model', '{"action":"generate","prompt":"x","model":{"toString":1}}', 'bad_request'],
    ['a list for a size', '{"action":"generate","prompt":"x","size":["256x256"]}', 'bad_request'],
    [
      'an object for a link',
      '{"action":"edits","prompt":"x","image_url":{"href":"http://x/"}}',
      'bad_request',
    ],
  ];
  test.each(FORGED)('%s', async (_what, body, code) => {
    expect(errorOf(await doorOf(app).post('/flux/images', body))).toEqual([400, code]);
  });

  test('a body that is not in a known encoding', async () => {
    const send = (headers: Record<string, string>) => doorOf(app).post('/flux/images', '{}', headers);
    expect(errorOf(await send({ 'content-type': 'application/json; charset=klingon' }))).toEqual([
      400,
      'bad_request',
    ]);
    expect(errorOf(await send({ 'content-encoding': 'gzip' }))).toEqual([400, 'bad_request']);
    expect(errorOf(await send({ 'content-type': 'application/x-www-form-urlencoded' }))).toEqual([
      400,
      'bad_request',
    ]);
  });
});

describe('fields that the Flux API does not know', () => {
  async function metadataOf(fields: string): Promise<unknown> {
    const body = `{"action":"generate","prompt":"with more","size":"256x256","async":true${fields}}`;
    const answer = await doorOf(app).post('/flux/images', body);
    expect(answer.status).toBe(200);
    const [row] = await app.rows<{ metadata: unknown }>('SELECT metadata FROM tasks WHERE id = $1', [
      answer.body.task_id,
    ]);
    return row?.metadata;
  }

  test('are kept as metadata, exactly those', async () => {
    const metadata = await metadataOf(',"order":17,"tags":["a",null],"image_url":"http://x/"');
    expect(metadata).toEqual({ order: 17, tags: ['a', null] });
  });

  test('are none where there are none', async () => {
    expect(await metadataOf('')).toBeNull();
  });

  test('keep their names and characters, however odd', async () => {
    const fields = '"__proto__":{"a":1},"constructor":"x","n\\u0000l":"\\u0000","lone":"\\ud800"';
    expect(JSON.stringify(await metadataOf(`,${fields}`))).toBe(`{${fields}}`);
    const brackets = `"deep":${'['.repeat(2_000)}${']'.repeat(2_000)}`;
    expect(JSON.stringify(await metadataOf(`,${brackets}`))).toBe(`{${brackets}}`);
  });

  test('are left out when they are more than metadata may be', async () => {
    expect(await metadataOf(`,"much":"${'x'.repeat(4_096)}"`)).toBeNull();
    expect(await metadataOf(`,"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toBeNull();
  });
});

describe('tasks', () => {
  test('that were asked for over GraphQL are shown in the same form', async () => {
    const { id } = await app.generate({ prompt: 'over GraphQL', size: '256x256', count: 2 });
    await app.settled(id);
    const { body } = await doorOf(app).tasks({ action: 'retrieve', id });
    expect(body).toMatchObject({
      id,
      type: 'images',
      request: { action: 'generate', prompt: 'over GraphQL', model: 'flux-dev', size: '256x256', count: 2 },
      response: { success: true, task_id: id, data: [{ prompt: 'over GraphQL' }, {}] },
    });
  });

  test('of another workspace are exactly as absent as those that never were', async () => {
    const foreign = doorOf(app, await addWorkspace(app));
    const { body } = await doorOf(app).images({ ...GENERATE, async: true });
    const known = body.task_id;
    const read = (id: unknown) => foreign.tasks({ action: 'retrieve', id });
    const [theirs, nobodys] = await Promise.all([read(known), read(crypto.randomUUID())]);
    expect(theirs.body).toEqual(nobodys.body);
    const batch = await foreign.tasks({ action: 'retrieve_batch', ids: [known] });
    expect(batch.body).toEqual({ items: [], count: 0 });
    const { body: own } = await foreign.images({ ...GENERATE, async: true });
    const both = await foreign.tasks({ action: 'retrieve_batch', ids: [known, own.task_id] });
    expect(both.body).toMatchObject({ items: [{ id: own.task_id }], count: 1 });
  });

  test('are found by their id in any case, and shown once', async () => {
    const { body } = await doorOf(app).images({ ...GENERATE, async: true });
    const id = String(body.task_id);
    const batch = await doorOf(app).tasks({ action: 'retrieve_batch', ids: [id.toUpperCase(), id] });
    expect(batch.body).toMatchObject({ items: [{ id }], count: 1 });
  });

  test('remember the request that asked for them by its trace id, which the log has too', async () => {
    const { body, headers } = await doorOf(app).images({ ...GENERATE, async: true });
    expect(body.trace_id).toBe(headers.get('x-request-id'));
    const { body: task } = await doorOf(app).tasks({ action: 'retrieve', id: body.task_id });
    expect(task.trace_id).toBe(body.trace_id);
    expect(app.logged.some((line) => line.includes(String(body.trace_id)))).toBe(true);
  });
});

test('a picture of ours that is edited by its link is the source of what comes', async () => {
  const patient = await TestApp.start();
  const made = await doorOf(patient).images(GENERATE);
  const [picture] = picturesOf(made);
  const edited = await doorOf(patient).images({
    action: 'edits',
    prompt: 'at night',
    image_url: picture?.image_url,
  });
  expect(edited.status).toBe(200);
  const [source] = (await patient.task(String(made.body.task_id))).images;
  const task = await patient.task(String(edited.body.task_id));
  expect(task).toMatchObject({ kind: 'EDIT', sourceImage: { id: source?.id }, sourceImageUrl: null });
  const { image } = await patient.query(ImageByIdDocument, { id: task.images[0]?.id ?? '' });
  expect(image?.parent?.id).toBe(source?.id);
  const { body: view } = await doorOf(patient).tasks({ action: 'retrieve', id: task.id });
  expect(view).toMatchObject({ request: { action: 'edit', image_url: picture?.image_url } });
  await patient.stop();
});

test('a page of any origin may ask', async () => {
  const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' };
  const preflight = await fetch(`${app.url}/flux/images`, { method: 'OPTIONS', headers });
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*']);
  const { headers: answered } = await doorOf(app).post('/flux/tasks', '{}', headers);
  expect(answered.get('access-control-allow-origin')).toBe('*');
});

test('an instance that is a worker alone has no such door', async () => {
  const worker = await TestApp.start({ environment: { ROLES: 'worker' } });
  const answer = await worker.send('/flux/images', GENERATE, { authorization: `Bearer ${worker.key}` });
  expect(answer.status).toBe(404);
  expect(await tasksIn(worker)).toBe(0);
  await worker.stop();
});

/** Asks at an instance whose database has just gone, and then, when it is back, once more. */
async function whileDatabaseIsAway(ask: (door: FluxClient) => Promise<FluxAnswer>): Promise<FluxAnswer>;
async function whileDatabaseIsAway<Then>(
  ask: (door: FluxClient) => Promise<FluxAnswer>,
  andThen: (door: FluxClient, answer: FluxAnswer) => Promise<Then>,
): Promise<Then>;
async function whileDatabaseIsAway(
  ask: (door: FluxClient) => Promise<FluxAnswer>,
  andThen = (_door: FluxClient, answer: FluxAnswer): Promise<unknown> => Promise.resolve(answer),
): Promise<unknown> {
  // The queue prints a trace of its own when a connection is lost, past every logger.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const database = await createTestDatabase();
  const { proxy, url } = await TcpProxy.before(database.url);
  const cut = await TestApp.start({ databaseUrl: url });
  try {
    const door = doorOf(cut);
    // Its key is remembered for a moment.
    await door.tasks({ action: 'retrieve_batch', ids: [] });
    await proxy.cut();
    const answer = await ask(door);
    await proxy.restore();
    return await andThen(door, answer);
  } finally {
    await cut.stop();
    await proxy.cut();
    await database.drop();
  }
}
