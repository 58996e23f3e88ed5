import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EditImageDocument, GenerateImagesDocument } from '../../../clients/operations.js';
import { fluxClientFor, statusAndCode } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

let app: TestApp;
let upstream: FakeUpstream;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: { ...upstream.environment, ALLOW_PRIVATE_HOSTS: '127.0.0.1' } });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

let prompts = 0;
/** The task of a Flux API request in the Flux API, and what was sent to the upstream for it. */
async function taskAndSubmission(fields: object) {
  const prompt = `sized ${++prompts}`;
  const body = { action: 'generate', prompt, async: true, ...fields };
  const { status, body: accepted } = await fluxClientFor(app).images(body);
  expect({ status, accepted }).toMatchObject({ status: 200 });
  await upstream.callbackPath(prompt);
  const { body: task } = await fluxClientFor(app).tasks({ id: accepted.task_id });
  return { task, sent: upstream.submissions(prompt) };
}

describe('the Flux API', () => {
  test.each([
    ['flux-kontext-pro', '1024x1024', '1:1'],
    ['flux-dev', '1:1', '1024x1024'],
    ['flux-dev', '4:3', '1152x864'],
    ['flux-2-pro', '1024x1024', '1:1'],
    ['flux-2-pro', '9:16', '9:16'],
  ])('keeps the size of %s that means the same as another: %s, sent as %s', async (model, size, sentSize) => {
    const { task, sent } = await taskAndSubmission({ model, size });
    expect(task.request).toEqual(expect.objectContaining({ size }));
    expect(task.request).not.toHaveProperty('requested_size');
    expect(sent).toMatchObject([{ model, size: sentSize }]);
  });

  test.each([
    ['flux-dev', '16:9', '1376x768'],
    ['flux-dev', '1920x1080', '1440x800'],
    ['flux-dev', '255x255', '256x256'],
    ['flux-kontext-max', '1344x768', '16:9'],
    ['flux-2-flex', '1920x1080', '16:9'],
  ])('gives %s for %s the nearest size %s, and says so in the task', async (model, size, nearest) => {
    const { task, sent } = await taskAndSubmission({ model, size });
    expect(task.request).toMatchObject({ size: nearest, requested_size: size });
    expect(sent).toMatchObject([{ model, size: nearest }]);
  });

  test('says so for an edit as well, and when the request is repeated', async () => {
    const body = JSON.stringify({
      ...{ action: 'edit', prompt: 'sized twice', model: 'flux-kontext-pro', size: '1344x768' },
      ...{ image_url: upstream.imageUrl('source'), async: true },
    });
    const send = () => fluxClientFor(app).post('/flux/images', body, { 'idempotency-key': 'sized' });
    const [first, second] = [await send(), await send()];
    expect(second.body.task_id).toBe(first.body.task_id);
    const { body: task } = await fluxClientFor(app).tasks({ id: first.body.task_id });
    expect(task.request).toMatchObject({ action: 'edit', size: '16:9', requested_size: '1344x768' });
  });

  test('refuses a text that is not a size, and makes nothing', async () => {
    const response = await fluxClientFor(app).images({
      action: 'generate',
      prompt: 'unsized',
      size: 'large',
    });
    expect(statusAndCode(response)).toEqual([400, 'bad_request']);
    expect(upstream.submissions('unsized')).toEqual([]);
  });
});

describe('GraphQL', () => {
  test.each([
    ['flux-kontext-pro', '1024x1024'],
    ['flux-dev', '1:1'],
    ['flux-2-pro', '1:1'],
    ['flux-2-pro', '16:9'],
  ])('takes for %s the size %s, and returns it as it was sent', async (model, size) => {
    const input = { prompt: 'over GraphQL', model, size };
    const { generateImages } = await app.query(GenerateImagesDocument, { input });
    expect(generateImages).toMatchObject({ userErrors: [], task: { model, size } });
  });

  test.each([
    ['flux-kontext-pro', '1344x768', '16:9'],
    ['flux-dev', '16:9', '1376x768'],
  ])('refuses for %s the size %s and names the nearest, %s', async (model, size, nearest) => {
    const input = { prompt: 'over GraphQL', model, size };
    const { generateImages } = await app.query(GenerateImagesDocument, { input });
    expect(generateImages.task).toBeNull();
    expect(generateImages.userErrors).toMatchObject([{ code: 'INVALID_SIZE' }]);
    expect(generateImages.userErrors[0]?.message).toContain(nearest);
  });

  test('edits with a model of flux-2, and sends the size of a model when the request has none', async () => {
    const sourceImageUrl = upstream.imageUrl('source');
    for (const model of ['flux-2-max', 'flux-kontext-pro']) {
      const prompt = `edited by ${model}`;
      const { editImage } = await app.query(EditImageDocument, { input: { prompt, sourceImageUrl, model } });
      expect(editImage).toMatchObject({ userErrors: [], task: { model, size: null } });
      await upstream.callbackPath(prompt);
      expect(upstream.submissions(prompt)).toMatchObject([{ action: 'edit', model, size: '1:1' }]);
    }
  });
});
