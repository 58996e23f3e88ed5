import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { EditImageDocument, type EditImageInput, ImageByIdDocument } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

let app: TestApp;
let source: { id: string; taskId: string; url: string };
beforeAll(async () => {
  app = await TestApp.start();
  const task = await app.generate({ prompt: 'the source', size: '512x256' });
  const [image] = (await app.settled(task.id)).images;
  source = { id: image?.id ?? '', taskId: task.id, url: image?.url ?? '' };
});
afterAll(() => app.stop());

async function edit(input: EditImageInput, on = app) {
  return (await on.query(EditImageDocument, { input })).editImage;
}
async function tasksIn(on = app): Promise<number> {
  const [row] = await on.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}

describe('editImage', () => {
  test('changes a picture of ours, and the new one knows what it came from', async () => {
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
    const done = await app.settled(task?.id ?? '');
    expect(done).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    const [image] = done.images;
    expect(image).toMatchObject({ width: 512, height: 256 });
    await expect(app.query(ImageByIdDocument, { id: image?.id ?? '' })).resolves.toMatchObject({
      image: { parent: { id: source.id }, task: { id: done.id } },
    });
    await expect(app.billed('at night')).resolves.toMatchObject({ total: 1, pictures: 1 });
  });

  test('changes a picture behind a link', async () => {
    const select = 'SELECT upstream_url AS url FROM images WHERE id = $1';
    const [elsewhere] = await app.rows<{ url: string }>(select, [source.id]);
    const sourceImageUrl = elsewhere?.url;
    const { task } = await edit({ prompt: 'from a link', sourceImageUrl, size: '16:9' });
    expect(task).toMatchObject({ sourceImageUrl, sourceImage: null, size: '16:9' });
    const done = await app.settled(task?.id ?? '');
    expect(done).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    const { image } = await app.query(ImageByIdDocument, { id: done.images[0]?.id ?? '' });
    expect(image?.parent).toBeNull();
  });

  test('knows a picture of ours by its link as well as by its id', async () => {
    const { task } = await edit({ prompt: 'from our own link', sourceImageUrl: source.url });
    expect(task).toMatchObject({ sourceImage: { id: source.id }, sourceImageUrl: null });
    const done = await app.settled(task?.id ?? '');
    const { image } = await app.query(ImageByIdDocument, { id: done.images[0]?.id ?? '' });
    expect(image?.parent?.id).toBe(source.id);
  });

  test('knows a picture of ours by its link, in any form', async () => {
    for (const link of [source.url, `${source.url}&w=256&f=webp`]) {
      const { task } = await edit({ prompt: 'from our own link', sourceImageUrl: link });
      expect(task).toMatchObject({ sourceImageUrl: null, sourceImage: { id: source.id } });
    }
  });

  test('fails with the words of the upstream when the link gives no picture', async () => {
    const { task } = await edit({ prompt: 'no source', sourceImageUrl: `${app.url}/healthz` });
    await expect(app.settled(task?.id ?? '')).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'UPSTREAM_FAILED', upstreamCode: 'api_error' },
    });
  });

  test.each<[string, Partial<EditImageInput>, string, string]>([
    ['no source', {}, 'INVALID_SOURCE_IMAGE', 'sourceImageId'],
    [
      'both sources',
      { sourceImageId: v7(), sourceImageUrl: 'https://example.com/cat.png' },
      'INVALID_SOURCE_IMAGE',
      'sourceImageUrl',
    ],
    ['an id of no image', { sourceImageId: v7() }, 'NOT_FOUND', 'sourceImageId'],
    ['an id of no form', { sourceImageId: 'cat' }, 'NOT_FOUND', 'sourceImageId'],
    ['an empty id', { sourceImageId: '' }, 'NOT_FOUND', 'sourceImageId'],
    ['a link that is not http', { sourceImageUrl: 'ftp://example.com/cat' }, 'INVALID_URL', 'sourceImageUrl'],
    [
      'a link into our network',
      { sourceImageUrl: 'http://169.254.169.254/' },
      'INVALID_URL',
      'sourceImageUrl',
    ],
    [
      'a link to a mail server',
      { sourceImageUrl: 'http://example.com:25/' },
      'INVALID_URL',
      'sourceImageUrl',
    ],
    ['a link that is none', { sourceImageUrl: 'cat.png' }, 'INVALID_URL', 'sourceImageUrl'],
    ['an empty link', { sourceImageUrl: '' }, 'INVALID_URL', 'sourceImageUrl'],
    ['a link with a password', { sourceImageUrl: 'https://me:pw@a.b/c' }, 'INVALID_URL', 'sourceImageUrl'],
    ['a link with a NUL', { sourceImageUrl: 'https://a.b/\0' }, 'INVALID_URL', 'sourceImageUrl'],
    [
      'a model that cannot edit',
      { sourceImageUrl: 'https://a.b/c', model: 'flux-dev' },
      'INVALID_MODEL',
      'model',
    ],
  ])('refuses %s', async (_what, input, code, field) => {
    const before = await tasksIn();
    const { task, userErrors } = await edit({ prompt: 'refused', ...input });
    expect(task).toBeNull();
    expect(userErrors).toMatchObject([{ code, field: ['input', field] }]);
    expect(userErrors).toHaveLength(1);
    await expect(tasksIn()).resolves.toBe(before);
    await expect(app.billed('refused')).resolves.toMatchObject({ total: 0 });
  });

  test("refuses another workspace's picture as if it did not exist", async () => {
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

describe('with a real upstream', () => {
  test('and no PUBLIC_URL, a picture of ours cannot be edited, and the answer says what to set', async () => {
    const upstream = await FakeUpstream.open();
    const { FLUX_API_TOKEN = '', FLUX_BASE_URL = '' } = upstream.environment;
    const hidden = await TestApp.start({ environment: { FLUX_API_TOKEN, FLUX_BASE_URL, FLUX_MODE: 'wait' } });
    try {
      upstream.submit = (response) => response.end(JSON.stringify(upstream.success()));
      const { id } = await hidden.generate({ prompt: 'waited for' });
      const [image] = (await hidden.settled(id)).images;
      const refused = await edit({ prompt: 'hidden', sourceImageId: image?.id }, hidden);
      expect(refused).toMatchObject({
        task: null,
        userErrors: [{ code: 'PUBLIC_URL_REQUIRED', field: ['input', 'sourceImageId'] }],
      });
      expect(refused.userErrors[0]?.message).toContain('PUBLIC_URL');
      expect(upstream.submissions('hidden')).toEqual([]);

      const { task } = await edit({ prompt: 'by link', sourceImageUrl: upstream.pictureUrl('cat') }, hidden);
      await expect(hidden.settled(task?.id ?? '')).resolves.toMatchObject({ status: 'SUCCEEDED' });
    } finally {
      await hidden.stop();
      await upstream.close();
    }
  });

  test('and PUBLIC_URL, it is told to fetch a picture of ours from there', async () => {
    const upstream = await FakeUpstream.open();
    const open = await TestApp.start({ environment: upstream.environment });
    try {
      const { id } = await open.generate({ prompt: 'a source' });
      await open.send(await upstream.callbackPath('a source'), upstream.success());
      const [image] = (await open.settled(id)).images;
      expect(image?.url).toMatch(`https://darkroom.example/images/${image?.id}?t=`);
      const { task } = await edit({ prompt: 'an edit', sourceImageId: image?.id }, open);
      await open.send(await upstream.callbackPath('an edit'), upstream.success());
      await open.settled(task?.id ?? '');
      expect(upstream.submissions('an edit')).toMatchObject([{ action: 'edits', image_url: image?.url }]);
      expect(upstream.submissions('an edit')[0]).not.toHaveProperty('count');
    } finally {
      await open.stop();
      await upstream.close();
    }
  });
});
