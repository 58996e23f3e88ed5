import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GenerateImagesDocument, type GenerateImagesInput } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

async function userErrorsOf(input: Partial<GenerateImagesInput>) {
  const variables = { input: { prompt: 'a cat', ...input } };
  const { generateImages } = await app.query(GenerateImagesDocument, variables);
  expect(generateImages).toMatchObject({ task: null, replayed: false });
  return generateImages.userErrors;
}
/** Checks that the rejected request was neither saved nor submitted. */
async function expectNoEffect(): Promise<void> {
  const [row] = await app.rows(`
    SELECT (SELECT count(*)::int FROM tasks) AS tasks, (SELECT count(*)::int FROM task_events) AS events,
           (SELECT count(*)::int FROM graphile_worker.jobs WHERE task_identifier = 'submit-task') AS jobs`);
  expect(row).toEqual({ tasks: 0, events: 0, jobs: 0 });
  await expect(app.sandboxCharges()).resolves.toMatchObject({ total: 0 });
}

const ALL_MODELS =
  'flux-dev, flux-pro, flux-pro-1.1, flux-pro-1.1-ultra, flux-kontext-pro, flux-kontext-max, ' +
  'flux-2-flex, flux-2-pro, flux-2-max, flux-2-klein';

describe('generateImages rejects', () => {
  test.each<[string, Partial<GenerateImagesInput>, string, string]>([
    ['an empty prompt', { prompt: '' }, 'INVALID_PROMPT', 'The prompt is empty. Describe the image.'],
    ['a blank prompt', { prompt: ' \n ' }, 'INVALID_PROMPT', 'The prompt is empty. Describe the image.'],
    [
      'a prompt of 4,001 characters',
      { prompt: '😀'.repeat(4_001) },
      'INVALID_PROMPT',
      'The prompt has 4001 characters. Shorten it to at most 4000.',
    ],
    [
      'a model that does not exist',
      { model: 'flux-9' },
      'INVALID_MODEL',
      `Unknown model "flux-9". Use one of: ${ALL_MODELS}.`,
    ],
    [
      'a size between two supported sizes',
      { size: '1000x1000' },
      'INVALID_SIZE',
      'flux-dev takes WIDTHxHEIGHT in pixels, each side from 256 to 1440 and a multiple of 32. ' +
        'The nearest to 1000x1000 is 992x992 or 1024x1024.',
    ],
    [
      'a size that is too large',
      { size: '2048x1024', model: 'flux-pro' },
      'INVALID_SIZE',
      'flux-pro takes WIDTHxHEIGHT in pixels, each side from 256 to 1440 and a multiple of 32. ' +
        'The nearest to 2048x1024 is 1440x1024.',
    ],
    [
      'an aspect ratio for a model that takes pixel sizes',
      { size: '16:9' },
      'INVALID_SIZE',
      'flux-dev takes WIDTHxHEIGHT in pixels, each side from 256 to 1440 and a multiple of 32. For 16:9, use 1376x768.',
    ],
    [
      'a pixel size for a model that takes aspect ratios',
      { size: '1920x1080', model: 'flux-kontext-pro' },
      'INVALID_SIZE',
      'flux-kontext-pro takes one of the aspect ratios 1:1 16:9 21:9 3:2 2:3 4:5 5:4 3:4 4:3 9:16 9:21. ' +
        'The closest to 1920x1080 is 16:9.',
    ],
    ['an empty size', { size: '' }, 'INVALID_SIZE', 'The size is empty. Leave it out to use the default.'],
    ['a count of 0', { count: 0 }, 'INVALID_COUNT', 'The count is 0. Use 1 to 4.'],
    ['a count of 5', { count: 5 }, 'INVALID_COUNT', 'The count is 5. Use 1 to 4.'],
    [
      'a timeout of 9 seconds',
      { timeoutSeconds: 9 },
      'INVALID_TIMEOUT',
      'The timeout is 9 seconds. Use 10 to 3600 seconds.',
    ],
    [
      'a timeout of more than an hour',
      { timeoutSeconds: 3601 },
      'INVALID_TIMEOUT',
      'The timeout is 3601 seconds. Use 10 to 3600 seconds.',
    ],
    [
      'metadata of more than 4 KB',
      { metadata: { note: 'ü'.repeat(2_043) } },
      'INVALID_METADATA',
      'The metadata has 4097 bytes of JSON. The limit is 4096. Store a reference instead.',
    ],
    [
      'an empty idempotency key',
      { idempotencyKey: '' },
      'INVALID_IDEMPOTENCY_KEY',
      'The idempotency key is empty. Use 1 to 255 characters without NUL.',
    ],
    [
      'an idempotency key of 256 characters',
      { idempotencyKey: 'k'.repeat(256) },
      'INVALID_IDEMPOTENCY_KEY',
      'The idempotency key has 256 characters. Use 1 to 255 characters without NUL.',
    ],
  ])('%s', async (_description, input, code, message) => {
    const [field] = Object.keys(input);
    await expect(userErrorsOf(input)).resolves.toEqual([{ code, message, field: ['input', field] }]);
    await expectNoEffect();
  });

  test('an input with several errors and reports all of them at once', async () => {
    const userErrors = await userErrorsOf({
      prompt: ' ',
      model: 'flux-dev',
      size: '10x10',
      count: -1,
      timeoutSeconds: 0,
      metadata: 'x'.repeat(5_000),
      idempotencyKey: '',
    });
    expect(userErrors.map((userError) => userError.field?.at(-1))).toEqual([
      'prompt',
      'size',
      'count',
      'timeoutSeconds',
      'metadata',
      'idempotencyKey',
    ]);
    await expectNoEffect();
  });

  test.each<[string, Partial<GenerateImagesInput>, string]>([
    ['a prompt', { prompt: 'a\0cat' }, 'INVALID_PROMPT'],
    ['an idempotency key', { idempotencyKey: 'key\0' }, 'INVALID_IDEMPOTENCY_KEY'],
  ])('%s with a NUL character, which PostgreSQL cannot store', async (_description, input, code) => {
    await expect(userErrorsOf(input)).resolves.toMatchObject([{ code }]);
    await expectNoEffect();
  });
});

describe('generateImages accepts', () => {
  test.each<[string, GenerateImagesInput]>([
    ['a prompt of 4,000 characters of any kind', { prompt: '😀'.repeat(4_000) }],
    ['the shortest timeout', { prompt: 'p', timeoutSeconds: 10 }],
    ['the longest timeout', { prompt: 'p', timeoutSeconds: 3_600 }],
    ['metadata of 4 KB', { prompt: 'p', metadata: { note: 'x'.repeat(4_085) } }],
    ['an idempotency key of 255 characters', { prompt: 'p', idempotencyKey: 'k'.repeat(255) }],
    ['null for every field that has a default', { prompt: 'p', model: null, size: null, count: null }],
  ])('%s', async (_description, input) => {
    const task = await app.generate(input);
    expect(task).toMatchObject({ status: 'QUEUED', prompt: input.prompt, requestedCount: 1 });
    await expect(app.waitUntilSettled(task.id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });
});
