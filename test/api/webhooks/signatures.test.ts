import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  GenerateImagesDocument,
  RotateWebhookSecretDocument,
  WebhookSecretDocument,
} from '../../../clients/operations.js';
import { TestHttpServer, type ReceivedRequest, reply } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';
import {
  hasValidSignature,
  ALLOW_LOOPBACK,
  webhookPayloadOf,
  webhookSecretOf,
  expectedSignature,
  CHEAPEST_REQUEST,
} from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let endpoint: TestHttpServer;

beforeAll(async () => {
  app = await TestApp.start({ environment: ALLOW_LOOPBACK });
  endpoint = await TestHttpServer.open(reply(200, ''));
});
afterAll(async () => {
  await app.stop();
  await endpoint.close();
});

/** Creates a task with the API key and returns the webhook request that the endpoint receives for it. */
async function receiveWebhook(apiKey = app.apiKey, service = app): Promise<ReceivedRequest> {
  const input = { ...CHEAPEST_REQUEST, prompt: newId(), webhookUrl: `${endpoint.url}/hook` };
  const { generateImages } = await service.query(GenerateImagesDocument, { input }, apiKey);
  const id = generateImages.task?.id;
  return waitFor('the webhook', () =>
    endpoint.requests.find((request) => webhookPayloadOf(request).task_id === id),
  );
}
async function rotate(apiKey: string, gracePeriodSeconds?: number) {
  const input = { gracePeriodSeconds };
  return (await app.query(RotateWebhookSecretDocument, { input }, apiKey)).rotateWebhookSecret;
}
function signaturesOf({ headers }: ReceivedRequest): string[] {
  return String(headers['webhook-signature']).split(' ');
}

describe('a webhook request', () => {
  test('has the headers of Standard Webhooks, and the result as JSON', async () => {
    const secret = await webhookSecretOf(app);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const before = Math.floor(Date.now() / 1000);
    const received = await receiveWebhook();
    expect(hasValidSignature(secret, received)).toBe(true);
    expect(signaturesOf(received)).toEqual([expectedSignature(secret, received)]);

    const { headers, method, path } = received;
    expect({ method, path }).toEqual({ method: 'POST', path: '/hook' });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^Darkroom\/\d/) as unknown,
    });
    const seconds = Number(headers['webhook-timestamp']);
    expect(seconds).toBeGreaterThanOrEqual(before);
    expect(seconds).toBeLessThanOrEqual(Date.now() / 1000);

    const result = webhookPayloadOf(received);
    const task = await app.task(result.task_id);
    const data = [{ prompt: task.prompt, image_url: task.images[0]?.url }];
    expect(result).toMatchObject({ success: true, task_id: task.id, trace_id: expect.any(String), data });
    expect((await fetch(result.data[0]?.image_url ?? '')).status).toBe(200);
  });

  test('does not verify with another secret, body, ID or timestamp', async () => {
    const secret = await webhookSecretOf(app);
    const received = await receiveWebhook();
    const { headers, body } = received;
    const otherSecret = `whsec_${Buffer.alloc(32, 'x').toString('base64')}`;
    expect(hasValidSignature(otherSecret, received)).toBe(false);
    expect(hasValidSignature(secret, { ...received, body: `${body} ` })).toBe(false);
    expect(hasValidSignature(secret, { ...received, headers: { ...headers, 'webhook-id': newId() } })).toBe(
      false,
    );
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(
      hasValidSignature(secret, { ...received, headers: { ...headers, 'webhook-timestamp': later } }),
    ).toBe(false);
  });
});

describe('the webhook secret', () => {
  test('stays the same until it is rotated, and each workspace has its own', async () => {
    const [key, other] = [await addWorkspaceWithKey(app), await addWorkspaceWithKey(app)];
    expect(await webhookSecretOf(app, key)).toBe(await webhookSecretOf(app, key));
    expect(await webhookSecretOf(app, key)).not.toBe(await webhookSecretOf(app, other));
    const received = await receiveWebhook(key);
    expect(hasValidSignature(await webhookSecretOf(app, key), received)).toBe(true);
    expect(hasValidSignature(await webhookSecretOf(app, other), received)).toBe(false);
  });

  test('is rotated with a grace period in which both secrets sign', async () => {
    const key = await addWorkspaceWithKey(app);
    const first = await webhookSecretOf(app, key);
    const { webhookSecret } = await rotate(key);
    const second = webhookSecret?.secret ?? '';
    expect(second).not.toBe(first);
    expect(await webhookSecretOf(app, key)).toBe(second);
    const hours = (Date.parse(webhookSecret?.previousSecretExpiresAt ?? '') - Date.now()) / 3_600_000;
    expect(hours).toBeCloseTo(24, 1);
    const received = await receiveWebhook(key);
    expect(signaturesOf(received)).toEqual([
      expectedSignature(second, received),
      expectedSignature(first, received),
    ]);
    expect([first, second].map((secret) => hasValidSignature(secret, received))).toEqual([true, true]);

    await app.rows("UPDATE workspaces SET webhook_previous_secret_expires_at = now() - interval '1 second'");
    const later = await receiveWebhook(key);
    expect([first, second].map((secret) => hasValidSignature(secret, later))).toEqual([false, true]);
    expect(
      (await app.query(WebhookSecretDocument, {}, key)).webhookSecret.previousSecretExpiresAt,
    ).toBeNull();
  });

  test('is rotated without a grace period, and the previous secret stops signing at once', async () => {
    const key = await addWorkspaceWithKey(app);
    const first = await webhookSecretOf(app, key);
    const { webhookSecret } = await rotate(key, 0);
    expect(webhookSecret?.previousSecretExpiresAt).toBeNull();
    const received = await receiveWebhook(key);
    expect(hasValidSignature(first, received)).toBe(false);
    expect(signaturesOf(received)).toEqual([expectedSignature(webhookSecret?.secret ?? '', received)]);
  });

  test.each([-1, 604_801])('is not rotated with a grace period of %d seconds', async (gracePeriodSeconds) => {
    const key = await addWorkspaceWithKey(app);
    const before = await webhookSecretOf(app, key);
    const { webhookSecret, userErrors } = await rotate(key, gracePeriodSeconds);
    expect(webhookSecret).toBeNull();
    expect(userErrors).toMatchObject([
      { code: 'INVALID_GRACE_PERIOD', field: ['input', 'gracePeriodSeconds'] },
    ]);
    expect(await webhookSecretOf(app, key)).toBe(before);
  });

  test('is readable and rotatable only with the scope keys:admin', async () => {
    const key = await addWorkspaceWithKey(app, ['tasks:read', 'tasks:write']);
    const read = await app.execute(WebhookSecretDocument, {}, key);
    const rotated = await app.execute(RotateWebhookSecretDocument, { input: {} }, key);
    for (const { data, errors } of [read, rotated]) {
      expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
      expect(JSON.stringify(data ?? null)).not.toContain('whsec_');
    }
  });
});

test('After a change of SECRET_KEY, SECRET_KEY_PREVIOUS keeps the previous webhook secret valid', async () => {
  const database = await createTestDatabase();
  const shared = { databaseUrl: database.url };
  const start = (environment: Record<string, string>, apiKey?: string) =>
    TestApp.start({ ...shared, apiKey, environment: { ...ALLOW_LOOPBACK, ...environment } });
  const before = await start({ SECRET_KEY: 'o'.repeat(32) });
  const { apiKey: key } = before;
  const oldSecret = await webhookSecretOf(before);
  await before.stop();

  const during = await start({ SECRET_KEY: 'n'.repeat(32), SECRET_KEY_PREVIOUS: 'o'.repeat(32) }, key);
  const newSecret = await webhookSecretOf(during);
  const received = await receiveWebhook(key, during);
  expect([oldSecret, newSecret].map((secret) => hasValidSignature(secret, received))).toEqual([true, true]);
  await during.stop();

  const after = await start({ SECRET_KEY: 'n'.repeat(32) }, key);
  const last = await receiveWebhook(key, after);
  expect([oldSecret, newSecret].map((secret) => hasValidSignature(secret, last))).toEqual([false, true]);
  await after.stop();
  await database.drop();
});
