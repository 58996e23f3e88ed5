import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EditImageDocument, GenerateImagesDocument } from '../../../clients/operations.js';
import { createToken } from '../../support/access/client-tokens.js';
import { TestApp } from '../../support/app/test-app.js';
import { addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

async function ask(input: Parameters<TestApp['generate']>[0], on = app, key?: string) {
  return (await on.query(GenerateImagesDocument, { input }, key)).generateImages;
}

test('the same key with the same input gives the same task, also when it has ended', async () => {
  const input = { prompt: 'once', count: 2, idempotencyKey: 'same', metadata: { order: 7 } };
  const first = await ask(input);
  const second = await ask(input);
  await app.settled(first.task?.id ?? '');
  const third = await ask({ ...input, model: 'flux-dev' });
  expect([first, second, third].map((answer) => [answer.task?.id, answer.replayed])).toEqual([
    [first.task?.id, false],
    [first.task?.id, true],
    [first.task?.id, true],
  ]);
  expect(third.task).toMatchObject({ status: 'SUCCEEDED', idempotencyKey: 'same' });
  await expect(app.billed('once')).resolves.toMatchObject({ total: 1, pictures: 2 });
});

test.each([
  { prompt: 'another' },
  { prompt: 'first', count: 2 },
  { prompt: 'first', size: '512x512' },
  { prompt: 'first', model: 'flux-pro' },
  { prompt: 'first', metadata: { a: 1 } },
  { prompt: 'first', timeoutSeconds: 60 },
])('the same key with another input is a conflict: %j', async (input) => {
  const idempotencyKey = `conflict ${JSON.stringify(input)}`;
  const first = await ask({ prompt: 'first', idempotencyKey });
  const second = await ask({ ...input, idempotencyKey });
  expect(second).toMatchObject({
    task: null,
    replayed: false,
    userErrors: [{ code: 'IDEMPOTENCY_CONFLICT', field: ['input', 'idempotencyKey'] }],
  });
  expect((await app.task(first.task?.id ?? '')).prompt).toBe('first');
});

test('a key that made pictures cannot make an edit', async () => {
  await ask({ prompt: 'a picture', idempotencyKey: 'kinds' });
  const input = { prompt: 'a picture', sourceImageUrl: 'https://a.b/c.png', idempotencyKey: 'kinds' };
  const { editImage } = await app.query(EditImageDocument, { input });
  expect(editImage).toMatchObject({ task: null, userErrors: [{ code: 'IDEMPOTENCY_CONFLICT' }] });
});

test('a refused request does not use its key up', async () => {
  const refused = await ask({ prompt: '', idempotencyKey: 'mended' });
  expect(refused.userErrors).toHaveLength(1);
  const mended = await ask({ prompt: 'mended', idempotencyKey: 'mended' });
  expect(mended).toMatchObject({ replayed: false, userErrors: [] });
});

test('each workspace has its own keys', async () => {
  const stranger = await addWorkspace(app);
  const ours = await ask({ prompt: 'ours', idempotencyKey: 'shared' });
  const theirs = await ask({ prompt: 'theirs', idempotencyKey: 'shared' }, app, stranger);
  expect(theirs).toMatchObject({ replayed: false, userErrors: [], task: { prompt: 'theirs' } });
  expect(theirs.task?.id).not.toBe(ours.task?.id);
});

test('each end user has their own keys, with a token or when a key asks for them, and the workspace has its own', async () => {
  const scopes = ['tasks:read', 'tasks:write'];
  const [ann = '', bob = ''] = await Promise.all(
    ['ann', 'bob'].map(async (endUserId) => (await createToken(app, { scopes, endUserId })).token),
  );
  const input = { prompt: 'of whom', idempotencyKey: 'of whom' };
  const answers = [];
  for (const key of [ann, bob, app.key, ann]) answers.push(await ask(input, app, key));
  answers.push(await ask({ ...input, endUserId: 'bob' }));
  const [first, second, third] = answers.map(({ task }) => task?.id);
  expect(new Set([first, second, third]).size).toBe(3);
  expect(answers.map(({ task, replayed }) => [task?.id, replayed])).toEqual([
    [first, false],
    [second, false],
    [third, false],
    [first, true],
    [second, true],
  ]);
  const other = await ask({ ...input, prompt: 'other' }, app, ann);
  expect(other.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
});

test('fifty calls at once on two instances make one task', async () => {
  const { databaseUrl, key } = app;
  const second = await TestApp.start({ databaseUrl, key });
  try {
    const input = { prompt: 'fifty at once', idempotencyKey: 'fifty' };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => ask(input, index % 2 === 0 ? app : second)),
    );
    expect(new Set(answers.map((answer) => answer.task?.id)).size).toBe(1);
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    const done = await second.settled(answers[0]?.task?.id ?? '');
    expect(done.status).toBe('SUCCEEDED');
    const [made, madeBySecond] = await Promise.all([app.billed(input.prompt), second.billed(input.prompt)]);
    expect(made.total + madeBySecond.total).toBe(1);
  } finally {
    await second.stop();
  }
});
