import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { API_ERROR_CODES, type ApiErrorCode } from '../../src/core/flux-api/flux-error.js';
import {
  errorOf,
  FluxClient,
  type FluxServer,
  picturesOf,
  startDoor,
  startSandbox,
} from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';

/** Where our door differs from the upstream on purpose; flux-images.test.ts has where it does not. */

const PROMPT = 'a white siamese cat';
const GENERATE = { action: 'generate', prompt: PROMPT, model: 'flux-kontext-pro', count: 2 };

/** Each code that a generation can end with, and what who waits is told: by the upstream, and by us. */
const ENDS: Record<ApiErrorCode, [upstream: [number, string], ours: [number, string]]> = {
  // Our token and our request: not the caller's.
  token_mismatched: [
    [400, 'token_mismatched'],
    [400, 'bad_request'],
  ],
  api_not_implemented: [
    [400, 'api_not_implemented'],
    [400, 'bad_request'],
  ],
  no_api: [
    [404, 'no_api'],
    [400, 'bad_request'],
  ],
  no_token: [
    [400, 'no_token'],
    [500, 'api_error'],
  ],
  invalid_token: [
    [401, 'invalid_token'],
    [500, 'api_error'],
  ],
  token_expired: [
    [401, 'token_expired'],
    [500, 'api_error'],
  ],
  // A task that has ended is known to have failed.
  timeout: [
    [504, 'timeout'],
    [500, 'api_error'],
  ],
  bad_request: [
    [400, 'bad_request'],
    [400, 'bad_request'],
  ],
  used_up: [
    [403, 'used_up'],
    [403, 'used_up'],
  ],
  disabled: [
    [403, 'disabled'],
    [403, 'disabled'],
  ],
  forbidden: [
    [403, 'forbidden'],
    [403, 'forbidden'],
  ],
  too_many_requests: [
    [429, 'too_many_requests'],
    [429, 'too_many_requests'],
  ],
  api_error: [
    [500, 'api_error'],
    [500, 'api_error'],
  ],
};
/** What is known to have made nothing is sent again by us; that takes up to half a minute, and the end is the same. */
const SENT_AGAIN: readonly ApiErrorCode[] = ['too_many_requests', 'api_error'];
/** Not sent again, and held: nobody knows what became of it. */
const UNCONFIRMED: ApiErrorCode = 'timeout';

describe('where the two differ on purpose', () => {
  let upstream: FluxServer;
  let door: FluxServer;
  beforeAll(async () => {
    [upstream, door] = await Promise.all([startSandbox(), startDoor()]);
  });
  afterAll(() => Promise.all([upstream.close(), door.close()]));

  const ask = (body: object) =>
    Promise.all([upstream, door].map((server) => new FluxClient(server).images(body)));

  test.each(API_ERROR_CODES)('a generation that ends with %s', async (code) => {
    const answers = await ask({ ...GENERATE, prompt: `${PROMPT} [sandbox: fail=${code}]` });
    expect(answers.map(errorOf)).toEqual(ENDS[code]);
    for (const { body } of answers) expectShape(body, 'callback-failed');
  });

  test.each(API_ERROR_CODES.filter((code) => !SENT_AGAIN.includes(code) && code !== UNCONFIRMED))(
    'a submission that is refused with %s has a task with us, which failed',
    async (code) => {
      const answers = await ask({ ...GENERATE, prompt: `${PROMPT} [sandbox: error=${code}]` });
      expect(answers.map(errorOf)).toEqual(ENDS[code]);
      expectShape(answers[0]?.body, 'error-api-error');
      expectShape(answers[1]?.body, 'callback-failed');
    },
  );

  const DIFFERENCES: [what: string, body: object, upstream: unknown[], ours: unknown[]][] = [
    [
      'an edit whose source is in a private network is refused',
      edit({ image_url: 'http://10.0.0.1/cat.png' }),
      [500, 'api_error'],
      [400, 'bad_request'],
    ],
    [
      'a callback into a private network is refused',
      { ...GENERATE, callback_url: 'http://10.0.0.1/' },
      [200, undefined],
      [400, 'bad_request'],
    ],
    ['no picture at all is a failure', directed('images=0'), [200, undefined], [500, 'api_error']],
    [
      'a passing refusal is not told',
      directed('error=api_error times=1'),
      [500, 'api_error'],
      [200, undefined],
    ],
    [
      'a reply that was lost is made up for by the callback',
      directed('reply=timeout'),
      [504, 'timeout'],
      [200, undefined],
    ],
  ];
  test.each(DIFFERENCES)('%s', async (_what, body, ...expected) => {
    expect((await ask(body)).map(errorOf)).toEqual(expected);
  });

  test('an edit that names no model has a default', async () => {
    const [source] = picturesOf(await new FluxClient(upstream).images({ ...GENERATE, count: 1 }));
    const answers = await ask(edit({ model: undefined, image_url: source?.image_url }));
    expect(answers.map(errorOf)).toEqual([
      [400, 'bad_request'],
      [200, undefined],
    ]);
  });

  test('an error that is a bare text says nothing of what was made, so the task goes on', async () => {
    const [theirs, ours] = await ask({ ...directed('error=bare'), async: true });
    expectShape(theirs?.body, 'error-bare-string');
    const read = { action: 'retrieve', id: ours?.body.task_id };
    expectShape((await new FluxClient(door).tasks(read)).body, 'task-running');
  });

  test('no token at all is invalid_token', async () => {
    const answers = await Promise.all(
      [upstream, door].map((server) => new FluxClient(server, {}).images(GENERATE)),
    );
    expect(answers.map(errorOf)).toEqual([
      [400, 'no_token'],
      [401, 'invalid_token'],
    ]);
  });

  test('a body that does not say that it is JSON is refused', async () => {
    const send = (server: FluxServer) =>
      new FluxClient(server).post('/flux/images', JSON.stringify(GENERATE), { 'content-type': 'text/plain' });
    expect((await Promise.all([upstream, door].map(send))).map(errorOf)).toEqual([
      [200, undefined],
      [400, 'bad_request'],
    ]);
  });

  test('the callback way is answered with success and a trace id too', async () => {
    const [theirs, ours] = await ask({ ...GENERATE, callback_url: 'http://127.0.0.1:9/' });
    expectShape(theirs?.body, 'submit-accepted');
    expectShape(ours?.body, 'submit-accepted-async');
  });

  test('a hiccup of the upstream is not shown', async () => {
    const answers = await ask({ ...GENERATE, prompt: `${PROMPT} [sandbox: delay=600s hiccup]`, async: true });
    const read = async (server: FluxServer, id: unknown) =>
      (await new FluxClient(server).tasks({ action: 'retrieve', id })).body;
    expectShape(await read(upstream, answers[0]?.body.task_id), 'task-hiccup-not-over');
    expectShape(await read(door, answers[1]?.body.task_id), 'task-running');
  });

  function edit(more: object): object {
    return {
      action: 'edits',
      prompt: PROMPT,
      model: 'flux-kontext-pro',
      image_url: 'http://127.0.0.1:9/',
      ...more,
    };
  }

  function directed(directives: string): object {
    return { ...GENERATE, prompt: `${PROMPT} [sandbox: ${directives}]` };
  }
});
