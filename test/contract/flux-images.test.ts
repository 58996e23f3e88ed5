import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ApiErrorCode } from '../../src/core/flux-api/flux-error.js';
import { Peer, reply } from '../support/net/http-peer.js';
import { waitFor } from '../support/wait-for.js';
import {
  errorOf,
  type FluxAnswer,
  FluxClient,
  type FluxServer,
  picturesOf,
  startDoor,
  startSandbox,
} from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';

/** One suite for everybody who speaks the Flux API: the upstream in a box, and our own door with that behind it. */

/** The guide's own examples. */
const PROMPT = 'a white siamese cat';
const GENERATE = { action: 'generate', prompt: PROMPT, model: 'flux-kontext-pro', count: 2 };
const SOURCE = { action: 'generate', prompt: 'a source', model: 'flux-dev', size: '256x256' };
/** Long enough for a test to see that it runs. */
const SLOW = `${PROMPT} [sandbox: delay=600s]`;

const SERVERS = [
  { name: 'the sandbox', start: startSandbox },
  { name: 'our door', start: startDoor },
];

describe.each(SERVERS)('$name posts to the callback URL', ({ start }) => {
  test.each([
    ['the pictures', PROMPT, 'callback-succeeded'],
    ['a failure', `${PROMPT} [sandbox: fail=api_error]`, 'callback-failed'],
  ])('%s', async (_what, prompt, shape) => {
    const server = await start();
    const receiver = await Peer.open(reply(200, {}));
    const order = { ...GENERATE, prompt, callback_url: `${receiver.url}/here` };
    const { body } = await new FluxClient(server).images(order);
    const { body: posted } = await waitFor('the callback', () => receiver.received[0]);
    expectShape(JSON.parse(posted), shape);
    expect(JSON.parse(posted)).toMatchObject({ task_id: body.task_id });
    await receiver.close();
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

  async function expectPictures(answer: Pick<FluxAnswer, 'body'>, count: number): Promise<void> {
    const pictures = picturesOf(answer);
    expect(pictures).toHaveLength(count);
    for (const picture of pictures) {
      const response = await fetch(picture.image_url);
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
      await response.arrayBuffer();
    }
  }

  describe('the three ways to call', () => {
    test('wait: the reply holds the pictures, each with the prompt', async () => {
      const answer = await flux.images(GENERATE);
      expect(answer.status).toBe(200);
      expectShape(answer.body, 'waited-two-images-numeric-timings');
      expect(picturesOf(answer).map(({ prompt }) => prompt)).toEqual([PROMPT, PROMPT]);
      await expectPictures(answer, 2);
    });

    test('callback: the reply is a task id, under which the result is found later', async () => {
      const receiver = await Peer.open(reply(200, {}));
      const answer = await flux.images({ ...GENERATE, callback_url: `${receiver.url}/here` });
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({ task_id: expect.any(String) as unknown });
      const { response } = await flux.finished(answer.body.task_id);
      expectShape(response, 'callback-succeeded');
      expect(response).toMatchObject({ task_id: answer.body.task_id });
      await expectPictures({ body: response as Record<string, unknown> }, 2);
      await receiver.close();
    });

    test('async: the reply is a task id, and the result is read', async () => {
      const answer = await flux.images({ ...GENERATE, async: true });
      expect(answer.status).toBe(200);
      expectShape(answer.body, 'submit-accepted-async');
      const task = await flux.finished(answer.body.task_id);
      expectShape(task, 'task-finished');
      await expectPictures({ body: task.response as Record<string, unknown> }, 2);
    });

    test('with both a callback and async the reply is a task id too', async () => {
      const { body } = await flux.images({ ...GENERATE, async: true, callback_url: 'http://127.0.0.1:9/' });
      expectShape(body, 'submit-accepted-async');
    });

    test('a failure that a callback tells has the same form in the task', async () => {
      const prompt = `${PROMPT} [sandbox: fail=api_error]`;
      const { body } = await flux.images({ ...GENERATE, prompt, async: true });
      const { response } = await flux.finished(body.task_id);
      expectShape(response, 'callback-failed');
    });
  });

  describe('an edit', () => {
    test.each(['edit', 'edits'])(
      '%s: makes one picture of a picture, and ignores the count',
      async (action) => {
        const source = picturesOf(await flux.images(SOURCE))[0]?.image_url;
        const edit = { action, prompt: PROMPT, model: 'flux-kontext-pro', image_url: source };
        const answer = await flux.images({ ...edit, count: 4 });
        expect(answer.status).toBe(200);
        expectShape(answer.body, 'waited-two-images-numeric-timings');
        await expectPictures(answer, 1);
      },
    );
  });

  describe('reading tasks', () => {
    test('one that runs has no end and no response', async () => {
      const { body } = await flux.images({ ...GENERATE, prompt: SLOW, async: true });
      const { body: task } = await flux.tasks({ action: 'retrieve', id: body.task_id });
      expectShape(task, 'task-running');
      expect(task).toMatchObject({ id: body.task_id, request: { action: 'generate', prompt: SLOW } });
    });

    test.each(['01a20326-f609-77dd-9c6a-14f6d6a02789', 'never asked for', ''])(
      'an id that nobody was given, "%s", is answered with nothing',
      async (id) => {
        const answer = await flux.tasks({ action: 'retrieve', id });
        expect(answer.status).toBe(200);
        expectShape(answer.body, 'task-unknown');
      },
    );

    test('several: those that are known, in the order asked for, each once', async () => {
      const orders = [1, 2].map(() => flux.images({ ...GENERATE, prompt: SLOW, async: true }));
      const [one, two] = (await Promise.all(orders)).map(({ body }) => body.task_id);
      const ids = [two, 'never asked for', one, two];
      const { status, body } = await flux.tasks({ action: 'retrieve_batch', ids });
      expect(status).toBe(200);
      expectShape({ ...body, items: [] }, 'tasks-batch');
      const items = body.items as { id: string }[];
      for (const item of items) expectShape(item, 'task-running');
      expect([body.count, ...items.map(({ id }) => id)]).toEqual([2, two, one]);
    });

    test('none of none', async () => {
      const { body } = await flux.tasks({ action: 'retrieve_batch', ids: [] });
      expect(body).toEqual({ items: [], count: 0 });
    });

    test('fifty ids at once, and not one more', async () => {
      const ids = Array.from({ length: 50 }, (_, index) => `never ${index}`);
      const { body } = await flux.tasks({ action: 'retrieve_batch', ids });
      expect(body).toEqual({ items: [], count: 0 });
      const answer = await flux.tasks({ action: 'retrieve_batch', ids: [...ids, 'one more'] });
      expect(errorOf(answer)).toEqual([400, 'bad_request']);
    });
  });

  describe('what cannot be asked for', () => {
    const IMAGES: [what: string, body: object, status: number, code: ApiErrorCode][] = [
      ['no action', { prompt: PROMPT }, 400, 'api_not_implemented'],
      ['an action that there is not', { ...GENERATE, action: 'paint' }, 400, 'api_not_implemented'],
      [
        'an action that is a name of every object',
        { ...GENERATE, action: 'toString' },
        400,
        'api_not_implemented',
      ],
      ['an action that is a list', { ...GENERATE, action: ['generate'] }, 400, 'api_not_implemented'],
      ['a model that there is not', { ...GENERATE, model: 'flux-9' }, 400, 'bad_request'],
      ['a model that is a number', { ...GENERATE, model: 2 }, 400, 'bad_request'],
      ['a size that the model does not take', { ...GENERATE, size: '1024x1024' }, 400, 'bad_request'],
      ['no pictures', { ...GENERATE, count: 0 }, 400, 'bad_request'],
      ['five pictures', { ...GENERATE, count: 5 }, 400, 'bad_request'],
      ['a picture and a half', { ...GENERATE, count: 1.5 }, 400, 'bad_request'],
      ['a count that is a text', { ...GENERATE, count: '3' }, 400, 'bad_request'],
      ['no prompt', { action: 'generate' }, 400, 'bad_request'],
      ['an empty prompt', { ...GENERATE, prompt: ' ' }, 400, 'bad_request'],
      ['a prompt that is a number', { ...GENERATE, prompt: 7 }, 400, 'bad_request'],
      ['a prompt that is an object', { ...GENERATE, prompt: { text: PROMPT } }, 400, 'bad_request'],
      ['an edit of nothing', { ...GENERATE, action: 'edits' }, 400, 'bad_request'],
      ['an edit of no link', { ...GENERATE, action: 'edits', image_url: 'a cat' }, 400, 'bad_request'],
      [
        'an edit of a file',
        { ...GENERATE, action: 'edits', image_url: 'file:///etc/passwd' },
        400,
        'bad_request',
      ],
      ['a callback to no link', { ...GENERATE, callback_url: 'here' }, 400, 'bad_request'],
      ['a callback by FTP', { ...GENERATE, callback_url: 'ftp://example.com/' }, 400, 'bad_request'],
      ['async that is a text', { ...GENERATE, async: 'true' }, 400, 'bad_request'],
    ];
    test.each(IMAGES)('%s', async (_what, body, status, code) => {
      const answer = await flux.images(body);
      expect(errorOf(answer)).toEqual([status, code]);
      expectShape(answer.body, 'error-api-error');
    });

    const TASKS: [what: string, body: object, code: ApiErrorCode][] = [
      ['no action', { id: 'one' }, 'api_not_implemented'],
      ['an action of the other API', { action: 'generate', id: 'one' }, 'api_not_implemented'],
      ['no id', { action: 'retrieve' }, 'bad_request'],
      ['an id that is a number', { action: 'retrieve', id: 7 }, 'bad_request'],
      ['no ids', { action: 'retrieve_batch' }, 'bad_request'],
      ['ids that are a text', { action: 'retrieve_batch', ids: 'one' }, 'bad_request'],
      ['ids that are numbers', { action: 'retrieve_batch', ids: [1, 2] }, 'bad_request'],
    ];
    test.each(TASKS)('reading: %s', async (_what, body, code) => {
      const answer = await flux.tasks(body);
      expect(errorOf(answer)).toEqual([400, code]);
      expectShape(answer.body, 'error-api-error');
    });

    test.each(['/flux/images', '/flux/tasks'])('what is not a JSON object, to %s', async (path) => {
      for (const body of ['{"action":', 'generate', '[]', '"generate"', 'null', '7']) {
        expect(errorOf(await flux.post(path, body))).toEqual([400, 'bad_request']);
      }
    });

    test('a token that is not right', async () => {
      const stranger = new FluxClient(server, { authorization: 'Bearer dk_wrong' });
      for (const answer of [
        await stranger.images(GENERATE),
        await stranger.tasks({ action: 'retrieve', id: '' }),
      ]) {
        expect(errorOf(answer)).toEqual([401, 'invalid_token']);
        expectShape(answer.body, 'error-api-error');
      }
    });

    test('a path that there is not', async () => {
      const answer = await flux.post('/flux/videos', '{}');
      expect(errorOf(answer)).toEqual([404, 'no_api']);
      expectShape(answer.body, 'error-api-error');
    });

    test.each(['GET', 'PUT', 'DELETE'])('%s', async (method) => {
      const headers = { authorization: `Bearer ${server.token}` };
      const response = await fetch(`${server.url}/flux/images`, { method, headers });
      const body = (await response.json()) as Record<string, unknown>;
      expect(errorOf({ status: response.status, headers: response.headers, body })).toEqual([404, 'no_api']);
    });
  });
});
