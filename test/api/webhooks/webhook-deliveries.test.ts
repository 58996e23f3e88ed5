import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { isId } from '../../../src/core/primitives/ids.js';
import { RedeliverWebhookDocument } from '../../../clients/operations.js';
import {
  type RequestHandler,
  dropConnection,
  TestHttpServer,
  reply,
} from '../../support/net/test-http-server.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import {
  webhookAttemptsOf,
  webhookDeliveriesOf,
  ALLOW_LOOPBACK,
  webhookPayloadOf,
  CHEAPEST_REQUEST,
  webhookIdOf,
} from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let endpoint: TestHttpServer;

beforeAll(async () => {
  app = await TestApp.start({
    environment: ALLOW_LOOPBACK,
    tuning: { webhookRetryDelaysMs: [20, 30, 40, 50] },
  });
});
afterAll(() => app.stop());
beforeEach(async () => {
  endpoint = await TestHttpServer.open(reply(200, 'thanks'));
});
afterEach(() => endpoint.close());

function generate(prompt: string) {
  return app.generate({ ...CHEAPEST_REQUEST, prompt, webhookUrl: `${endpoint.url}/hook` });
}
/** Answers each attempt with the next of these handlers, and all further attempts with the last one. */
function respondInOrder(...handlers: RequestHandler[]): void {
  endpoint.handler = (response, received) => {
    const handler = handlers[Math.min(endpoint.requests.length, handlers.length) - 1] ?? dropConnection;
    handler(response, received);
  };
}

describe('a webhook delivery', () => {
  test('is retried with the same webhook-id until the endpoint accepts it, and every attempt is recorded', async () => {
    respondInOrder(reply(500, 'later'), reply(503, ''), dropConnection, reply(200, 'accepted'));
    const { id } = await generate('for an endpoint that starts slowly');
    const event = await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    const [webhookId, ...otherIds] = new Set(endpoint.requests.map(webhookIdOf));
    expect(otherIds).toEqual([]);
    expect(event).toMatchObject({
      actor: 'webhook delivery',
      data: { webhookId, attempt: 4, statusCode: 200 },
    });
    expect(new Set(endpoint.requests.map(({ body }) => body)).size).toBe(1);

    const deliveries = await webhookDeliveriesOf(app, id);
    expect(deliveries.nodes).toMatchObject([
      { id: webhookId, kind: 'RESULT', status: 'DELIVERED', nextAttemptAt: null, attemptCount: 4 },
    ]);
    const { nodes } = await webhookAttemptsOf(app, id);
    const common = {
      id: expect.any(String),
      at: expect.any(String),
      latencyMs: expect.any(Number),
    };
    const retried = { nextAttemptAt: expect.any(String), statusCode: null, responseBody: null };
    const connectionClosed = 'the connection was closed before the response was complete';
    expect(nodes).toEqual([
      {
        ...common,
        attemptNumber: 4,
        statusCode: 200,
        errorMessage: null,
        responseBody: 'accepted',
        nextAttemptAt: null,
      },
      { ...common, ...retried, attemptNumber: 3, errorMessage: connectionClosed },
      {
        ...common,
        ...retried,
        attemptNumber: 2,
        statusCode: 503,
        errorMessage: 'The endpoint responded with status 503.',
        responseBody: '',
      },
      {
        ...common,
        ...retried,
        attemptNumber: 1,
        statusCode: 500,
        errorMessage: 'The endpoint responded with status 500.',
        responseBody: 'later',
      },
    ]);
    for (const [index, { id: attemptId, at, nextAttemptAt, latencyMs }] of nodes.entries()) {
      expect(isId(attemptId)).toBe(true);
      expect(latencyMs).toBeGreaterThanOrEqual(0);
      const previous = nodes[index + 1];
      expect(Date.parse(at)).toBeGreaterThanOrEqual(Date.parse(previous?.nextAttemptAt ?? '2000-01-01'));
      if (nextAttemptAt) expect(Date.parse(nextAttemptAt)).toBeGreaterThan(Date.parse(at));
    }
  });

  test('is pending with the time of its next attempt until that one is made', async () => {
    endpoint.handler = reply(500, '', { 'retry-after': '3600' });
    const { id } = await generate('for an endpoint that asks for an hour');
    await waitFor('the first attempt', async () => {
      const { nodes } = await webhookDeliveriesOf(app, id);
      return nodes.some(({ attempts }) => attempts.nodes.length > 0);
    });
    // Read again, because one query can read the delivery before an attempt is recorded and its attempts afterwards.
    const [delivery] = (await webhookDeliveriesOf(app, id)).nodes;
    if (!delivery) throw new Error(`Task ${id} has no webhook delivery.`);
    expect(delivery).toMatchObject({ kind: 'RESULT', status: 'PENDING', attemptCount: 1 });
    expect(delivery.nextAttemptAt).toBe(delivery.attempts.nodes[0]?.nextAttemptAt);
    expect(Date.parse(delivery.nextAttemptAt ?? '')).toBeGreaterThan(Date.now() + 3_000_000);
    expect(Date.parse(delivery.createdAt)).toBeLessThanOrEqual(Date.now());
  });

  test('is abandoned after the last attempt, with an event', async () => {
    endpoint.handler = dropConnection;
    const { id } = await generate('for an endpoint that never answers');
    const { data } = await app.waitForEvent(id, 'WEBHOOK_ABANDONED');
    const reason = 'the connection was closed before the response was complete';
    expect(data).toMatchObject({ attempt: 5, reason });
    expect(endpoint.requests).toHaveLength(5);
    const { nodes } = await webhookAttemptsOf(app, id);
    expect(nodes.map(({ nextAttemptAt }) => nextAttemptAt !== null)).toEqual([false, true, true, true, true]);
    expect((await webhookDeliveriesOf(app, id)).nodes).toMatchObject([
      { status: 'ABANDONED', nextAttemptAt: null, attemptCount: 5 },
    ]);
  });

  test('returns its attempts in pages, newest first', async () => {
    respondInOrder(reply(500, ''), reply(500, ''), reply(200, ''));
    const { id } = await generate('with attempts in pages');
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    const first = await webhookAttemptsOf(app, id, 2);
    expect(first.nodes.map(({ attemptNumber }) => attemptNumber)).toEqual([3, 2]);
    expect(first.pageInfo.hasNextPage).toBe(true);
    const second = await webhookAttemptsOf(app, id, 2, first.pageInfo.endCursor ?? '');
    expect(second.nodes.map(({ attemptNumber }) => attemptNumber)).toEqual([1]);
    expect(second.pageInfo.hasNextPage).toBe(false);
    await expect(webhookAttemptsOf(app, id, 101)).rejects.toThrow('BAD_REQUEST');
    await expect(webhookAttemptsOf(app, id, 2, 'no cursor')).rejects.toThrow('BAD_REQUEST');
  });

  test('of a late result has its own ID and attempts, and a task returns its deliveries in pages', async () => {
    const { id } = await generate('with a late result');
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    await app.rows(
      `INSERT INTO webhook_deliveries (workspace_id, task_id, kind, status, endpoint)
       SELECT workspace_id, id, 'LATE_RESULT', 'ABANDONED', $2 FROM tasks WHERE id = $1`,
      [id, endpoint.url],
    );
    const all = (await webhookDeliveriesOf(app, id)).nodes;
    expect(all.map(({ kind, attemptCount }) => ({ kind, attemptCount }))).toEqual([
      { kind: 'LATE_RESULT', attemptCount: 0 },
      { kind: 'RESULT', attemptCount: 1 },
    ]);
    expect(all.map(({ attempts }) => attempts.nodes.length)).toEqual([0, 1]);
    expect(new Set(all.map((delivery) => delivery.id)).size).toBe(2);

    const first = await webhookDeliveriesOf(app, id, 1);
    expect(first.nodes).toEqual(all.slice(0, 1));
    expect(first.pageInfo.hasNextPage).toBe(true);
    const second = await webhookDeliveriesOf(app, id, 1, first.pageInfo.endCursor ?? '');
    expect(second.nodes).toEqual(all.slice(1));
    expect(second.pageInfo.hasNextPage).toBe(false);
    await expect(webhookDeliveriesOf(app, id, 101)).rejects.toThrow('BAD_REQUEST');
    await expect(webhookDeliveriesOf(app, id, 2, 'no cursor')).rejects.toThrow('BAD_REQUEST');
  });

  test('is abandoned after a 410, and is sent again when a redelivery is requested', async () => {
    respondInOrder(reply(410, 'no more'), reply(200, 'accepted again'));
    const { id } = await generate('for an endpoint that is gone');
    const { data } = await app.waitForEvent(id, 'WEBHOOK_ABANDONED');
    expect(data).toMatchObject({
      attempt: 1,
      reason: 'The endpoint responded with status 410, which ends the delivery.',
    });
    expect((await webhookAttemptsOf(app, id)).nodes).toMatchObject([
      { statusCode: 410, nextAttemptAt: null },
    ]);
    // Gives the service time for another attempt, if it would make one.
    await app.waitUntilSettled((await generate('meanwhile')).id);
    expect(endpoint.requests.filter((request) => webhookPayloadOf(request).task_id === id)).toHaveLength(1);

    const { redeliverWebhook } = await app.query(RedeliverWebhookDocument, { input: { taskId: id } });
    expect(redeliverWebhook).toMatchObject({ task: { id }, userErrors: [] });
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    const requests = endpoint.requests.filter((request) => webhookPayloadOf(request).task_id === id);
    expect(new Set(requests.map(webhookIdOf)).size).toBe(1);
    expect(requests).toHaveLength(2);
    expect((await webhookAttemptsOf(app, id)).nodes.map(({ attemptNumber }) => attemptNumber)).toEqual([
      2, 1,
    ]);
  });

  test('can be redelivered after it was delivered, with a full number of attempts', async () => {
    const { id } = await generate('to be redelivered');
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    respondInOrder(dropConnection, ...Array<RequestHandler>(4).fill(reply(500, '')), reply(200, ''));
    await app.query(RedeliverWebhookDocument, { input: { taskId: id } });
    await waitFor('the second delivery', async () => {
      const delivered = eventTypes(await app.history(id)).filter((type) => type === 'WEBHOOK_DELIVERED');
      return delivered.length === 2;
    });
    expect(new Set(endpoint.requests.map(webhookIdOf)).size).toBe(1);
    expect((await webhookAttemptsOf(app, id)).nodes[0]).toMatchObject({ attemptNumber: 6, statusCode: 200 });
  });

  test('cannot be redelivered when there is nothing to deliver', async () => {
    const { id } = await app.generate({ ...CHEAPEST_REQUEST, prompt: 'without a webhook URL' });
    await app.waitUntilSettled(id);
    const withoutWebhook = await app.query(RedeliverWebhookDocument, { input: { taskId: id } });
    expect(withoutWebhook.redeliverWebhook).toMatchObject({
      task: null,
      userErrors: [{ code: 'NO_WEBHOOK' }],
    });
    const running = await generate('still running [sandbox: delay=5s]');
    const tooEarly = await app.query(RedeliverWebhookDocument, { input: { taskId: running.id } });
    expect(tooEarly.redeliverWebhook.userErrors).toMatchObject([
      { code: 'NO_WEBHOOK', message: expect.stringMatching(/The result is posted as soon as it exists/) },
    ]);
  });
});
