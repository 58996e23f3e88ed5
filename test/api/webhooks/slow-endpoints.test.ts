import { type ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestHttpServer, reply, neverReply } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import {
  addTasksWithDueWebhooks,
  ALLOW_LOOPBACK,
  webhookPayloadOf,
} from '../../support/webhooks/received-webhooks.js';

/** How much longer a webhook may take beside hanging endpoints on a busy machine. Waiting for one of them takes 15 s. */
const TOLERATED_DELAY_MS = 3_000;

let app: TestApp;
let endpoint: TestHttpServer;
let hangingEndpoints: TestHttpServer[];

beforeAll(async () => {
  app = await TestApp.start({ environment: ALLOW_LOOPBACK });
});
afterAll(() => app.stop());
beforeEach(async () => {
  endpoint = await TestHttpServer.open(reply(200, ''));
  hangingEndpoints = [];
});
afterEach(async () => {
  await app.rows('TRUNCATE webhook_deliveries, webhook_attempts');
  await Promise.all([endpoint, ...hangingEndpoints].map((server) => server.close()));
});

/** Opens endpoints that never answer, each with `taskCount` webhooks, and waits until each has received one. */
async function addHangingEndpoints(count: number, taskCount: number): Promise<void> {
  hangingEndpoints = await Promise.all(Array.from({ length: count }, () => TestHttpServer.open(neverReply)));
  await Promise.all(
    hangingEndpoints.map(({ url }) => addTasksWithDueWebhooks(app, `${url}/hook`, taskCount)),
  );
  await waitFor('an attempt at each endpoint', () =>
    hangingEndpoints.every(({ requests }) => requests.length > 0),
  );
}
/** Adds `count` webhooks and returns the longest time between the insertion of a delivery and its arrival. */
async function slowestDeliveryMs(count: number): Promise<number> {
  const arrivals = new Map<string, number>();
  endpoint.handler = (response, received) => {
    arrivals.set(webhookPayloadOf(received).task_id, Date.now());
    reply(200, '')(response, received);
  };
  const ids = await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, count);
  await waitFor(`${count} webhooks`, () => ids.every((id) => arrivals.has(id)), { timeoutMs: 20_000 });
  const rows = await app.rows<{ id: string; at: Date }>(
    'SELECT task_id AS id, created_at AS at FROM webhook_deliveries WHERE task_id = ANY($1)',
    [ids],
  );
  return Math.max(...rows.map(({ id, at }) => (arrivals.get(id) ?? Infinity) - at.getTime()));
}
/** The number of attempts at each hanging endpoint. */
function attemptCounts(): number[] {
  return hangingEndpoints.map(({ requests }) => requests.length);
}

describe('webhooks for one endpoint', () => {
  test('are not delayed by another endpoint that hangs with 40 tasks queued before them', async () => {
    const alone = await slowestDeliveryMs(50);
    await addHangingEndpoints(1, 40);
    expect(await slowestDeliveryMs(50)).toBeLessThan(alone + TOLERATED_DELAY_MS);
    // An endpoint that has not answered yet gets one attempt at a time, and not eight.
    expect(attemptCounts()).toEqual([1]);
  });

  test('are not delayed by 40 endpoints that hang with 25 tasks each', async () => {
    const alone = await slowestDeliveryMs(60);
    await addHangingEndpoints(40, 25);
    expect(await slowestDeliveryMs(60)).toBeLessThan(alone + TOLERATED_DELAY_MS);
    expect(attemptCounts()).toEqual(Array(40).fill(1));
  });

  test('are sent eight at a time while the endpoint answers, and one at a time when it stops answering', async () => {
    endpoint.handler = reply(503, '');
    await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, 1);
    await waitFor(
      'the first response',
      async () => (await app.rows('SELECT FROM webhook_attempts')).length > 0,
    );
    const openResponses: ServerResponse[] = [];
    endpoint.handler = (response) => openResponses.push(response);
    await addTasksWithDueWebhooks(app, `${endpoint.url}/hook`, 30);
    await waitFor('eight requests', () => openResponses.length === 8);
    await waitForAnotherEndpoint();
    expect(openResponses).toHaveLength(8);

    endpoint.handler = neverReply;
    for (const response of openResponses) response.destroy();
    await waitFor('the next request', () => endpoint.requests.length === 10);
    await waitForAnotherEndpoint();
    expect(endpoint.requests).toHaveLength(10);
  });
});

/** Delivers 20 webhooks to another endpoint. That gives the service time to send more requests than allowed, if it would. */
async function waitForAnotherEndpoint(): Promise<void> {
  const anotherEndpoint = await TestHttpServer.open(reply(200, ''));
  hangingEndpoints.push(anotherEndpoint);
  const ids = await addTasksWithDueWebhooks(app, `${anotherEndpoint.url}/hook`, 20);
  await waitFor('the webhooks of another endpoint', () => anotherEndpoint.requests.length === ids.length);
}
