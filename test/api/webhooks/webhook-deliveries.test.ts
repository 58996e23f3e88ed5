import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { isId } from '../../../src/core/primitives/ids.js';
import { RedeliverCallbackDocument } from '../../../clients/operations.js';
import { type Answerer, drop, Peer, reply } from '../../support/net/http-peer.js';
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import {
  deliveriesOf,
  LOOPBACK,
  resultOf,
  SMALL,
  webhookIdOf,
} from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let receiver: Peer;

beforeAll(async () => {
  app = await TestApp.start({ environment: LOOPBACK, tuning: { deliveryDelaysMs: [20, 30, 40, 50] } });
});
afterAll(() => app.stop());
beforeEach(async () => {
  receiver = await Peer.open(reply(200, 'thanks'));
});
afterEach(() => receiver.close());

function ask(prompt: string) {
  return app.generate({ ...SMALL, prompt, callbackUrl: `${receiver.url}/hook` });
}
/** Each attempt is answered by the next of these, and the last one answers all that follow. */
function answerBy(...answers: Answerer[]): void {
  receiver.answer = (response, received) => {
    const answer = answers[Math.min(receiver.received.length, answers.length) - 1] ?? drop;
    answer(response, received);
  };
}

describe('delivering', () => {
  test('tries again with the same webhook-id until it is taken, and keeps every attempt whole', async () => {
    answerBy(reply(500, 'later'), reply(503, ''), drop, reply(200, 'at last'));
    const { id } = await ask('a picture for a slow starter');
    const told = await app.happened(id, 'CALLBACK_DELIVERED');
    const [webhookId, ...others] = new Set(receiver.received.map(webhookIdOf));
    expect(others).toEqual([]);
    expect(told).toMatchObject({
      actor: 'callback delivery',
      data: { webhookId, attempt: 4, statusCode: 200 },
    });
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);

    const { nodes } = await deliveriesOf(app, id);
    const same = { webhookId, id: expect.any(String), at: expect.any(String), latencyMs: expect.any(Number) };
    const later = { nextAttemptAt: expect.any(String), statusCode: null, answer: null };
    const broken = 'the connection was closed before the answer was complete';
    expect(nodes).toEqual([
      { ...same, attempt: 4, statusCode: 200, failure: null, answer: 'at last', nextAttemptAt: null },
      { ...same, ...later, attempt: 3, failure: broken },
      { ...same, ...later, attempt: 2, statusCode: 503, failure: 'It answered 503.', answer: '' },
      { ...same, ...later, attempt: 1, statusCode: 500, failure: 'It answered 500.', answer: 'later' },
    ]);
    for (const [index, { id: deliveryId, at, nextAttemptAt, latencyMs }] of nodes.entries()) {
      expect(isId(deliveryId)).toBe(true);
      expect(latencyMs).toBeGreaterThanOrEqual(0);
      const before = nodes[index + 1];
      expect(Date.parse(at)).toBeGreaterThanOrEqual(Date.parse(before?.nextAttemptAt ?? '2000-01-01'));
      if (nextAttemptAt) expect(Date.parse(nextAttemptAt)).toBeGreaterThan(Date.parse(at));
    }
  });

  test('gives up after the last attempt, and says so', async () => {
    receiver.answer = drop;
    const { id } = await ask('a picture for nobody');
    const { data } = await app.happened(id, 'CALLBACK_ABANDONED');
    const reason = 'the connection was closed before the answer was complete';
    expect(data).toMatchObject({ attempt: 5, reason });
    expect(receiver.received).toHaveLength(5);
    const { nodes } = await deliveriesOf(app, id);
    expect(nodes.map(({ nextAttemptAt }) => nextAttemptAt !== null)).toEqual([false, true, true, true, true]);
  });

  test('pages through the attempts, newest first', async () => {
    answerBy(reply(500, ''), reply(500, ''), reply(200, ''));
    const { id } = await ask('a picture in pages');
    await app.happened(id, 'CALLBACK_DELIVERED');
    const first = await deliveriesOf(app, id, 2);
    expect(first.nodes.map(({ attempt }) => attempt)).toEqual([3, 2]);
    expect(first.pageInfo.hasNextPage).toBe(true);
    const second = await deliveriesOf(app, id, 2, first.pageInfo.endCursor ?? '');
    expect(second.nodes.map(({ attempt }) => attempt)).toEqual([1]);
    expect(second.pageInfo.hasNextPage).toBe(false);
    await expect(deliveriesOf(app, id, 101)).rejects.toThrow('BAD_REQUEST');
    await expect(deliveriesOf(app, id, 2, 'no cursor')).rejects.toThrow('BAD_REQUEST');
  });

  test('stops at a 410, and posts the same again when somebody asks for it', async () => {
    answerBy(reply(410, 'no more'), reply(200, 'well then'));
    const { id } = await ask('a picture for one who has left');
    const { data } = await app.happened(id, 'CALLBACK_ABANDONED');
    expect(data).toMatchObject({ attempt: 1, reason: 'It answered 410: it wants no more of this.' });
    expect((await deliveriesOf(app, id)).nodes).toMatchObject([{ statusCode: 410, nextAttemptAt: null }]);
    // Time for whatever would have been tried again.
    await app.settled((await ask('a picture meanwhile')).id);
    expect(receiver.received.filter((one) => resultOf(one).task_id === id)).toHaveLength(1);

    const { redeliverCallback } = await app.query(RedeliverCallbackDocument, { input: { id } });
    expect(redeliverCallback).toMatchObject({ task: { id }, userErrors: [] });
    await app.happened(id, 'CALLBACK_DELIVERED');
    const ours = receiver.received.filter((one) => resultOf(one).task_id === id);
    expect(new Set(ours.map(webhookIdOf)).size).toBe(1);
    expect(ours).toHaveLength(2);
    expect((await deliveriesOf(app, id)).nodes.map(({ attempt }) => attempt)).toEqual([2, 1]);
  });

  test('posts what was delivered again as often as somebody asks, with all its attempts anew', async () => {
    const { id } = await ask('a picture that was mislaid');
    await app.happened(id, 'CALLBACK_DELIVERED');
    answerBy(drop, ...Array<Answerer>(4).fill(reply(500, '')), reply(200, ''));
    await app.query(RedeliverCallbackDocument, { input: { id } });
    await waitFor('the second delivery', async () => {
      const told = typesOf(await app.history(id)).filter((type) => type === 'CALLBACK_DELIVERED');
      return told.length === 2;
    });
    expect(new Set(receiver.received.map(webhookIdOf)).size).toBe(1);
    expect((await deliveriesOf(app, id)).nodes[0]).toMatchObject({ attempt: 6, statusCode: 200 });
  });

  test('is asked for in vain where there is nothing to post', async () => {
    const { id } = await app.generate({ ...SMALL, prompt: 'a picture without a receiver' });
    await app.settled(id);
    const ended = await app.query(RedeliverCallbackDocument, { input: { id } });
    expect(ended.redeliverCallback).toMatchObject({ task: null, userErrors: [{ code: 'NO_CALLBACK' }] });
    const open = await ask('a picture that takes its time [sandbox: delay=5s]');
    const early = await app.query(RedeliverCallbackDocument, { input: { id: open.id } });
    expect(early.redeliverCallback.userErrors).toMatchObject([
      { code: 'NO_CALLBACK', message: expect.stringMatching(/It is posted when it is there/) },
    ]);
  });
});
