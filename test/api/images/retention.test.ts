import { access, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DeleteImageDocument, EditImageDocument, ImageByIdDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({
    environment: { IMAGE_RETENTION_DAYS: '7' },
    tuning: { unusedBlobIntervalMs: 100 },
  });
});
afterAll(() => app.stop());

interface CreatedImage {
  taskId: string;
  id: string;
  path: string;
  sha256: string;
}
async function createImage(prompt: string): Promise<CreatedImage> {
  const { id: taskId } = await app.generate({ prompt, size: '256x256' });
  const [image] = (await app.waitUntilSettled(taskId)).images;
  return { taskId, id: image?.id ?? '', path: pathAndQuery(image?.url), sha256: image?.sha256 ?? '' };
}
async function deleteImage(id: string, apiKey?: string) {
  return (await app.query(DeleteImageDocument, { input: { id } }, apiKey)).deleteImage;
}
function isStored(sha256: string): Promise<boolean> {
  return access(join(app.dataDir, 'images', sha256.slice(0, 2), sha256)).then(
    () => true,
    () => false,
  );
}
/** Makes the check due that runs 10 minutes after the bytes were stored. */
async function makeCheckDue(sha256: string): Promise<void> {
  await app.rows("UPDATE blobs SET check_at = now() WHERE sha256 = decode($1, 'hex')", [sha256]);
}

describe('a deleted image', () => {
  test('is no longer served, its bytes are removed, and the history records the deletion', async () => {
    const { taskId, id, path, sha256 } = await createImage('to be deleted');
    expect((await app.get(`${path}&w=64`)).status).toBe(200);
    const { image, userErrors } = await deleteImage(id);
    expect([image?.id, userErrors]).toEqual([id, []]);
    await waitFor('the link to answer 410', async () => (await app.get(path)).status === 410);
    expect((await app.get(`${path}&w=64`)).status).toBe(410);
    await makeCheckDue(sha256);
    await waitFor('the bytes to be removed', async () => !(await isStored(sha256)));
    const variant = join(app.dataDir, 'images', sha256.slice(0, 2), `${sha256}.w64.png`);
    await waitFor('the variant to be removed', () =>
      access(variant).then(
        () => false,
        () => true,
      ),
    );

    const event = await app.waitForEvent(taskId, 'IMAGE_DELETED');
    expect(event).toMatchObject({ actor: 'first key', data: { imageId: id, index: 0, reason: 'REQUESTED' } });
    const deleted = (await app.query(ImageByIdDocument, { id })).image;
    expect(deleted).toMatchObject({ id, width: 256 });
    const { editImage } = await app.query(EditImageDocument, {
      input: { prompt: 'again', sourceImageId: id },
    });
    expect(editImage.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
    expect((await deleteImage(id)).userErrors).toMatchObject([{ code: 'NOT_FOUND', field: ['input', 'id'] }]);
  });

  test('does not change which request the idempotency key of its edit identifies', async () => {
    const { id: sourceImageId } = await createImage('to be edited');
    const input = { prompt: 'edited once', sourceImageId, idempotencyKey: v7() };
    const editImage = async (changes = {}) =>
      (await app.query(EditImageDocument, { input: { ...input, ...changes } })).editImage;
    const { task } = await editImage();
    await app.waitUntilSettled(task?.id ?? '');
    await deleteImage(sourceImageId);
    expect(await editImage()).toMatchObject({ replayed: true, task: { id: task?.id }, userErrors: [] });
    expect((await editImage({ prompt: 'other' })).userErrors).toMatchObject([
      { code: 'IDEMPOTENCY_CONFLICT' },
    ]);
    expect((await editImage({ idempotencyKey: v7() })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  test('keeps the bytes while another image has the same', async () => {
    const image = await createImage('twins');
    const otherId = v7();
    await app.rows(
      `INSERT INTO images (id, workspace_id, task_id, index, upstream_url, width, height, mime_type, byte_size, sha256, stored_at)
       SELECT $1, workspace_id, task_id, 1, upstream_url, width, height, mime_type, byte_size, sha256, now()
       FROM images WHERE id = $2`,
      [otherId, image.id],
    );
    await deleteImage(image.id);
    await makeCheckDue(image.sha256);
    const isChecked = async () => {
      const rows = await app.rows("SELECT FROM blobs WHERE sha256 = decode($1, 'hex') AND check_at IS NULL", [
        image.sha256,
      ]);
      return rows.length === 1;
    };
    await waitFor('the cleanup to check the bytes', isChecked);
    expect(await isStored(image.sha256)).toBe(true);
    await deleteImage(otherId);
    await waitFor('the bytes to be removed', async () => !(await isStored(image.sha256)));
  });

  test('that was not stored yet settles its task', async () => {
    const { id } = await app.generate({ prompt: 'not stored [sandbox: image=404]', size: '256x256' });
    await app.waitForEvent(id, 'TASK_SUCCEEDED');
    const subscription = app.subscribeToTask(id);
    const [image] = (await app.task(id)).images;
    await deleteImage(image?.id ?? '');
    await subscription.ended;
    expect(subscription.received.at(-1)?.type).toBe('IMAGE_DELETED');
  });

  test('of another workspace cannot be deleted, and looks like an unknown image', async () => {
    const { id, path } = await createImage('of another workspace');
    const otherApiKey = await addWorkspaceWithKey(app);
    const [existing, unknown] = [await deleteImage(id, otherApiKey), await deleteImage(v7(), otherApiKey)];
    expect(existing).toEqual(unknown);
    expect(existing.userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
    expect((await app.get(path)).status).toBe(200);
  });
});

test('bytes that no image uses because of a crash are removed', async () => {
  const { id, sha256 } = await createImage('orphaned');
  await app.rows('UPDATE images SET sha256 = NULL, stored_at = NULL, deleted_at = now() WHERE id = $1', [id]);
  await makeCheckDue(sha256);
  await waitFor('the bytes to be removed', async () => !(await isStored(sha256)));
});

test('bytes that cannot be removed do not block others, and the failure is logged once', async () => {
  const [stuck, other] = [await createImage('stuck'), await createImage('behind it')];
  const file = join(app.dataDir, 'images', stuck.sha256.slice(0, 2), stuck.sha256);
  await rm(file);
  await mkdir(join(file, 'not removed as a file'), { recursive: true });
  await deleteImage(stuck.id);
  await deleteImage(other.id);
  await app.rows(
    `UPDATE blobs SET check_at = now() - CASE WHEN sha256 = decode($1, 'hex') THEN interval '1 hour' ELSE '0' END
     WHERE sha256 IN (decode($1, 'hex'), decode($2, 'hex'))`,
    [stuck.sha256, other.sha256],
  );
  await waitFor('the other bytes to be removed', async () => !(await isStored(other.sha256)));
  const postponed = "SELECT FROM blobs WHERE sha256 = decode($1, 'hex') AND check_at > now()";
  expect(await app.rows(postponed, [stuck.sha256])).toHaveLength(1);
  const failureCount = () => app.logLines.filter((line) => line.includes('could not be removed')).length;
  await waitFor('the failure to be logged', () => failureCount() > 0);

  await rm(file, { recursive: true });
  await makeCheckDue(stuck.sha256);
  const row = "SELECT FROM blobs WHERE sha256 = decode($1, 'hex')";
  await waitFor('the row to be deleted', async () => (await app.rows(row, [stuck.sha256])).length === 0);
  expect(failureCount()).toBe(1);
});

test('an old image that cannot be deleted does not keep others from being deleted', async () => {
  const images = [await createImage('poison'), await createImage('older'), await createImage('old')];
  const ids = images.map(({ id }) => id);
  const [poisonId = ''] = ids;
  await app.rows(`
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'index row too large'; END $$`);
  await app.rows(`
    CREATE TRIGGER poison BEFORE UPDATE OF deleted_at ON images FOR EACH ROW WHEN (NEW.id = '${poisonId}')
    EXECUTE FUNCTION fail()`);
  for (const [n, id] of ids.entries())
    await app.rows(`UPDATE images SET stored_at = now() - make_interval(days => $1) WHERE id = $2`, [
      9 - n,
      id,
    ]);
  await app.rows(
    `INSERT INTO uploads (id, workspace_id, actor, expires_at) VALUES ('${poisonId}', '${poisonId}', 'a', now() - interval '1 day')`,
  );
  await app.rows(`UPDATE graphile_worker._private_jobs SET run_at = now() WHERE key = 'delete-old-images'`);
  await waitFor('the steps after it', async () => (await app.rows('SELECT FROM uploads')).length === 0);
  const left = `SELECT id FROM images WHERE id = ANY($1) AND deleted_at IS NULL`;
  expect(await app.rows(left, [ids])).toEqual([{ id: poisonId }]);
  await app.rows('DROP TRIGGER poison ON images');
  await app.rows(`UPDATE images SET stored_at = now() WHERE id = '${poisonId}'`);
});

test('images older than the retention period are deleted, and newer ones stay', async () => {
  const [oldImage, newImage] = [await createImage('last week'), await createImage('today')];
  await app.rows("UPDATE images SET stored_at = now() - interval '8 days' WHERE id = $1", [oldImage.id]);
  await app.rows("SELECT graphile_worker.add_job('delete-old-images', '{}')");
  const event = await app.waitForEvent(oldImage.taskId, 'IMAGE_DELETED');
  expect(event).toMatchObject({ actor: 'retention', data: { reason: 'RETENTION' } });
  expect((await app.get(newImage.path)).status).toBe(200);
});

test('temporary files that a crash left are removed while the service runs, and files in use stay', async () => {
  const incoming = (name: string) => join(app.dataDir, 'images', 'incoming', name);
  await Promise.all(['left', 'in use'].map((name) => writeFile(incoming(name), 'bytes')));
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await utimes(incoming('left'), longAgo, longAgo);
  await app.rows("SELECT graphile_worker.add_job('delete-old-images', '{}')");
  await waitFor('the file to be removed', async () => {
    const names = await readdir(join(app.dataDir, 'images', 'incoming'));
    return !names.includes('left') && names.includes('in use');
  });
});
