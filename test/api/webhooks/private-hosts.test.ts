import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Signer } from '../../../src/core/access/signer.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Events } from '../../../src/db/events/event-repository.js';
import { Images } from '../../../src/db/images/image-repository.js';
import { OutgoingCallbacks } from '../../../src/db/webhooks/webhook-repository.js';
import { Tasks } from '../../../src/db/tasks/task-repository.js';
import { Workspaces } from '../../../src/db/access/workspace-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { AddressGuard } from '../../../src/net/guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { Addresses } from '../../../src/services/access/signed-links.js';
import { Delivering } from '../../../src/services/webhooks/webhook-sender.js';
import { WebhookSecrets } from '../../../src/services/webhooks/webhook-secrets.js';
import { GenerateImagesDocument } from '../../../clients/operations.js';
import { changingDns, NOT_PUBLIC } from '../../support/net/guarded-network.js';
import { Peer, reply } from '../../support/net/http-peer.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addEnded, deliveriesOf, SMALL } from '../../support/webhooks/received-webhooks.js';

const log = pino({ level: 'silent' });
const HERE = 'http://darkroom.example';

/** Delivers what is due in the app's database, by the look-ups of a DNS of the test's own. */
async function deliver(app: TestApp, guard: AddressGuard, until: () => Promise<boolean>): Promise<void> {
  const db = new Database({ url: app.databaseUrl, maxConnections: 4, log });
  const http = new HttpClient({ guard });
  const signer = new Signer(Buffer.alloc(32, 'x'));
  const delivering = new Delivering(
    new OutgoingCallbacks(db),
    new Tasks(db),
    new Images(db),
    new WebhookSecrets(signer, new Workspaces(db)),
    http,
    new Addresses(signer, HERE, HERE, true, null),
    new EventLog(new Events(db), app.databaseUrl, log),
    log,
    { delays: [], timeoutMs: 15_000, retentionDays: 30 },
  );
  delivering.wake();
  await waitFor('the delivery', until);
  await delivering.stop();
  await http.destroy();
  await db.close();
}

test('A host whose name has turned private since the request is not connected to', async () => {
  // The app itself takes no part: it runs no jobs.
  const app = await TestApp.start({ environment: { ROLES: 'api' } });
  const victim = await Peer.open(reply(200, 'secret'));
  const { resolve } = changingDns('93.184.216.34');
  const guard = new AddressGuard({ resolve });
  const callbackUrl = `http://turns.example:${victim.port}/hook`;
  // As when the task was asked for, at which time the name was public.
  await guard.mayReach(callbackUrl);

  const [id = ''] = await addEnded(app, callbackUrl, 1);
  await deliver(app, guard, async () => (await deliveriesOf(app, id)).nodes.length > 0);
  expect((await deliveriesOf(app, id)).nodes).toMatchObject([
    { attempt: 1, statusCode: null, failure: NOT_PUBLIC, answer: null, nextAttemptAt: null },
  ]);
  expect((await app.happened(id, 'CALLBACK_ABANDONED')).data).toMatchObject({ reason: NOT_PUBLIC });
  expect(victim.sockets.size).toBe(0);
  await app.stop();
  await victim.close();
});

test('The upstream in our own network may serve pictures, and is not posted results', async () => {
  const upstream = await FakeUpstream.open();
  const app = await TestApp.start({ environment: upstream.environment });
  const ask = async (input: object) =>
    (await app.query(GenerateImagesDocument, { input: { ...SMALL, prompt: 'near', ...input } }))
      .generateImages;

  const callbackUrl = upstream.pictureUrl('near-0');
  const { task, userErrors } = await ask({ callbackUrl });
  expect(task).toBeNull();
  expect(userErrors).toMatchObject([{ code: 'INVALID_CALLBACK_URL' }]);

  const [id = ''] = await addEnded(app, callbackUrl, 1);
  await waitFor('the attempt', async () => (await deliveriesOf(app, id)).nodes.length > 0);
  expect((await deliveriesOf(app, id)).nodes).toMatchObject([{ statusCode: null, failure: NOT_PUBLIC }]);
  expect(upstream.wasFetched('near-0')).toBe(false);

  const asked = await ask({});
  await app.send(await upstream.callbackPath('near'), upstream.success(1, 'near'));
  await expect(app.settled(asked.task?.id ?? '')).resolves.toMatchObject({
    status: 'SUCCEEDED',
    deliveredCount: 1,
  });
  expect(upstream.wasFetched('near-0')).toBe(true);
  await app.stop();
  await upstream.close();
});
