import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { type FluxErrorCode } from '../../src/core/flux-api/flux-errors.js';
import { TestHttpServer, reply } from '../support/net/test-http-server.js';
import { waitFor } from '../support/wait-for.js';
import {
  statusAndCode,
  type FluxResponse,
  FluxClient,
  type FluxServer,
  imagesOf,
  startDarkroom,
  startSandbox,
} from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';

/** One suite for both implementations of the Flux API: the sandbox, and Darkroom with the sandbox as its upstream. */

/** From the examples of the upstream's guide. */
const PROMPT = 'a white siamese cat';
const GENERATE = { action: 'generate', prompt: PROMPT, model: 'flux-kontext-pro', count: 2 };
const SOURCE = { action: 'generate', prompt: 'a source', model: 'flux-dev', size: '256x256' };
/** Takes so long that a test can see the task running. */
const SLOW_PROMPT = `${PROMPT} [sandbox: delay=600s]`;

const SERVERS = [
  { name: 'the sandbox', start: startSandbox },
  { name: 'Darkroom', start: startDarkroom },
];

describe.each(SERVERS)('$name posts to the callback URL', ({ start }) => {
  test.each([
    ['the images', PROMPT, 'callback-succeeded'],
    ['a failure', `${PROMPT} [sandbox: fail=api_error]`, 'callback-failed'],
  ])('%s', async (_description, prompt, shape) => {
    const server = await start();
    const callbackServer = await TestHttpServer.open(reply(200, {}));
    const request = { ...GENERATE, prompt, callback_url: `${callbackServer.url}/here` };
    const { body } = await new FluxClient(server).images(request);
    const { body: posted } = await waitFor('the callback', () => callbackServer.requests[0]);
    expectShape(JSON.parse(posted), shape);
    expect(JSON.parse(posted)).toMatchObject({ task_id: body.task_id });
    await callbackServer.close();
    await server.close();
  });
});

describe.each(SERVERS)('$name', ({ start }) => {
  let server: FluxServer;
  let flux: FluxClient;
  beforeAll(async () => {
    server = await start();
    flux = new FluxClient(server);
  });
  afterAll(() => server.close());

  async function expectImages(response: Pick<FluxResponse, 'body'>, count: number): Promise<void> {
    const images = imagesOf(response);
    expect(images).toHaveLength(count);
    for (const image of images) {
      const download = await fetch(image.image_url);
      expect([download.status, download.headers.get('content-type')]).toEqual([200, 'image/png']);
      await download.arrayBuffer();
    }
  }

  describe('the three modes', () => {
    test('wait: the reply contains the images, each with the prompt', async () => {
      const fluxResponse = await flux.images(GENERATE);
      expect(fluxResponse.status).toBe(200);
      expectShape(fluxResponse.body, 'waited-two-images-numeric-timings');
      expect(imagesOf(fluxResponse).map(({ prompt }) => prompt)).toEqual([PROMPT, PROMPT]);
      await expectImages(fluxResponse, 2);
    });

    test('callback: the reply is a task ID, and a status request returns the result later', async () => {
      const callbackServer = await TestHttpServer.open(reply(200, {}));
      const fluxResponse = await flux.images({ ...GENERATE, callback_url: `${callbackServer.url}/here` });
      expect(fluxResponse.status).toBe(200);
      expect(fluxResponse.body).toMatchObject({ task_id: expect.any(String) as unknown });
      const { response } = await flux.waitUntilFinished(fluxResponse.body.task_id);
      expectShape(response, 'callback-succeeded');
      expect(response).toMatchObject({ task_id: fluxResponse.body.task_id });
      await expectImages({ body: response as Record<string, unknown> }, 2);
      await callbackServer.close();
    });

    test('async: the reply is a task ID, and a status request returns the result', async () => {
      const fluxResponse = await flux.images({ ...GENERATE, async: true });
      expect(fluxResponse.status).toBe(200);
      expectShape(fluxResponse.body, 'submit-accepted-async');
      const task = await flux.waitUntilFinished(fluxResponse.body.task_id);
      expectShape(task, 'task-finished');
      await expectImages({ body: task.response as Record<string, unknown> }, 2);
    });

    test('async with a callback URL: the reply is a task ID', async () => {
      const { body } = await flux.images({ ...GENERATE, async: true, callback_url: 'http://127.0.0.1:9/' });
      expectShape(body, 'submit-accepted-async');
    });

    test('a failure has the same shape in the task as in a callback', async () => {
      const prompt = `${PROMPT} [sandbox: fail=api_error]`;
      const { body } = await flux.images({ ...GENERATE, prompt, async: true });
      const { response } = await flux.waitUntilFinished(body.task_id);
      expectShape(response, 'callback-failed');
    });
  });

  describe('fields in the form of clients that send more than the specification says', () => {
    const ABSENT = { model: '', size: '', image_url: '', callback_url: '', count: '', async: '' };
    test.each<[string, object]>([
      ['empty texts for absent fields', { prompt: PROMPT, ...ABSENT, action: '' }],
      ['nulls for absent fields', { prompt: PROMPT, action: null, model: null, size: null, count: null }],
    ])('%s', async (_description, body) => {
      const fluxResponse = await flux.images(body);
      expect(fluxResponse.status).toBe(200);
      await expectImages(fluxResponse, 1);
    });

    test('numbers and booleans as text, and another sign between the sides', async () => {
      const fields = { action: 'generate', prompt: PROMPT, model: 'flux-dev' };
      const { body } = await flux.images({ ...fields, size: '512 X 256', count: '2', async: 'True' });
      const task = await flux.waitUntilFinished(body.task_id);
      expect(task.request).toMatchObject({ size: '512x256', count: 2 });
      expect((task.response as { data: unknown[] }).data).toHaveLength(2);
    });
  });

  describe('a size in the spelling of another model', () => {
    test.each([
      ['flux-kontext-pro', '1024x1024', [1024, 1024]],
      ['flux-kontext-max', '1248x832', [1248, 832]],
      ['flux-dev', '1:1', [1024, 1024]],
      ['flux-2-pro', '1:1', [1024, 1024]],
      ['flux-2-pro', '1024x1024', [1024, 1024]],
    ])('%s takes %s and makes an image of this shape', async (model, size, [width = 0, height = 0]) => {
      const fluxResponse = await flux.images({ action: 'generate', prompt: PROMPT, model, size });
      expect(fluxResponse.status).toBe(200);
      const bytes = await (await fetch(imagesOf(fluxResponse)[0]?.image_url ?? '')).arrayBuffer();
      const image = await sharp(bytes).metadata();
      expect(image.width / image.height).toBeCloseTo(width / height, 1);
      const { body: task } = await flux.tasks({ id: fluxResponse.body.task_id });
      expect(task.request).toMatchObject({ model, size });
    });
  });

  describe('an edit', () => {
    test('with a model of flux-2 is passed on', async () => {
      const source = imagesOf(await flux.images(SOURCE))[0]?.image_url;
      const edit = { action: 'edit', prompt: PROMPT, model: 'flux-2-pro', image_url: source, size: '1:1' };
      const fluxResponse = await flux.images(edit);
      expect(fluxResponse.status).toBe(200);
      await expectImages(fluxResponse, 1);
    });

    test.each(['edit', 'edits'])(
      '%s: returns one image made from the source image, and ignores the count',
      async (action) => {
        const source = imagesOf(await flux.images(SOURCE))[0]?.image_url;
        const edit = { action, prompt: PROMPT, model: 'flux-kontext-pro', image_url: source };
        const fluxResponse = await flux.images({ ...edit, count: 4 });
        expect(fluxResponse.status).toBe(200);
        expectShape(fluxResponse.body, 'waited-two-images-numeric-timings');
        await expectImages(fluxResponse, 1);
      },
    );
  });

  describe('status requests', () => {
    test('return a running task without an end, and with an empty response', async () => {
      const { body } = await flux.images({ ...GENERATE, prompt: SLOW_PROMPT, async: true });
      const { body: task } = await flux.tasks({ action: 'retrieve', id: body.task_id });
      expectShape(task, 'task-pending');
      expect(task).toMatchObject({ id: body.task_id, request: { action: 'generate', prompt: SLOW_PROMPT } });
    });

    test.each(['01a20326-f609-77dd-9c6a-14f6d6a02789', 'unknown', ''])(
      'return an empty body for the unknown ID "%s"',
      async (id) => {
        const fluxResponse = await flux.tasks({ action: 'retrieve', id });
        expect(fluxResponse.status).toBe(200);
        expectShape(fluxResponse.body, 'task-unknown');
      },
    );

    test('return the known tasks of a batch, in the requested order, each once', async () => {
      const requests = [1, 2].map(() => flux.images({ ...GENERATE, prompt: SLOW_PROMPT, async: true }));
      const [first, second] = (await Promise.all(requests)).map(({ body }) => body.task_id);
      const ids = [second, 'unknown', first, second];
      const { status, body } = await flux.tasks({ action: 'retrieve_batch', ids });
      expect(status).toBe(200);
      expectShape({ ...body, items: [] }, 'tasks-batch');
      const items = body.items as { id: string }[];
      for (const item of items) expectShape(item, 'task-pending');
      expect([body.count, ...items.map(({ id }) => id)]).toEqual([2, second, first]);
    });

    test('return nothing for an empty batch', async () => {
      const { body } = await flux.tasks({ action: 'retrieve_batch', ids: [] });
      expect(body).toEqual({ items: [], count: 0 });
    });

    test('without IDs return the newest tasks first, by offset and limit, and count all of them', async () => {
      const ids: unknown[] = [];
      for (let count = 0; count < 3; count += 1)
        ids.unshift((await flux.images({ ...GENERATE, prompt: SLOW_PROMPT, async: true })).body.task_id);
      const list = async (fields: object) => {
        const { body } = await flux.tasks({ action: 'retrieve_batch', ...fields });
        return { ids: (body.items as { id: string }[]).map(({ id }) => id), count: Number(body.count) };
      };
      const { ids: all, count } = await list({});
      expect(all.slice(0, 3)).toEqual(ids);
      expect(all).toHaveLength(Math.min(count, 50));
      expect(await list({ limit: 2 })).toEqual({ ids: ids.slice(0, 2), count });
      expect(await list({ limit: '1', offset: '2', ids: '' })).toEqual({ ids: ids.slice(2), count });
      expect((await list({ limit: 51 })).ids).toHaveLength(Math.min(count, 50));
      expect(await list({ limit: 0 })).toEqual({ ids: [], count });
      expect(await list({ type: 'videos' })).toEqual({ ids: [], count: 0 });
    });

    test('without IDs return the tasks of a time, which is inclusive', async () => {
      const list = async (fields: object) =>
        (await flux.tasks({ action: 'retrieve_batch', ...fields })).body.items as {
          id: string;
          created_at: number;
        }[];
      const ids: unknown[] = [];
      for (let count = 0; count < 3; count += 1)
        ids.unshift((await flux.images({ ...GENERATE, prompt: SLOW_PROMPT, async: true })).body.task_id);
      const tasks = (await list({})).slice(0, 3);
      const times = tasks.map((task) => task.created_at);
      expect(tasks.map(({ id }) => id)).toEqual(ids);
      // Goes on from the last task of each page, as a client that scrolls does.
      const older = await list({ created_at_max: times[1], limit: 50 });
      expect(older.map(({ id }) => id)).toEqual(expect.arrayContaining(ids.slice(1)));
      expect(older.every((task) => task.created_at <= (times[1] ?? 0))).toBe(true);
      const newer = await list({ created_at_min: String(times[1]) });
      expect(newer.map(({ id }) => id)).toEqual(expect.arrayContaining(ids.slice(0, 2)));
      expect(newer.every((task) => task.created_at >= (times[1] ?? 0))).toBe(true);
      expect(await list({ created_at_max: 1 })).toEqual([]);
    });

    test('accept fifty IDs at once, and not one more', async () => {
      const ids = Array.from({ length: 50 }, (_, index) => `unknown ${index}`);
      const { body } = await flux.tasks({ action: 'retrieve_batch', ids });
      expect(body).toEqual({ items: [], count: 0 });
      const fluxResponse = await flux.tasks({ action: 'retrieve_batch', ids: [...ids, 'one more'] });
      expect(statusAndCode(fluxResponse)).toEqual([400, 'bad_request']);
    });
  });

  describe('rejects', () => {
    const INVALID_IMAGE_REQUESTS: [description: string, body: object, status: number, code: FluxErrorCode][] =
      [
        [
          'a missing action beside an image, which could be an edit',
          { prompt: PROMPT, image_url: 'http://127.0.0.1:9/' },
          400,
          'api_not_implemented',
        ],
        ['an unknown action', { ...GENERATE, action: 'paint' }, 400, 'api_not_implemented'],
        [
          'an action that is a property of every object',
          { ...GENERATE, action: 'toString' },
          400,
          'api_not_implemented',
        ],
        ['an action that is a list', { ...GENERATE, action: ['generate'] }, 400, 'api_not_implemented'],
        ['an unknown model', { ...GENERATE, model: 'flux-9' }, 400, 'bad_request'],
        ['a model that is a number', { ...GENERATE, model: 2 }, 400, 'bad_request'],
        ['a size that is not a size', { ...GENERATE, size: 'large' }, 400, 'bad_request'],
        ['a count of 0', { ...GENERATE, count: 0 }, 400, 'bad_request'],
        ['a count of 5', { ...GENERATE, count: 5 }, 400, 'bad_request'],
        ['a count of 1.5', { ...GENERATE, count: 1.5 }, 400, 'bad_request'],
        ['a count that is a word', { ...GENERATE, count: 'three' }, 400, 'bad_request'],
        ['a count of 5 as text', { ...GENERATE, count: '5' }, 400, 'bad_request'],
        ['a missing prompt', { action: 'generate' }, 400, 'bad_request'],
        ['an empty prompt', { ...GENERATE, prompt: ' ' }, 400, 'bad_request'],
        ['a prompt that is a number', { ...GENERATE, prompt: 7 }, 400, 'bad_request'],
        ['a prompt that is an object', { ...GENERATE, prompt: { text: PROMPT } }, 400, 'bad_request'],
        ['an edit without a source', { ...GENERATE, action: 'edits' }, 400, 'bad_request'],
        [
          'an edit of a source that is not a URL',
          { ...GENERATE, action: 'edits', image_url: 'a cat' },
          400,
          'bad_request',
        ],
        [
          'an edit of a file URL',
          { ...GENERATE, action: 'edits', image_url: 'file:///etc/passwd' },
          400,
          'bad_request',
        ],
        ['a callback URL that is not a URL', { ...GENERATE, callback_url: 'here' }, 400, 'bad_request'],
        ['an FTP callback URL', { ...GENERATE, callback_url: 'ftp://example.com/' }, 400, 'bad_request'],
        ['an `async` that is a word', { ...GENERATE, async: 'later' }, 400, 'bad_request'],
      ];
    test.each(INVALID_IMAGE_REQUESTS)('%s', async (_description, body, status, code) => {
      const fluxResponse = await flux.images(body);
      expect(statusAndCode(fluxResponse)).toEqual([status, code]);
      expectShape(fluxResponse.body, 'error-api-error');
    });

    const INVALID_STATUS_REQUESTS: [description: string, body: object, code: FluxErrorCode][] = [
      ['an action of the image endpoint', { action: 'generate', id: 'one' }, 'api_not_implemented'],
      ['a missing ID', { action: 'retrieve' }, 'bad_request'],
      ['an ID that is a number', { action: 'retrieve', id: 7 }, 'bad_request'],
      ['a missing ID and a missing action', { action: '' }, 'bad_request'],
      ['a negative offset', { action: 'retrieve_batch', offset: -1 }, 'bad_request'],
      ['a limit that is a word', { action: 'retrieve_batch', limit: 'all' }, 'bad_request'],
      ['a time that is a date', { action: 'retrieve_batch', created_at_min: '2026-11-29' }, 'bad_request'],
      ['IDs that are a string', { action: 'retrieve_batch', ids: 'one' }, 'bad_request'],
      ['IDs that are numbers', { action: 'retrieve_batch', ids: [1, 2] }, 'bad_request'],
    ];
    test.each(INVALID_STATUS_REQUESTS)('a status request with %s', async (_description, body, code) => {
      const fluxResponse = await flux.tasks(body);
      expect(statusAndCode(fluxResponse)).toEqual([400, code]);
      expectShape(fluxResponse.body, 'error-api-error');
    });

    test.each(['/flux/images', '/flux/tasks'])('a body that is not a JSON object at %s', async (path) => {
      for (const body of ['{"action":', 'generate', '[]', '"generate"', 'null', '7']) {
        expect(statusAndCode(await flux.post(path, body))).toEqual([400, 'bad_request']);
      }
    });

    test('a wrong token', async () => {
      const unauthorized = new FluxClient(server, { authorization: 'Bearer dk_wrong' });
      for (const fluxResponse of [
        await unauthorized.images(GENERATE),
        await unauthorized.tasks({ action: 'retrieve', id: '' }),
      ]) {
        expect(statusAndCode(fluxResponse)).toEqual([401, 'invalid_token']);
        expectShape(fluxResponse.body, 'error-api-error');
      }
    });

    test('an unknown path', async () => {
      const fluxResponse = await flux.post('/flux/videos', '{}');
      expect(statusAndCode(fluxResponse)).toEqual([404, 'no_api']);
      expectShape(fluxResponse.body, 'error-api-error');
    });

    test.each(['GET', 'PUT', 'DELETE'])('the method %s', async (method) => {
      const headers = { authorization: `Bearer ${server.token}` };
      const response = await fetch(`${server.url}/flux/images`, { method, headers });
      const body = (await response.json()) as Record<string, unknown>;
      expect(statusAndCode({ status: response.status, headers: response.headers, body })).toEqual([
        404,
        'no_api',
      ]);
    });
  });
});
