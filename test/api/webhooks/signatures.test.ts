import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  GenerateImagesDocument,
  RotateWebhookSecretDocument,
  WebhookSecretDocument,
} from '../../../clients/operations.js';
import { Peer, type Received, reply } from '../../support/net/http-peer.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';
import {
  isSigned,
  LOOPBACK,
  resultOf,
  secretOf,
  signatureOf,
  SMALL,
} from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let receiver: Peer;

beforeAll(async () => {
  app = await TestApp.start({ environment: LOOPBACK });
  receiver = await Peer.open(reply(200, ''));
});
afterAll(async () => {
  await app.stop();
  await receiver.close();
});

/** What the receiver is posted for a task of whose key this is. */
async function posted(key = app.key, service = app): Promise<Received> {
  const input = { ...SMALL, prompt: newId(), callbackUrl: `${receiver.url}/hook` };
  const { generateImages } = await service.query(GenerateImagesDocument, { input }, key);
  const id = generateImages.task?.id;
  return waitFor('the callback', () => receiver.received.find((one) => resultOf(one).task_id === id));
}
async function rotate(key: string, overlapSeconds?: number) {
  const input = { overlapSeconds };
  return (await app.query(RotateWebhookSecretDocument, { input }, key)).rotateWebhookSecret;
}
function signaturesOf({ headers }: Received): string[] {
  return String(headers['webhook-signature']).split(' ');
}

describe('a callback', () => {
  test('has the headers of Standard Webhooks, and the result as JSON', async () => {
    const secret = await secretOf(app);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const before = Math.floor(Date.now() / 1000);
    const received = await posted();
    expect(isSigned(secret, received)).toBe(true);
    expect(signaturesOf(received)).toEqual([signatureOf(secret, received)]);

    const { headers, method, path } = received;
    expect({ method, path }).toEqual({ method: 'POST', path: '/hook' });
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Darkroom' });
    const seconds = Number(headers['webhook-timestamp']);
    expect(seconds).toBeGreaterThanOrEqual(before);
    expect(seconds).toBeLessThanOrEqual(Date.now() / 1000);

    const result = resultOf(received);
    const task = await app.task(result.task_id);
    const data = [{ prompt: task.prompt, image_url: task.images[0]?.url }];
    expect(result).toMatchObject({ success: true, task_id: task.id, trace_id: expect.any(String), data });
    expect((await fetch(result.data[0]?.image_url ?? '')).status).toBe(200);
  });

  test('is refused by whoever has another secret, another body, id or time', async () => {
    const secret = await secretOf(app);
    const received = await posted();
    const { headers, body } = received;
    const otherSecret = `whsec_${Buffer.alloc(32, 'x').toString('base64')}`;
    expect(isSigned(otherSecret, received)).toBe(false);
    expect(isSigned(secret, { ...received, body: `${body} ` })).toBe(false);
    expect(isSigned(secret, { ...received, headers: { ...headers, 'webhook-id': newId() } })).toBe(false);
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(isSigned(secret, { ...received, headers: { ...headers, 'webhook-timestamp': later } })).toBe(
      false,
    );
  });
});

describe('the secret', () => {
  test('is the same until it is rotated, and each workspace has its own', async () => {
    const [key, other] = [await addWorkspace(app), await addWorkspace(app)];
    expect(await secretOf(app, key)).toBe(await secretOf(app, key));
    expect(await secretOf(app, key)).not.toBe(await secretOf(app, other));
    const received = await posted(key);
    expect(isSigned(await secretOf(app, key), received)).toBe(true);
    expect(isSigned(await secretOf(app, other), received)).toBe(false);
  });

  test('is rotated with an overlap, in which both sign', async () => {
    const key = await addWorkspace(app);
    const first = await secretOf(app, key);
    const { webhookSecret } = await rotate(key);
    const second = webhookSecret?.secret ?? '';
    expect(second).not.toBe(first);
    expect(await secretOf(app, key)).toBe(second);
    const hours = (Date.parse(webhookSecret?.previousUntil ?? '') - Date.now()) / 3_600_000;
    expect(hours).toBeCloseTo(24, 1);
    const received = await posted(key);
    expect(signaturesOf(received)).toEqual([signatureOf(second, received), signatureOf(first, received)]);
    expect([first, second].map((secret) => isSigned(secret, received))).toEqual([true, true]);

    await app.rows("UPDATE workspaces SET webhook_overlap_until = now() - interval '1 second'");
    const later = await posted(key);
    expect([first, second].map((secret) => isSigned(secret, later))).toEqual([false, true]);
    expect((await app.query(WebhookSecretDocument, {}, key)).webhookSecret.previousUntil).toBeNull();
  });

  test('is rotated without an overlap: the one before is worth nothing at once', async () => {
    const key = await addWorkspace(app);
    const first = await secretOf(app, key);
    const { webhookSecret } = await rotate(key, 0);
    expect(webhookSecret?.previousUntil).toBeNull();
    const received = await posted(key);
    expect(isSigned(first, received)).toBe(false);
    expect(signaturesOf(received)).toEqual([signatureOf(webhookSecret?.secret ?? '', received)]);
  });

  test.each([-1, 604_801])('is not rotated with an overlap of %d seconds', async (overlapSeconds) => {
    const key = await addWorkspace(app);
    const before = await secretOf(app, key);
    const { webhookSecret, userErrors } = await rotate(key, overlapSeconds);
    expect(webhookSecret).toBeNull();
    expect(userErrors).toMatchObject([{ code: 'INVALID_OVERLAP', field: ['input', 'overlapSeconds'] }]);
    expect(await secretOf(app, key)).toBe(before);
  });

  test('is shown and rotated by keys with the scope keys:admin alone', async () => {
    const key = await addWorkspace(app, ['tasks:read', 'tasks:write']);
    const shown = await app.post(WebhookSecretDocument, {}, key);
    const rotated = await app.post(RotateWebhookSecretDocument, { input: {} }, key);
    for (const { data, errors } of [shown, rotated]) {
      expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
      expect(JSON.stringify(data ?? null)).not.toContain('whsec_');
    }
  });
});

test('A change of SECRET_KEY leaves receivers time: with SECRET_KEY_OLD the secret before still verifies', async () => {
  const database = await createTestDatabase();
  const shared = { databaseUrl: database.url };
  const start = (environment: Record<string, string>, key?: string) =>
    TestApp.start({ ...shared, key, environment: { ...LOOPBACK, ...environment } });
  const before = await start({ SECRET_KEY: 'o'.repeat(32) });
  const { key } = before;
  const oldSecret = await secretOf(before);
  await before.stop();

  const during = await start({ SECRET_KEY: 'n'.repeat(32), SECRET_KEY_OLD: 'o'.repeat(32) }, key);
  const newSecret = await secretOf(during);
  const received = await posted(key, during);
  expect([oldSecret, newSecret].map((secret) => isSigned(secret, received))).toEqual([true, true]);
  await during.stop();

  const after = await start({ SECRET_KEY: 'n'.repeat(32) }, key);
  const last = await posted(key, after);
  expect([oldSecret, newSecret].map((secret) => isSigned(secret, last))).toEqual([false, true]);
  await after.stop();
  await database.drop();
});
