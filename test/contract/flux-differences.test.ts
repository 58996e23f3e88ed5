import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FLUX_ERROR_CODES, type FluxErrorCode } from '../../src/core/flux-api/flux-errors.js';
import {
  statusAndCode,
  FluxClient,
  type FluxServer,
  imagesOf,
  startDarkroom,
  startSandbox,
} from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';

/** The intended differences between Darkroom's Flux API and the upstream. flux-images.test.ts has what they share. */

const PROMPT = 'a white siamese cat';
const GENERATE = { action: 'generate', prompt: PROMPT, model: 'flux-kontext-pro', count: 2 };

/** For each error code of a generation: the status and code that the upstream and Darkroom return to a waiting client. */
const EXPECTED_ERRORS: Record<FluxErrorCode, [upstream: [number, string], darkroom: [number, string]]> = {
  // The upstream rejected Darkroom's own token or request, which the caller cannot change.
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
  // The upstream may bill such a request, so no client may repeat it by itself.
  timeout: [
    [504, 'timeout'],
    [504, 'timeout'],
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
/** Submissions refused with these codes generated nothing. Darkroom repeats them, most of them until the task's deadline. */
const REPEATED: readonly FluxErrorCode[] = [
  ...(['too_many_requests', 'api_error'] as const),
  ...(['no_token', 'invalid_token', 'token_expired', 'used_up', 'disabled'] as const),
];
/** Not repeated, because the request may have succeeded. */
const UNCONFIRMED: FluxErrorCode = 'timeout';

describe('Darkroom and the upstream differ on purpose', () => {
  let upstream: FluxServer;
  let darkroom: FluxServer;
  beforeAll(async () => {
    [upstream, darkroom] = await Promise.all([startSandbox(), startDarkroom()]);
  });
  afterAll(() => Promise.all([upstream.close(), darkroom.close()]));

  const requestBoth = (body: object) =>
    Promise.all([upstream, darkroom].map((server) => new FluxClient(server).images(body)));

  test.each(FLUX_ERROR_CODES)('in the error of a generation that ends with %s', async (code) => {
    const responses = await requestBoth({ ...GENERATE, prompt: `${PROMPT} [sandbox: fail=${code}]` });
    expect(responses.map(statusAndCode)).toEqual(EXPECTED_ERRORS[code]);
    for (const { body } of responses) expectShape(body, 'callback-failed');
  });

  test.each(FLUX_ERROR_CODES.filter((code) => !REPEATED.includes(code) && code !== UNCONFIRMED))(
    'after a submission that is refused with %s, for which Darkroom has a failed task',
    async (code) => {
      const responses = await requestBoth({ ...GENERATE, prompt: `${PROMPT} [sandbox: error=${code}]` });
      expect(responses.map(statusAndCode)).toEqual(EXPECTED_ERRORS[code]);
      expectShape(responses[0]?.body, 'error-api-error');
      expectShape(responses[1]?.body, 'callback-failed');
    },
  );

  const DIFFERENCES: [description: string, body: object, upstream: unknown[], darkroom: unknown[]][] = [
    [
      'in that an edit whose source is in a private network is rejected',
      edit({ image_url: 'http://10.0.0.1/cat.png' }),
      [500, 'api_error'],
      [400, 'bad_request'],
    ],
    [
      'in that a callback URL in a private network is rejected',
      { ...GENERATE, callback_url: 'http://10.0.0.1/' },
      [200, undefined],
      [400, 'bad_request'],
    ],
    [
      'in that a size out of range becomes the nearest one',
      { ...GENERATE, model: 'flux-dev', size: '1920x1080' },
      [400, 'bad_request'],
      [200, undefined],
    ],
    [
      'in that a result without any image is a failure',
      withDirectives('images=0'),
      [200, undefined],
      [504, 'timeout'],
    ],
    [
      'in that a temporary refusal is not reported',
      withDirectives('error=api_error times=1'),
      [500, 'api_error'],
      [200, undefined],
    ],
    [
      'in that a lost reply is replaced by the callback',
      withDirectives('reply=timeout'),
      [504, 'timeout'],
      [200, undefined],
    ],
  ];
  test.each(DIFFERENCES)('%s', async (_description, body, ...expected) => {
    expect((await requestBoth(body)).map(statusAndCode)).toEqual(expected);
  });

  test('in that an edit without a model uses the default', async () => {
    const [source] = imagesOf(await new FluxClient(upstream).images({ ...GENERATE, count: 1 }));
    const responses = await requestBoth(edit({ model: undefined, image_url: source?.image_url }));
    expect(responses.map(statusAndCode)).toEqual([
      [400, 'bad_request'],
      [200, undefined],
    ]);
  });

  test('in that an error that is a bare string does not end the task, because the generation may have succeeded', async () => {
    const [upstreamResponse, darkroomResponse] = await requestBoth({
      ...withDirectives('error=bare'),
      async: true,
    });
    expectShape(upstreamResponse?.body, 'error-bare-string');
    const request = { action: 'retrieve', id: darkroomResponse?.body.task_id };
    expectShape((await new FluxClient(darkroom).tasks(request)).body, 'task-pending');
  });

  test('in that a missing token is reported as invalid_token', async () => {
    const responses = await Promise.all(
      [upstream, darkroom].map((server) => new FluxClient(server, {}).images(GENERATE)),
    );
    expect(responses.map(statusAndCode)).toEqual([
      [400, 'no_token'],
      [401, 'invalid_token'],
    ]);
  });

  test('in that a body without a JSON content type is rejected', async () => {
    const send = (server: FluxServer) =>
      new FluxClient(server).post('/flux/images', JSON.stringify(GENERATE), { 'content-type': 'text/plain' });
    expect((await Promise.all([upstream, darkroom].map(send))).map(statusAndCode)).toEqual([
      [200, undefined],
      [400, 'bad_request'],
    ]);
  });

  test('in that the reply to a request with a callback URL also has `success` and a trace ID', async () => {
    const [upstreamResponse, darkroomResponse] = await requestBoth({
      ...GENERATE,
      callback_url: 'http://127.0.0.1:9/',
    });
    expectShape(upstreamResponse?.body, 'submit-accepted');
    expectShape(darkroomResponse?.body, 'submit-accepted-async');
  });

  test('in that a passing error of the upstream is not shown', async () => {
    const responses = await requestBoth({
      ...GENERATE,
      prompt: `${PROMPT} [sandbox: delay=600s hiccup]`,
      async: true,
    });
    const read = async (server: FluxServer, id: unknown) =>
      (await new FluxClient(server).tasks({ action: 'retrieve', id })).body;
    expectShape(await read(upstream, responses[0]?.body.task_id), 'task-hiccup-not-over');
    expectShape(await read(darkroom, responses[1]?.body.task_id), 'task-pending');
  });

  function edit(fields: object): object {
    return {
      action: 'edits',
      prompt: PROMPT,
      model: 'flux-kontext-pro',
      image_url: 'http://127.0.0.1:9/',
      ...fields,
    };
  }

  function withDirectives(directives: string): object {
    return { ...GENERATE, prompt: `${PROMPT} [sandbox: ${directives}]` };
  }
});
