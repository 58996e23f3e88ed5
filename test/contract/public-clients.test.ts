import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CLIENT_POLLERS, linksForSdk } from '../support/flux-api/client-pollers.js';
import {
  FluxClient,
  type FluxServer,
  imagesOf,
  startDarkroom,
  startSandbox,
  statusAndCode,
} from '../support/flux-api/flux-servers.js';
import { reply, TestHttpServer } from '../support/net/test-http-server.js';
import {
  CALLBACK,
  type ClientRequest,
  fillIn,
  SOURCE_IMAGE,
  TASK_ID,
} from './public-clients/client-request.js';
import { IMAGE_REQUESTS } from './public-clients/image-requests.js';
import {
  NO_TASKS_REQUEST,
  ONE_TASK_REQUESTS,
  SEVERAL_TASKS_REQUESTS,
} from './public-clients/task-requests.js';

/** What public clients of the hosted API send and read, on the sandbox and on Darkroom. */

const PROMPT = 'a white siamese cat';
const SLOW_PROMPT = `${PROMPT} [sandbox: delay=600s]`;

const SERVERS = [
  { name: 'the sandbox', start: startSandbox, isUpstream: true },
  { name: 'Darkroom', start: startDarkroom, isUpstream: false },
];

test('at least sixty requests of public clients are part of the contract', () => {
  const requests = [...IMAGE_REQUESTS, ...ONE_TASK_REQUESTS, ...SEVERAL_TASKS_REQUESTS, NO_TASKS_REQUEST];
  expect(requests.length).toBeGreaterThanOrEqual(60);
  expect(new Set(requests.map(({ client }) => client)).size).toBe(requests.length);
});

describe.each(SERVERS)('$name', ({ start, isUpstream }) => {
  let server: FluxServer;
  let flux: FluxClient;
  let callbackServer: TestHttpServer;
  let sourceUrl: string;
  let taskId: string;
  beforeAll(async () => {
    [server, callbackServer] = await Promise.all([start(), TestHttpServer.open(reply(200, {}))]);
    flux = new FluxClient(server);
    const source = await flux.images({ action: 'generate', prompt: 'a source', size: '256x256' });
    sourceUrl = imagesOf(source)[0]?.image_url ?? '';
    taskId = String(source.body.task_id);
  });
  afterAll(() => Promise.all([server.close(), callbackServer.close()]));

  function send(path: string, { body, headers }: ClientRequest) {
    const values = { [SOURCE_IMAGE]: sourceUrl, [CALLBACK]: callbackServer.url, [TASK_ID]: taskId };
    return flux.post(path, fillIn(body, values), headers);
  }

  test.each(IMAGE_REQUESTS)('accepts an image request of the $client', async (request) => {
    const response = await send('/flux/images', request);
    const isRefused = isUpstream && request.refusedUpstream === true;
    expect(statusAndCode(response)).toEqual(isRefused ? [400, 'bad_request'] : [200, undefined]);
    if (!isRefused) expect(response.body).toMatchObject({ task_id: expect.any(String) as unknown });
  });

  test.each(ONE_TASK_REQUESTS)('returns a task to the $client', async (request) => {
    const { status, body } = await send('/flux/tasks', request);
    expect([status, body.id]).toEqual([200, taskId]);
  });

  test.each(SEVERAL_TASKS_REQUESTS)('returns a list of tasks to the $client', async (request) => {
    const { status, body } = await send('/flux/tasks', request);
    expect(status).toBe(200);
    expect(body.count).toBeGreaterThan(0);
    expect((body.items as unknown[]).length).toBeGreaterThan(0);
  });

  test(`returns an empty list to the ${NO_TASKS_REQUEST.client}`, async () => {
    expect((await send('/flux/tasks', NO_TASKS_REQUEST)).body).toEqual({ items: [], count: 0 });
  });

  test('refuses to delete a task, which the Nexior playground asks for', async () => {
    const response = await flux.tasks({ action: 'delete', id: taskId, user_id: 'u' });
    expect(statusAndCode(response)).toEqual([400, 'api_not_implemented']);
  });

  describe('a poller goes on while a task is pending', () => {
    const PENDING: [what: string, fields: () => object][] = [
      ['generation with a callback URL', () => ({ action: 'generate', callback_url: callbackServer.url })],
      ['edit', () => ({ action: 'edit', model: 'flux-kontext-pro', image_url: sourceUrl, async: true })],
      [
        'edit with a callback URL',
        () => ({
          ...{ action: 'edit', model: 'flux-2-pro', size: '1:1' },
          ...{ image_url: sourceUrl, callback_url: callbackServer.url },
        }),
      ],
    ];
    test.each(PENDING)('%s', async (_what, fields) => {
      const { body } = await flux.images({ prompt: SLOW_PROMPT, ...fields() });
      const { body: task } = await flux.tasks({ id: body.task_id });
      const { body: batch } = await flux.tasks({ action: 'retrieve_batch', ids: [body.task_id] });
      for (const [client, poll] of Object.entries(CLIENT_POLLERS))
        expect([client, poll(task)]).toEqual([client, 'pending']);
      expect(linksForSdk(task)).toEqual([]);
      expect(task.response).toEqual({});
      expect(batch.items).toEqual([task]);
    });
  });

  test('a poller sees how a task ends', async () => {
    const finishedTask = async (prompt: string) => {
      const edit = { action: 'edit', model: 'flux-kontext-pro', image_url: sourceUrl, async: true };
      const { body } = await flux.images({ ...edit, prompt });
      return flux.waitUntilFinished(body.task_id);
    };
    const [done, failed] = await Promise.all([
      finishedTask(PROMPT),
      finishedTask(`${PROMPT} [sandbox: fail=forbidden]`),
    ]);
    for (const [client, poll] of Object.entries(CLIENT_POLLERS))
      expect([client, poll(done), poll(failed)]).toEqual([client, 'succeeded', 'failed']);
    const { data } = done.response as { data: { image_url: string }[] };
    expect(linksForSdk(done)).toEqual(data.map(({ image_url }) => image_url));
  });
});
