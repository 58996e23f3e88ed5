import { pino } from 'pino';
import { Signer } from '../../../src/core/access/signer.js';
import { WorkspaceRepository } from '../../../src/db/access/workspace-repository.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { type HttpClient } from '../../../src/net/http-client.js';
import { SignedLinks } from '../../../src/services/access/signed-links.js';
import { WebhookSecrets } from '../../../src/services/webhooks/webhook-secrets.js';
import { WebhookSender } from '../../../src/services/webhooks/webhook-sender.js';
import { type TestApp } from '../app/test-app.js';
import { waitFor } from '../wait-for.js';

const log = pino({ level: 'silent' });
const PUBLIC_URL = 'http://darkroom.example';

/** Sends the due webhooks in the app's database with a client of the test until `isDone`, and closes the client. */
export async function sendDueWebhooks(
  app: TestApp,
  {
    http,
    isDone,
    retryDelaysMs = [],
  }: { http: HttpClient; isDone: () => Promise<boolean>; retryDelaysMs?: number[] },
): Promise<void> {
  const db = new Database({ url: app.databaseUrl, maxConnections: 4, log });
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
    retryDelaysMs,
    timeoutMs: 15_000,
    retentionDays: 30,
  });
  await waitFor('the delivery', () => {
    webhookSender.wake();
    return isDone();
  });
  await webhookSender.stop();
  await http.destroy();
  await db.close();
}
