import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { TaskDeliveriesDocument, WebhookSecretDocument } from '../../clients/operations.js';
import { drop, Peer, reply } from '../net/peer.js';
import { TestApp } from '../support/app.js';

let app: TestApp;
let receiver: Peer;
let secret: string;

beforeAll(async () => {
  app = await TestApp.start({
    environment: { ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { deliveryDelaysMs: [20, 30, 40, 50] },
  });
  ({
    webhookSecret: { secret },
  } = await app.query(WebhookSecretDocument, {}));
});
afterAll(() => app.stop());
beforeEach(async () => {
  receiver = await Peer.open(reply(200, 'thanks'));
});
afterEach(() => receiver.close());

function ask(prompt: string) {
  return app.generate({ prompt, callbackUrl: `${receiver.url}/hook` });
}

describe('delivering', () => {
  test('posts the result, signed, and tells it', async () => {
    const task = await ask('a delivered picture');
    await app.happened(task.id, 'CALLBACK_DELIVERED');
    const [posted] = receiver.received;
    const result = new Webhook(secret).verify(posted?.body ?? '', posted?.headers as Record<string, string>);
    const { images } = await app.task(task.id);
    expect(result).toMatchObject({
      success: true,
      task_id: task.id,
      data: [{ prompt: 'a delivered picture', image_url: images[0]?.url }],
    });
  });

  test('tries again with the same webhook-id until it is taken, and keeps every attempt', async () => {
    receiver.answer = (response, received) => {
      const answer = receiver.received.length <= 3 ? reply(500, 'later') : reply(200, 'at last');
      answer(response, received);
    };
    const task = await ask('a picture for a slow starter');
    await app.happened(task.id, 'CALLBACK_DELIVERED');
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    const { task: found } = await app.query(TaskDeliveriesDocument, { id: task.id });
    expect(found?.deliveries.nodes).toMatchObject([
      { attempt: 4, statusCode: 200, failure: null, answer: 'at last', nextAttemptAt: null },
      { attempt: 3, statusCode: 500, answer: 'later' },
      { attempt: 2, statusCode: 500 },
      { attempt: 1, statusCode: 500, failure: 'It answered 500.' },
    ]);
  });

  test('gives up after the last attempt, and says so', async () => {
    receiver.answer = drop;
    const task = await ask('a picture for nobody');
    const abandoned = await app.happened(task.id, 'CALLBACK_ABANDONED');
    expect(abandoned.data).toMatchObject({ attempt: 5 });
    expect(receiver.received).toHaveLength(5);
  });
});
