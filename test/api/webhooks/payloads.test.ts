import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { API_ERROR_CODES, type ApiErrorCode } from '../../../src/core/flux-api/flux-error.js';
import { CancelTaskDocument, RedeliverCallbackDocument } from '../../../clients/operations.js';
import { Peer, type Received, reply } from '../../support/net/http-peer.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { LOOPBACK, resultOf, webhookIdOf } from '../../support/webhooks/received-webhooks.js';

/** Nobody fetches from there, so a picture with such a link is lost at once. */
const UNFETCHABLE = 'http://10.0.0.1/picture.png';
/** What we tell of the upstream's errors, where it is another one: our token and our time are no concern of the caller's. */
const TOLD_AS: Partial<Record<ApiErrorCode, ApiErrorCode>> = {
  token_mismatched: 'bad_request',
  api_not_implemented: 'bad_request',
  no_api: 'bad_request',
  no_token: 'api_error',
  invalid_token: 'api_error',
  token_expired: 'api_error',
  timeout: 'api_error',
};

let upstream: FakeUpstream;
let app: TestApp;
let receiver: Peer;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  const environment = { ...upstream.environment, ...LOOPBACK };
  app = await TestApp.start({ environment, tuning: { deliveryDelaysMs: Array<number>(200).fill(50) } });
  receiver = await Peer.open(reply(200, ''));
});
beforeEach(() => {
  receiver.answer = reply(200, '');
});
afterAll(async () => {
  await app.stop();
  await Promise.all([upstream.close(), receiver.close()]);
});

/** A task, and the path that the upstream posts its result to. */
type Asked = Awaited<ReturnType<typeof ask>>;
async function ask(count = 1) {
  const prompt = `wish ${newId()}`;
  const { id } = await app.generate({ prompt, count, callbackUrl: `${receiver.url}/hook` });
  return { id, prompt, path: await upstream.callbackPath(prompt) };
}
function callbacksOf({ id }: Asked): Received[] {
  return receiver.received.filter((one) => resultOf(one).task_id === id);
}
async function callbacks(asked: Asked, count = 1): Promise<Received[]> {
  return waitFor(`${count} callbacks`, () => {
    const found = callbacksOf(asked);
    return found.length >= count && found;
  });
}
async function cancel({ id }: Asked): Promise<void> {
  await app.query(CancelTaskDocument, { input: { id } });
}
function success(count: number, gone: readonly number[] = []): object {
  const body = upstream.success(count, newId()) as { data: { image_url: string }[] };
  for (const index of gone) Object.assign(body.data[index] ?? {}, { image_url: UNFETCHABLE });
  return body;
}

describe('the result of a task', () => {
  test('that succeeded has every picture as the upstream told of it, with our links', async () => {
    const asked = await ask(2);
    await app.send(asked.path, success(2));
    const [received] = await callbacks(asked);
    const { images } = await app.task(asked.id);
    const [row] = await app.rows<{ trace: string }>('SELECT trace_id AS trace FROM tasks WHERE id = $1', [
      asked.id,
    ]);
    expect(resultOf(received)).toEqual({
      success: true,
      task_id: asked.id,
      trace_id: row?.trace,
      data: [0, 1].map((index) => ({
        prompt: asked.prompt,
        image_url: images[index]?.url,
        seed: index,
        timings: { inference: 1.5 },
      })),
    });
    for (const { image_url } of resultOf(received).data) {
      expect((await app.get(pathOf(image_url))).status).toBe(200);
    }
  });

  test('leaves out pictures that were lost', async () => {
    const asked = await ask(3);
    await app.send(asked.path, success(3, [1]));
    const [received] = await callbacks(asked);
    expect(resultOf(received)).toMatchObject({ success: true, data: [{ seed: 0 }, { seed: 2 }] });
  });

  test('of which every picture was lost says so', async () => {
    const asked = await ask(2);
    await app.send(asked.path, success(2, [0, 1]));
    const error = { code: 'api_error', message: expect.stringMatching(/do not serve them. Ask again/) };
    const [received] = await callbacks(asked);
    expect(resultOf(received)).toEqual({
      success: false,
      task_id: asked.id,
      trace_id: expect.any(String),
      error,
    });
  });

  test.each(API_ERROR_CODES)('that failed with %s says it in the words of the Flux API', async (code) => {
    const asked = await ask();
    await app.send(asked.path, upstream.failure(code));
    const [received] = await callbacks(asked);
    const { status, error } = await app.task(asked.id);
    expect(status).toBe('FAILED');
    expect(resultOf(received)).toEqual({
      success: false,
      task_id: asked.id,
      trace_id: expect.any(String),
      error: { code: TOLD_AS[code] ?? code, message: error?.message },
    });
  });

  test('that was canceled asks nobody to try again', async () => {
    const asked = await ask();
    await cancel(asked);
    const [received] = await callbacks(asked);
    const error = { code: 'bad_request', message: expect.stringMatching(/was canceled/) };
    expect(resultOf(received)).toMatchObject({ success: false, error });
  });

  test('that expired is a time-out', async () => {
    const asked = await ask();
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [asked.id]);
    const [received] = await callbacks(asked);
    expect(resultOf(received)).toMatchObject({ success: false, error: { code: 'timeout' } });
    expect((await app.task(asked.id)).status).toBe('EXPIRED');
  });
});

describe('the moment of a callback', () => {
  test('is when the task can be read as ended, with all its pictures', async () => {
    const seen: unknown[] = [];
    receiver.answer = (response, received) => {
      void app.task(resultOf(received).task_id).then(({ status, images }) => {
        seen.push([status, ...images.map(({ storedAt }) => storedAt !== null)]);
        response.writeHead(200).end();
      });
    };
    for (let round = 0; round < 10; round += 1) {
      const asked = await ask(2);
      await app.send(asked.path, success(2));
      await app.happened(asked.id, 'CALLBACK_DELIVERED');
    }
    expect(seen).toEqual(Array(10).fill(['SUCCEEDED', true, true]));
  });

  test('of late pictures is after that of the end, which was told before, also when that was tried again', async () => {
    receiver.answer = reply(500, '');
    const asked = await ask(2);
    await cancel(asked);
    await app.send(asked.path, success(2));
    await waitFor('the late one to be due', async () => {
      const both = 'SELECT FROM outgoing_callbacks WHERE task_id = $1';
      return (await app.rows(both, [asked.id])).length === 2;
    });
    await callbacks(asked, callbacksOf(asked).length + 3);
    receiver.answer = reply(200, '');
    const received = await waitFor('the late one', () => {
      const found = callbacksOf(asked);
      return resultOf(found.at(-1)).success && found;
    });
    const last = received.at(-1);
    const ids = [webhookIdOf(received[0]), webhookIdOf(last)];
    expect(new Set(ids).size).toBe(2);
    for (const one of received.slice(0, -1)) {
      expect([resultOf(one).success, webhookIdOf(one)]).toEqual([false, ids[0]]);
    }
    const { status, images, lateImages } = await app.task(asked.id);
    expect({ status, images }).toEqual({ status: 'CANCELED', images: [] });
    expect(resultOf(last).data.map(({ image_url }) => image_url)).toEqual(lateImages.map(({ url }) => url));

    await app.query(RedeliverCallbackDocument, { input: { id: asked.id } });
    const again = await callbacks(asked, received.length + 2);
    expect(again.slice(received.length).map(webhookIdOf)).toEqual(ids);
  });

  test('of late pictures does not wait for an end that nobody took', async () => {
    receiver.answer = (response, received) =>
      reply(resultOf(received).success ? 200 : 410, '')(response, received);
    const asked = await ask();
    await cancel(asked);
    await app.happened(asked.id, 'CALLBACK_ABANDONED');
    await app.send(asked.path, success(1));
    await app.happened(asked.id, 'CALLBACK_DELIVERED');
    expect((await callbacks(asked, 2)).map((one) => resultOf(one).success)).toEqual([false, true]);
  });
});
