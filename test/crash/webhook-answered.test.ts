import { expect, test } from '@jest/globals';
import {
  webhookAttemptsOf,
  ALLOW_LOOPBACK,
  webhookPayloadOf,
  CHEAPEST_REQUEST,
  webhookIdOf,
} from '../support/webhooks/received-webhooks.js';
import { TestHttpServer, reply } from '../support/net/test-http-server.js';
import { eventTypes } from '../support/app/test-app.js';
import { waitFor } from '../support/wait-for.js';
import { CrashingService } from '../support/crash/crashing-service.js';

test('A service that is killed before it records the response of an endpoint sends the webhook again, with one event', async () => {
  const endpoint = await TestHttpServer.open(reply(200, 'accepted'));
  const service = await CrashingService.prepare(ALLOW_LOOPBACK);
  try {
    await service.start('webhook-acknowledged');
    const webhookUrl = `${endpoint.url}/hook`;
    const { id } = await service.app.generate({ ...CHEAPEST_REQUEST, prompt: 'posted twice', webhookUrl });
    await waitFor('the first attempt', () => endpoint.requests.length === 1, { timeoutMs: 90_000 });
    expect(await service.restart()).toBe('SIGKILL');

    const webhookEvents = async () =>
      eventTypes(await service.app.history(id)).filter((type) => /^WEBHOOK/.test(type));
    await waitFor('the second attempt', async () => (await webhookEvents()).length > 0, {
      timeoutMs: 90_000,
    });
    expect(await webhookEvents()).toEqual(['WEBHOOK_DELIVERED']);
    expect(endpoint.requests.map((request) => webhookPayloadOf(request).task_id)).toEqual([id, id]);
    expect(new Set(endpoint.requests.map(webhookIdOf)).size).toBe(1);
    // The first attempt was never recorded, because the service died.
    expect((await webhookAttemptsOf(service.app, id)).nodes).toMatchObject([
      { attemptNumber: 2, statusCode: 200 },
    ]);
  } finally {
    await service.dispose();
    await endpoint.close();
  }
}, 240_000);
