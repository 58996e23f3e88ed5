import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { v7 } from 'uuid';
import { loadOrCreateSecretKey } from '../../../src/config/secret-key.js';
import { Signer } from '../../../src/core/access/signer.js';
import { EditImageDocument, type EditImageInput, ImageByIdDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { CALLER_ROLE } from '../../../src/db/postgres/row-level-security.js';
import { resumeSubmissions } from '../../support/upstreams/submission-pace.js';
import { waitFor } from '../../support/wait-for.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

let app: TestApp;
let source: { id: string; taskId: string; url: string };
beforeAll(async () => {
  app = await TestApp.start();
  const task = await app.generate({ prompt: 'the source', size: '512x256' });
  const [image] = (await app.waitUntilSettled(task.id)).images;
  source = { id: image?.id ?? '', taskId: task.id, url: image?.url ?? '' };
});
afterAll(() => app.stop());

async function edit(input: EditImageInput, service = app) {
  return (await service.query(EditImageDocument, { input })).editImage;
}
async function countTasks(): Promise<number> {
  const [row] = await app.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}

describe('editImage', () => {
  test('edits a stored image, and the new image names it as its parent', async () => {
    const { task, userErrors } = await edit({ prompt: 'at night', sourceImageId: source.id });
    expect(userErrors).toEqual([]);
    expect(task).toMatchObject({
      kind: 'EDIT',
      status: 'QUEUED',
      model: 'flux-kontext-pro',
      size: null,
      requestedCount: 1,
      sourceImage: { id: source.id },
      sourceImageUrl: null,
    });
    const done = await app.waitUntilSettled(task?.id ?? '');
    expect(done).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    const [image] = done.images;
    expect(image).toMatchObject({ width: 512, height: 256 });
    await expect(app.query(ImageByIdDocument, { id: image?.id ?? '' })).resolves.toMatchObject({
      image: { parent: { id: source.id }, task: { id: done.id } },
    });
    await expect(app.sandboxCharges('at night')).resolves.toMatchObject({ total: 1, images: 1 });
  });

  test('edits an image behind an external URL', async () => {
    const select = 'SELECT upstream_url AS url FROM images WHERE id = $1';
    const [row] = await app.rows<{ url: string }>(select, [source.id]);
    const sourceImageUrl = row?.url;
    const { task } = await edit({ prompt: 'from a link', sourceImageUrl, size: '16:9' });
    expect(task).toMatchObject({ sourceImageUrl, sourceImage: null, size: '16:9' });
    const done = await app.waitUntilSettled(task?.id ?? '');
    expect(done).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    const { image } = await app.query(ImageByIdDocument, { id: done.images[0]?.id ?? '' });
    expect(image?.parent).toBeNull();
  });

  test('recognizes a stored image by its signed link', async () => {
    const { task } = await edit({ prompt: 'from our own link', sourceImageUrl: source.url });
    expect(task).toMatchObject({ sourceImage: { id: source.id }, sourceImageUrl: null });
    const done = await app.waitUntilSettled(task?.id ?? '');
    const { image } = await app.query(ImageByIdDocument, { id: done.images[0]?.id ?? '' });
    expect(image?.parent?.id).toBe(source.id);
  });

  test('recognizes a stored image by the signed link of a variant', async () => {
    for (const link of [source.url, `${source.url}&w=256&f=webp`]) {
      const { task } = await edit({ prompt: 'from our own link', sourceImageUrl: link });
      expect(task).toMatchObject({ sourceImageUrl: null, sourceImage: { id: source.id } });
    }
  });

  test('is the same request when a link to the same image has expired since, or has a new token', async () => {
    const signer = new Signer(await loadOrCreateSecretKey(app.dataDir), []);
    const expiry = Math.floor(Date.now() / 1_000 - 60).toString(36);
    const token = `${expiry}.${signer.sign('image-link', `${source.id}.${expiry}`, 16)}`;
    const links = [source.url, source.url.replace(/t=.*/, `t=${token}`), source.url.replace(/t=.*/, 't=old')];
    expect((await app.get(pathAndQuery(links[1]))).status).toBe(403);
    const input = { prompt: 'repeated later', idempotencyKey: v7() };
    const results = [];
    for (const sourceImageUrl of links) results.push(await edit({ ...input, sourceImageUrl }));
    expect(results.map(({ userErrors }) => userErrors)).toEqual([[], [], []]);
    expect(results.map(({ replayed }) => replayed)).toEqual([false, true, true]);
    const conflict = await edit({ ...input, sourceImageUrl: source.url.replace(source.id, v7()) });
    expect(conflict.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
  });

  test('fails with the error of the upstream when the URL does not return an image', async () => {
    const { task } = await edit({ prompt: 'no source', sourceImageUrl: `${app.url}/healthz` });
    await expect(app.waitUntilSettled(task?.id ?? '')).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'UPSTREAM_FAILED', upstreamCode: 'api_error' },
    });
  });

  test.each<[string, Partial<EditImageInput>, string, string]>([
    ['an input without a source', {}, 'INVALID_SOURCE_IMAGE', 'sourceImageId'],
    [
      'an input with two sources',
      { sourceImageId: v7(), sourceImageUrl: 'https://example.com/cat.png' },
      'INVALID_SOURCE_IMAGE',
      'sourceImageUrl',
    ],
    ['an unknown image ID', { sourceImageId: v7() }, 'NOT_FOUND', 'sourceImageId'],
    ['a malformed image ID', { sourceImageId: 'cat' }, 'NOT_FOUND', 'sourceImageId'],
    ['an empty image ID', { sourceImageId: '' }, 'NOT_FOUND', 'sourceImageId'],
    ['a URL that is not HTTP', { sourceImageUrl: 'ftp://example.com/cat' }, 'INVALID_URL', 'sourceImageUrl'],
    [
      'a URL in a private network',
      { sourceImageUrl: 'http://169.254.169.254/' },
      'INVALID_URL',
      'sourceImageUrl',
    ],
    [
      'the port of a mail server',
      { sourceImageUrl: 'http://example.com:25/' },
      'INVALID_URL',
      'sourceImageUrl',
    ],
    ['a string that is not a URL', { sourceImageUrl: 'cat.png' }, 'INVALID_URL', 'sourceImageUrl'],
    ['an empty URL', { sourceImageUrl: '' }, 'INVALID_URL', 'sourceImageUrl'],
    ['a URL with a password', { sourceImageUrl: 'https://me:pw@a.b/c' }, 'INVALID_URL', 'sourceImageUrl'],
    ['a URL with a NUL character', { sourceImageUrl: 'https://a.b/\0' }, 'INVALID_URL', 'sourceImageUrl'],
    [
      'a model that cannot edit',
      { sourceImageUrl: 'https://a.b/c', model: 'flux-dev' },
      'INVALID_MODEL',
      'model',
    ],
  ])('rejects %s', async (_description, input, code, field) => {
    const before = await countTasks();
    const { task, userErrors } = await edit({ prompt: 'rejected', ...input });
    expect(task).toBeNull();
    expect(userErrors).toMatchObject([{ code, field: ['input', field] }]);
    expect(userErrors).toHaveLength(1);
    await expect(countTasks()).resolves.toBe(before);
    await expect(app.sandboxCharges('rejected')).resolves.toMatchObject({ total: 0 });
  });

  test("rejects another workspace's image as if it did not exist", async () => {
    const [other] = await app.rows<{ id: string }>(
      "INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), 'other') RETURNING id",
    );
    await app.rows('UPDATE images SET workspace_id = $1 WHERE id = $2', [other?.id, source.id]);
    try {
      const { userErrors } = await edit({ prompt: 'foreign', sourceImageId: source.id });
      expect(userErrors).toMatchObject([{ code: 'NOT_FOUND', field: ['input', 'sourceImageId'] }]);
    } finally {
      await app.rows(
        'UPDATE images SET workspace_id = (SELECT workspace_id FROM tasks WHERE id = $1) WHERE id = $2',
        [source.taskId, source.id],
      );
    }
  });
});

describe('editImage with an external upstream', () => {
  test('rejects a stored image without PUBLIC_URL, and the message names the variable', async () => {
    const upstream = await FakeUpstream.open();
    const { FLUX_API_TOKEN = '', FLUX_BASE_URL = '' } = upstream.environment;
    const service = await TestApp.start({
      environment: { FLUX_API_TOKEN, FLUX_BASE_URL, FLUX_MODE: 'wait' },
    });
    try {
      upstream.onSubmit = (response) => response.end(JSON.stringify(upstream.successCallback()));
      const { id } = await service.generate({ prompt: 'waited for' });
      const [image] = (await service.waitUntilSettled(id)).images;
      const rejected = await edit({ prompt: 'hidden', sourceImageId: image?.id }, service);
      expect(rejected).toMatchObject({
        task: null,
        userErrors: [{ code: 'PUBLIC_URL_REQUIRED', field: ['input', 'sourceImageId'] }],
      });
      expect(rejected.userErrors[0]?.message).toContain('PUBLIC_URL');
      expect(upstream.submissions('hidden')).toEqual([]);

      const { task } = await edit({ prompt: 'by link', sourceImageUrl: upstream.imageUrl('cat') }, service);
      await expect(service.waitUntilSettled(task?.id ?? '')).resolves.toMatchObject({ status: 'SUCCEEDED' });
    } finally {
      await service.stop();
      await upstream.close();
    }
  });

  test('gives the upstream a link that ends soon after the deadline when image links expire', async () => {
    const upstream = await FakeUpstream.open();
    const environment = { ...upstream.environment, IMAGE_URL_TTL_SECONDS: '60' };
    const service = await TestApp.start({ environment });
    try {
      const { id } = await service.generate({ prompt: 'a source' });
      await service.postBody(await upstream.callbackPath('a source'), upstream.successCallback());
      const [image] = (await service.waitUntilSettled(id)).images;
      const { task } = await edit(
        { prompt: 'an edit', sourceImageId: image?.id, timeoutSeconds: 600 },
        service,
      );
      await service.postBody(await upstream.callbackPath('an edit'), upstream.successCallback());
      await service.waitUntilSettled(task?.id ?? '');
      const [submission] = upstream.submissions('an edit') as { image_url?: string }[];
      const path = pathAndQuery(submission?.image_url);
      const { status, headers } = await service.get(path);
      expect(status).toBe(200);
      const secondsLeft = Number(/max-age=(\d+)/.exec(headers['cache-control'] ?? '')?.[1]);
      expect(secondsLeft).toBeGreaterThan(600);
      expect(secondsLeft).toBeLessThanOrEqual(600 + 900 + 1);
    } finally {
      await service.stop();
      await upstream.close();
    }
  });

  test('sends the upstream a link to the stored image and its aspect ratio, even if the image cannot be looked up any more', async () => {
    const wide = { width: 320, height: 176, channels: 3, background: 'teal' } as const;
    const upstream = await FakeUpstream.open(await sharp({ create: wide }).png().toBuffer());
    const service = await TestApp.start({ environment: upstream.environment });
    try {
      const { id } = await service.generate({ prompt: 'a source' });
      await service.postBody(await upstream.callbackPath('a source'), upstream.successCallback());
      const [image] = (await service.waitUntilSettled(id)).images;
      expect(image?.url).toMatch(`https://darkroom.example/images/${image?.id}?t=`);
      await service.rows("UPDATE submission_pace SET paused_until = now() + interval '1 hour'");
      const { task } = await edit({ prompt: 'an edit', sourceImageId: image?.id }, service);
      // Sending the task must not depend on reading its source image.
      await service.rows(`REVOKE SELECT ON images FROM ${CALLER_ROLE}`);
      await resumeSubmissions(service);
      await waitFor('the edit to be sent', () => upstream.submissions('an edit').length > 0);
      await service.rows(`GRANT SELECT ON images TO ${CALLER_ROLE}`);
      await service.postBody(await upstream.callbackPath('an edit'), upstream.successCallback());
      await service.waitUntilSettled(task?.id ?? '');
      expect(upstream.submissions('an edit')).toMatchObject([
        { action: 'edit', image_url: image?.url, size: '16:9' },
      ]);
      expect(upstream.submissions('an edit')[0]).not.toHaveProperty('count');
    } finally {
      await service.stop();
      await upstream.close();
    }
  });
});
