import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { FLUX_ERROR_CODES, type FluxErrorCode } from '../../../src/core/flux-api/flux-errors.js';
import { CancelTaskDocument, RedeliverWebhookDocument } from '../../../clients/operations.js';
import { TestHttpServer, type ReceivedRequest, reply } from '../../support/net/test-http-server.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { ALLOW_LOOPBACK, webhookPayloadOf, webhookIdOf } from '../../support/webhooks/received-webhooks.js';

/** A private address, so an image with this URL is lost at once. */
const UNFETCHABLE = 'http://10.0.0.1/image.png';
/** Error codes that the payload replaces, because our token and our timeouts do not concern the caller. */
const PAYLOAD_CODES: Partial<Record<FluxErrorCode, FluxErrorCode>> = {
  token_mismatched: 'bad_request',
  api_not_implemented: 'bad_request',
  no_api: 'bad_request',
  no_token: 'api_error',
  invalid_token: 'api_error',
  token_expired: 'api_error',
};

let upstream: FakeUpstream;
let app: TestApp;
let endpoint: TestHttpServer;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  const environment = { ...upstream.environment, ...ALLOW_LOOPBACK };
  app = await TestApp.start({ environment, tuning: { webhookRetryDelaysMs: Array<number>(200).fill(50) } });
  endpoint = await TestHttpServer.open(reply(200, ''));
});
beforeEach(() => {
  endpoint.handler = reply(200, '');
});
afterAll(async () => {
  await app.stop();
  await Promise.all([upstream.close(), endpoint.close()]);
});

/** A task, and the path of its upstream callback. */
type CreatedTask = Awaited<ReturnType<typeof createTask>>;
async function createTask(count = 1) {
  const prompt = `request ${newId()}`;
  const { id } = await app.generate({ prompt, count, webhookUrl: `${endpoint.url}/hook` });
  return { id, prompt, path: await upstream.callbackPath(prompt) };
}
function requestsFor({ id }: CreatedTask): ReceivedRequest[] {
  return endpoint.requests.filter((request) => webhookPayloadOf(request).task_id === id);
}
async function waitForRequests(task: CreatedTask, count = 1): Promise<ReceivedRequest[]> {
  return waitFor(`${count} webhook requests`, () => {
    const found = requestsFor(task);
    return found.length >= count && found;
  });
}
async function cancel({ id }: CreatedTask): Promise<void> {
  await app.query(CancelTaskDocument, { input: { id } });
}
/** The body of a successful upstream callback. The images with the indexes in `unfetchable` cannot be downloaded. */
function successBody(count: number, unfetchable: readonly number[] = []): object {
  const body = upstream.successCallback(count, newId()) as { data: { image_url: string }[] };
  for (const index of unfetchable) Object.assign(body.data[index] ?? {}, { image_url: UNFETCHABLE });
  return body;
}

describe('the webhook of a task', () => {
  test('that succeeded contains the upstream result of each image, with signed links', async () => {
    const task = await createTask(2);
    await app.postBody(task.path, successBody(2));
    const [received] = await waitForRequests(task);
    const { images } = await app.task(task.id);
    const [row] = await app.rows<{ trace: string }>('SELECT trace_id AS trace FROM tasks WHERE id = $1', [
      task.id,
    ]);
    expect(webhookPayloadOf(received)).toEqual({
      success: true,
      task_id: task.id,
      trace_id: row?.trace,
      data: [0, 1].map((index) => ({
        prompt: task.prompt,
        image_url: images[index]?.url,
        seed: index,
        timings: { inference: 1.5 },
      })),
    });
    for (const { image_url } of webhookPayloadOf(received).data) {
      expect((await app.get(pathAndQuery(image_url))).status).toBe(200);
    }
  });

  test('that succeeded leaves out lost images', async () => {
    const task = await createTask(3);
    await app.postBody(task.path, successBody(3, [1]));
    const [received] = await waitForRequests(task);
    expect(webhookPayloadOf(received)).toMatchObject({ success: true, data: [{ seed: 0 }, { seed: 2 }] });
  });

  test('whose images were all lost reports an error', async () => {
    const task = await createTask(2);
    await app.postBody(task.path, successBody(2, [0, 1]));
    const error = {
      code: 'timeout',
      message: expect.stringMatching(
        /could not be downloaded from the upstream. A new request is billed again\. The upstream's links may still work: http/,
      ),
    };
    const [received] = await waitForRequests(task);
    expect(webhookPayloadOf(received)).toEqual({
      success: false,
      task_id: task.id,
      trace_id: expect.any(String),
      error,
    });
  });

  test.each(FLUX_ERROR_CODES)('that failed with %s has an error code of the Flux API', async (code) => {
    const task = await createTask();
    await app.postBody(task.path, upstream.failureCallback(code));
    const [received] = await waitForRequests(task);
    const { status, error } = await app.task(task.id);
    expect(status).toBe('FAILED');
    expect(webhookPayloadOf(received)).toEqual({
      success: false,
      task_id: task.id,
      trace_id: expect.any(String),
      error: { code: PAYLOAD_CODES[code] ?? code, message: error?.message },
    });
  });

  test('that was canceled has an error code that is not retryable', async () => {
    const task = await createTask();
    await cancel(task);
    const [received] = await waitForRequests(task);
    const error = { code: 'bad_request', message: expect.stringMatching(/was canceled/) };
    expect(webhookPayloadOf(received)).toMatchObject({ success: false, error });
  });

  test('that expired has the error code timeout', async () => {
    const task = await createTask();
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [task.id]);
    const [received] = await waitForRequests(task);
    expect(webhookPayloadOf(received)).toMatchObject({ success: false, error: { code: 'timeout' } });
    expect((await app.task(task.id)).status).toBe('EXPIRED');
  });
});

describe('a webhook request', () => {
  test('is sent when the task can be read with its final status and all its images', async () => {
    const taskStates: unknown[] = [];
    endpoint.handler = (response, received) => {
      void app.task(webhookPayloadOf(received).task_id).then(({ status, images }) => {
        taskStates.push([status, ...images.map(({ storedAt }) => storedAt !== null)]);
        response.writeHead(200).end();
      });
    };
    for (let round = 0; round < 10; round += 1) {
      const task = await createTask(2);
      await app.postBody(task.path, successBody(2));
      await app.waitForEvent(task.id, 'WEBHOOK_DELIVERED');
    }
    expect(taskStates).toEqual(Array(10).fill(['SUCCEEDED', true, true]));
  });

  test('for late images is sent after the one for the final status, even when that one is retried', async () => {
    endpoint.handler = reply(500, '');
    const task = await createTask(2);
    await cancel(task);
    await app.postBody(task.path, successBody(2));
    await waitFor('the late result to be due', async () => {
      const deliveries = 'SELECT FROM webhook_deliveries WHERE task_id = $1';
      return (await app.rows(deliveries, [task.id])).length === 2;
    });
    await waitForRequests(task, requestsFor(task).length + 3);
    endpoint.handler = reply(200, '');
    const received = await waitFor('the late result', () => {
      const found = requestsFor(task);
      return webhookPayloadOf(found.at(-1)).success && found;
    });
    const last = received.at(-1);
    const ids = [webhookIdOf(received[0]), webhookIdOf(last)];
    expect(new Set(ids).size).toBe(2);
    for (const request of received.slice(0, -1)) {
      expect([webhookPayloadOf(request).success, webhookIdOf(request)]).toEqual([false, ids[0]]);
    }
    const { status, images, lateImages } = await app.task(task.id);
    expect({ status, images }).toEqual({ status: 'CANCELED', images: [] });
    expect(webhookPayloadOf(last).data.map(({ image_url }) => image_url)).toEqual(
      lateImages.map(({ url }) => url),
    );

    await app.query(RedeliverWebhookDocument, { input: { taskId: task.id } });
    const all = await waitForRequests(task, received.length + 2);
    expect(all.slice(received.length).map(webhookIdOf)).toEqual(ids);
  });

  test('for late images is sent although the one for the final status was abandoned', async () => {
    endpoint.handler = (response, received) =>
      reply(webhookPayloadOf(received).success ? 200 : 410, '')(response, received);
    const task = await createTask();
    await cancel(task);
    await app.waitForEvent(task.id, 'WEBHOOK_ABANDONED');
    await app.postBody(task.path, successBody(1));
    await app.waitForEvent(task.id, 'WEBHOOK_DELIVERED');
    expect((await waitForRequests(task, 2)).map((request) => webhookPayloadOf(request).success)).toEqual([
      false,
      true,
    ]);
  });
});
