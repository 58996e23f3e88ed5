import { expect, test } from '@jest/globals';
import { buildConnector } from 'undici';
import { SsrfGuard } from '../../../src/net/ssrf-guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { GenerateImagesDocument } from '../../../clients/operations.js';
import { changingDns, NOT_PUBLIC_REASON } from '../../support/net/guarded-network.js';
import { TestHttpServer, reply } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import {
  addTasksWithDueWebhooks,
  webhookAttemptsOf,
  CHEAPEST_REQUEST,
} from '../../support/webhooks/received-webhooks.js';
import { sendDueWebhooks } from '../../support/webhooks/send-due-webhooks.js';

test('No connection is made to a host whose name resolves to a private address after the request', async () => {
  // The app itself runs no jobs, so it sends no webhooks.
  const app = await TestApp.start({ environment: { ROLES: 'api' } });
  const victim = await TestHttpServer.open(reply(200, 'secret'));
  const guard = new SsrfGuard(changingDns('93.184.216.34'));
  const webhookUrl = `http://changing.example:${victim.port}/hook`;
  // As when the task was created, when the name still resolved to a public address.
  await guard.assertPublicUrl(webhookUrl);

  const [id = ''] = await addTasksWithDueWebhooks(app, webhookUrl, 1);
  await sendDueWebhooks(app, {
    http: new HttpClient({ guard }),
    isDone: async () => (await webhookAttemptsOf(app, id)).nodes.length > 0,
  });
  expect((await webhookAttemptsOf(app, id)).nodes).toMatchObject([
    {
      attemptNumber: 1,
      statusCode: null,
      errorMessage: NOT_PUBLIC_REASON,
      responseBody: null,
      nextAttemptAt: null,
    },
  ]);
  expect((await app.waitForEvent(id, 'WEBHOOK_ABANDONED')).data).toMatchObject({ reason: NOT_PUBLIC_REASON });
  expect(victim.sockets.size).toBe(0);
  await app.stop();
  await victim.close();
});

test('Images are downloaded from an upstream in a private network, but no webhooks are posted to it', async () => {
  const upstream = await FakeUpstream.open();
  const app = await TestApp.start({ environment: upstream.environment });
  const generate = async (input: object) =>
    (await app.query(GenerateImagesDocument, { input: { ...CHEAPEST_REQUEST, prompt: 'near', ...input } }))
      .generateImages;

  const webhookUrl = upstream.imageUrl('near-0');
  const { task, userErrors } = await generate({ webhookUrl });
  expect(task).toBeNull();
  expect(userErrors).toMatchObject([{ code: 'INVALID_WEBHOOK_URL' }]);

  const [id = ''] = await addTasksWithDueWebhooks(app, webhookUrl, 1);
  await waitFor('the attempt', async () => (await webhookAttemptsOf(app, id)).nodes.length > 0);
  expect((await webhookAttemptsOf(app, id)).nodes).toMatchObject([
    { statusCode: null, errorMessage: NOT_PUBLIC_REASON },
  ]);
  expect(upstream.wasFetched('near-0')).toBe(false);

  const withoutWebhook = await generate({});
  await app.postBody(await upstream.callbackPath('near'), upstream.successCallback(1, 'near'));
  await expect(app.waitUntilSettled(withoutWebhook.task?.id ?? '')).resolves.toMatchObject({
    status: 'SUCCEEDED',
    deliveredCount: 1,
  });
  expect(upstream.wasFetched('near-0')).toBe(true);
  await app.stop();
  await upstream.close();
});

test('However often our side of the network fails, a webhook is delivered once it works again', async () => {
  const app = await TestApp.start({ environment: { ROLES: 'api' } });
  const [id = ''] = await addTasksWithDueWebhooks(app, 'http://customer.example/hook', 1);
  const unreachable = Object.assign(new Error('connect ENETUNREACH'), { code: 'ENETUNREACH' });
  await sendDueWebhooks(app, {
    http: new HttpClient({ connect: (_options, callback) => callback(unreachable, null) }),
    retryDelaysMs: [1, 1],
    isDone: async () => (await app.rows('SELECT FROM webhook_attempts WHERE task_id = $1', [id])).length > 10,
  });
  const [attempt] = (await webhookAttemptsOf(app, id)).nodes;
  expect(attempt).toMatchObject({ statusCode: null, errorMessage: 'the network is unreachable' });
  const readDeliveries = () =>
    app.rows('SELECT status, failures FROM webhook_deliveries WHERE task_id = $1', [id]);
  expect(await readDeliveries()).toEqual([{ status: 'PENDING', failures: 0 }]);

  const customer = await TestHttpServer.open(reply(200, 'thanks'));
  await sendDueWebhooks(app, {
    http: new HttpClient({
      connect: (options, callback) =>
        buildConnector({})({ ...options, hostname: '127.0.0.1', port: String(customer.port) }, callback),
    }),
    isDone: () => Promise.resolve(customer.requests.length > 0),
  });
  expect(await readDeliveries()).toEqual([{ status: 'DELIVERED', failures: 0 }]);
  await app.stop();
  await customer.close();
});
