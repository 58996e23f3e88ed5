import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Signer } from '../../../src/core/access/signer.js';
import { Database } from '../../../src/db/postgres/database.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { WorkspaceRepository } from '../../../src/db/access/workspace-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { SsrfGuard } from '../../../src/net/ssrf-guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { SignedLinks } from '../../../src/services/access/signed-links.js';
import { WebhookSender } from '../../../src/services/webhooks/webhook-sender.js';
import { WebhookSecrets } from '../../../src/services/webhooks/webhook-secrets.js';
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

const log = pino({ level: 'silent' });
const PUBLIC_URL = 'http://darkroom.example';

/** Sends the due webhooks in the app's database until `isDone`. The guard resolves host names with a DNS of the test. */
async function sendDueWebhooks(
  app: TestApp,
  guard: SsrfGuard,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const db = new Database({ url: app.databaseUrl, maxConnections: 4, log });
  const http = new HttpClient({ guard });
  const signer = new Signer(Buffer.alloc(32, 'x'));
  const repositories = {
    webhooks: new WebhookRepository(db),
    tasks: new TaskRepository(db),
    images: new ImageRepository(db),
  };
  const webhookSender = new WebhookSender({
    webhooks: repositories.webhooks,
    tasks: repositories.tasks,
    background: repositories,
    secrets: new WebhookSecrets({ signer, workspaces: new WorkspaceRepository(db) }),
    http,
    signedLinks: new SignedLinks({
      signer,
      publicUrl: PUBLIC_URL,
      urlForUpstream: PUBLIC_URL,
      canUpstreamFetchImages: true,
      imageLinkSeconds: null,
    }),
    eventLog: new EventLog(new EventRepository(db), app.databaseUrl, log),
    log,
    retryDelaysMs: [],
    timeoutMs: 15_000,
    retentionDays: 30,
  });
  webhookSender.wake();
  await waitFor('the delivery', isDone);
  await webhookSender.stop();
  await http.destroy();
  await db.close();
}

test('No connection is made to a host whose name resolves to a private address after the request', async () => {
  // The app itself runs no jobs, so it sends no webhooks.
  const app = await TestApp.start({ environment: { ROLES: 'api' } });
  const victim = await TestHttpServer.open(reply(200, 'secret'));
  const guard = new SsrfGuard(changingDns('93.184.216.34'));
  const webhookUrl = `http://changing.example:${victim.port}/hook`;
  // As when the task was created, when the name still resolved to a public address.
  await guard.assertPublicUrl(webhookUrl);

  const [id = ''] = await addTasksWithDueWebhooks(app, webhookUrl, 1);
  await sendDueWebhooks(app, guard, async () => (await webhookAttemptsOf(app, id)).nodes.length > 0);
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
