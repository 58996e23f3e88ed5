import { access, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DeleteImageDocument, EditImageDocument, ImageByIdDocument } from '../../../clients/operations.js';
import { pathOf, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { RETENTION_DAYS: '7' }, tuning: { sweepEveryMs: 100 } });
});
afterAll(() => app.stop());

interface Made {
  taskId: string;
  id: string;
  path: string;
  sha256: string;
}
async function made(prompt: string): Promise<Made> {
  const { id: taskId } = await app.generate({ prompt, size: '256x256' });
  const [image] = (await app.settled(taskId)).images;
  return { taskId, id: image?.id ?? '', path: pathOf(image?.url), sha256: image?.sha256 ?? '' };
}
async function remove(id: string, key?: string) {
  return (await app.query(DeleteImageDocument, { input: { id } }, key)).deleteImage;
}
function isStored(sha256: string): Promise<boolean> {
  return access(join(app.dataDir, 'images', sha256.slice(0, 2), sha256)).then(
    () => true,
    () => false,
  );
}
/** As if 10 minutes had passed since it was stored. */
async function age(sha256: string): Promise<void> {
  await app.rows("UPDATE blobs SET check_at = now() WHERE sha256 = decode($1, 'hex')", [sha256]);
}

describe('a deleted image', () => {
  test('is gone for everybody, its bytes too, and the history tells it', async () => {
    const { taskId, id, path, sha256 } = await made('to be deleted');
    expect((await app.get(`${path}&w=64`)).status).toBe(200);
    const { image, userErrors } = await remove(id);
    expect([image?.id, userErrors]).toEqual([id, []]);
    await waitFor('the link to answer 410', async () => (await app.get(path)).status === 410);
    expect((await app.get(`${path}&w=64`)).status).toBe(410);
    await age(sha256);
    await waitFor('the bytes to be gone', async () => !(await isStored(sha256)));
    const variant = join(app.dataDir, 'images', sha256.slice(0, 2), `${sha256}.w64.png`);
    await waitFor('the variant to be gone', () =>
      access(variant).then(
        () => false,
        () => true,
      ),
    );

    const event = await app.happened(taskId, 'IMAGE_DELETED');
    expect(event).toMatchObject({ actor: 'first key', data: { imageId: id, index: 0, reason: 'REQUESTED' } });
    const row = (await app.query(ImageByIdDocument, { id })).image;
    expect(row).toMatchObject({ id, width: 256 });
    const { editImage } = await app.query(EditImageDocument, {
      input: { prompt: 'again', sourceImageId: id },
    });
    expect(editImage.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
    expect((await remove(id)).userErrors).toMatchObject([{ code: 'NOT_FOUND', field: ['input', 'id'] }]);
  });

  test('leaves an edit of it what its idempotency key stands for', async () => {
    const { id: sourceImageId } = await made('to be edited');
    const input = { prompt: 'edited once', sourceImageId, idempotencyKey: v7() };
    const ask = async (change = {}) =>
      (await app.query(EditImageDocument, { input: { ...input, ...change } })).editImage;
    const { task } = await ask();
    await app.settled(task?.id ?? '');
    await remove(sourceImageId);
    expect(await ask()).toMatchObject({ replayed: true, task: { id: task?.id }, userErrors: [] });
    expect((await ask({ prompt: 'other' })).userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
    expect((await ask({ idempotencyKey: v7() })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  test('takes the bytes only when no other image has the same', async () => {
    const one = await made('twins');
    const other = v7();
    await app.rows(
      `INSERT INTO images (id, workspace_id, task_id, index, upstream_url, width, height, mime_type, byte_size, sha256, stored_at)
       SELECT $1, workspace_id, task_id, 1, upstream_url, width, height, mime_type, byte_size, sha256, now()
       FROM images WHERE id = $2`,
      [other, one.id],
    );
    await remove(one.id);
    await age(one.sha256);
    const checked = async () => {
      const rows = await app.rows("SELECT FROM blobs WHERE sha256 = decode($1, 'hex') AND check_at IS NULL", [
        one.sha256,
      ]);
      return rows.length === 1;
    };
    await waitFor('the sweep to have looked', checked);
    expect(await isStored(one.sha256)).toBe(true);
    await remove(other);
    await waitFor('the bytes to be gone', async () => !(await isStored(one.sha256)));
  });

  test('that was still on its way settles its task', async () => {
    const { id } = await app.generate({ prompt: 'never wanted [sandbox: picture=404]', size: '256x256' });
    await app.happened(id, 'TASK_SUCCEEDED');
    const watch = app.watchTask(id);
    const [image] = (await app.task(id)).images;
    await remove(image?.id ?? '');
    await watch.ended;
    expect(watch.received.at(-1)?.type).toBe('IMAGE_DELETED');
  });

  test('of another workspace is as absent as one that never was', async () => {
    const { id, path } = await made('not yours');
    const other = await addWorkspace(app);
    const [foreign, unknown] = [await remove(id, other), await remove(v7(), other)];
    expect(foreign).toEqual(unknown);
    expect(foreign.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
    expect((await app.get(path)).status).toBe(200);
  });
});

test('bytes that a crash kept from being named are removed', async () => {
  const { id, sha256 } = await made('orphaned');
  await app.rows('UPDATE images SET sha256 = NULL, stored_at = NULL, deleted_at = now() WHERE id = $1', [id]);
  await age(sha256);
  await waitFor('the bytes to be gone', async () => !(await isStored(sha256)));
});

test('bytes that cannot be removed are in the way of no others, and the log says so once', async () => {
  const [stuck, other] = [await made('stuck'), await made('behind it')];
  const file = join(app.dataDir, 'images', stuck.sha256.slice(0, 2), stuck.sha256);
  await rm(file);
  await mkdir(join(file, 'not removed as a file'), { recursive: true });
  await remove(stuck.id);
  await remove(other.id);
  await app.rows(
    `UPDATE blobs SET check_at = now() - CASE WHEN sha256 = decode($1, 'hex') THEN interval '1 hour' ELSE '0' END
     WHERE sha256 IN (decode($1, 'hex'), decode($2, 'hex'))`,
    [stuck.sha256, other.sha256],
  );
  await waitFor('the other bytes to be gone', async () => !(await isStored(other.sha256)));
  const later = "SELECT FROM blobs WHERE sha256 = decode($1, 'hex') AND check_at > now()";
  expect(await app.rows(later, [stuck.sha256])).toHaveLength(1);
  const complaints = () => app.logged.filter((line) => line.includes('could not be removed')).length;
  await waitFor('the log to say so', () => complaints() > 0);

  await rm(file, { recursive: true });
  await age(stuck.sha256);
  const row = "SELECT FROM blobs WHERE sha256 = decode($1, 'hex')";
  await waitFor('the row to be gone', async () => (await app.rows(row, [stuck.sha256])).length === 0);
  expect(complaints()).toBe(1);
});

test('pictures that are older than the retention are deleted, and younger ones stay', async () => {
  const [old, young] = [await made('last week'), await made('today')];
  await app.rows("UPDATE images SET stored_at = now() - interval '8 days' WHERE id = $1", [old.id]);
  await app.rows("SELECT graphile_worker.add_job('forget-pictures', '{}')");
  const event = await app.happened(old.taskId, 'IMAGE_DELETED');
  expect(event).toMatchObject({ actor: 'retention', data: { reason: 'RETENTION' } });
  expect((await app.get(young.path)).status).toBe(200);
});

test('files that a crash has left are removed while the service runs, and those under way stay', async () => {
  const incoming = (name: string) => join(app.dataDir, 'images', 'incoming', name);
  await Promise.all(['left', 'under way'].map((name) => writeFile(incoming(name), 'bytes')));
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await utimes(incoming('left'), longAgo, longAgo);
  await app.rows("SELECT graphile_worker.add_job('forget-pictures', '{}')");
  await waitFor('the file to be gone', async () => {
    const names = await readdir(join(app.dataDir, 'images', 'incoming'));
    return !names.includes('left') && names.includes('under way');
  });
});
