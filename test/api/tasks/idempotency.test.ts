import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EditImageDocument, GenerateImagesDocument } from '../../../clients/operations.js';
import { createClientToken } from '../../support/access/client-tokens.js';
import { TestApp } from '../../support/app/test-app.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

async function generate(input: Parameters<TestApp['generate']>[0], service = app, apiKey?: string) {
  return (await service.query(GenerateImagesDocument, { input }, apiKey)).generateImages;
}

test('the same idempotency key with the same input returns the same task, even after it has ended', async () => {
  const input = { prompt: 'once', count: 2, idempotencyKey: 'same', metadata: { order: 7 } };
  const first = await generate(input);
  const second = await generate(input);
  await app.waitUntilSettled(first.task?.id ?? '');
  const third = await generate({ ...input, model: 'flux-dev' });
  expect([first, second, third].map((payload) => [payload.task?.id, payload.replayed])).toEqual([
    [first.task?.id, false],
    [first.task?.id, true],
    [first.task?.id, true],
  ]);
  expect(third.task).toMatchObject({ status: 'SUCCEEDED', idempotencyKey: 'same' });
  await expect(app.sandboxCharges('once')).resolves.toMatchObject({ total: 1, images: 2 });
});

test.each([
  { prompt: 'another' },
  { prompt: 'first', count: 2 },
  { prompt: 'first', size: '512x512' },
  { prompt: 'first', model: 'flux-pro' },
  { prompt: 'first', metadata: { a: 1 } },
  { prompt: 'first', timeoutSeconds: 60 },
])('the same idempotency key with another input is a conflict: %j', async (input) => {
  const idempotencyKey = `conflict ${JSON.stringify(input)}`;
  const first = await generate({ prompt: 'first', idempotencyKey });
  const second = await generate({ ...input, idempotencyKey });
  expect(second).toMatchObject({
    task: null,
    replayed: false,
    userErrors: [{ code: 'IDEMPOTENCY_CONFLICT', field: ['input', 'idempotencyKey'] }],
  });
  expect((await app.task(first.task?.id ?? '')).prompt).toBe('first');
});

test('an idempotency key of generateImages cannot be used for editImage', async () => {
  await generate({ prompt: 'an image', idempotencyKey: 'kinds' });
  const input = { prompt: 'an image', sourceImageUrl: 'https://a.b/c.png', idempotencyKey: 'kinds' };
  const { editImage } = await app.query(EditImageDocument, { input });
  expect(editImage).toMatchObject({ task: null, userErrors: [{ code: 'IDEMPOTENCY_CONFLICT' }] });
});

test('a rejected request does not use up its idempotency key', async () => {
  const rejected = await generate({ prompt: '', idempotencyKey: 'corrected' });
  expect(rejected.userErrors).toHaveLength(1);
  const corrected = await generate({ prompt: 'corrected', idempotencyKey: 'corrected' });
  expect(corrected).toMatchObject({ replayed: false, userErrors: [] });
});

test('each workspace has its own idempotency keys', async () => {
  const otherApiKey = await addWorkspaceWithKey(app);
  const ours = await generate({ prompt: 'ours', idempotencyKey: 'shared' });
  const theirs = await generate({ prompt: 'theirs', idempotencyKey: 'shared' }, app, otherApiKey);
  expect(theirs).toMatchObject({ replayed: false, userErrors: [], task: { prompt: 'theirs' } });
  expect(theirs.task?.id).not.toBe(ours.task?.id);
});

test('each end user has their own idempotency keys, with a client token or through an API key, and so has the workspace', async () => {
  const scopes = ['tasks:read', 'tasks:write'];
  const [ann = '', bob = ''] = await Promise.all(
    ['ann', 'bob'].map(async (endUserId) => (await createClientToken(app, { scopes, endUserId })).token),
  );
  const input = { prompt: 'shared by users', idempotencyKey: 'shared by users' };
  const payloads = [];
  for (const credential of [ann, bob, app.apiKey, ann]) payloads.push(await generate(input, app, credential));
  payloads.push(await generate({ ...input, endUserId: 'bob' }));
  const [first, second, third] = payloads.map(({ task }) => task?.id);
  expect(new Set([first, second, third]).size).toBe(3);
  expect(payloads.map(({ task, replayed }) => [task?.id, replayed])).toEqual([
    [first, false],
    [second, false],
    [third, false],
    [first, true],
    [second, true],
  ]);
  const conflict = await generate({ ...input, prompt: 'other' }, app, ann);
  expect(conflict.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
});

test('fifty simultaneous requests to two instances create one task', async () => {
  const { databaseUrl, apiKey: key } = app;
  const second = await TestApp.start({ databaseUrl, apiKey: key });
  try {
    const input = { prompt: 'fifty at once', idempotencyKey: 'fifty' };
    const payloads = await Promise.all(
      Array.from({ length: 50 }, (_, index) => generate(input, index % 2 === 0 ? app : second)),
    );
    expect(new Set(payloads.map((payload) => payload.task?.id)).size).toBe(1);
    expect(payloads.filter((payload) => !payload.replayed)).toHaveLength(1);
    const done = await second.waitUntilSettled(payloads[0]?.task?.id ?? '');
    expect(done.status).toBe('SUCCEEDED');
    const [charges, secondCharges] = await Promise.all([
      app.sandboxCharges(input.prompt),
      second.sandboxCharges(input.prompt),
    ]);
    expect(charges.total + secondCharges.total).toBe(1);
  } finally {
    await second.stop();
  }
});
