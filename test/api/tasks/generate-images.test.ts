import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ImageByIdDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp, eventTypes } from '../../support/app/test-app.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

describe('generateImages', () => {
  test('returns a queued task at once, pushes every event, and completes the stream when the images are stored', async () => {
    const task = await app.generate({ prompt: 'a lighthouse at dusk', count: 2, size: '512x256' });
    expect(task).toMatchObject({
      kind: 'GENERATE',
      status: 'QUEUED',
      prompt: 'a lighthouse at dusk',
      model: 'flux-dev',
      size: '512x256',
      requestedCount: 2,
      deliveredCount: 0,
      images: [],
      error: null,
      submittedAt: null,
      finishedAt: null,
    });
    expect(Date.parse(task.deadlineAt) - Date.parse(task.createdAt)).toBe(600_000);

    const subscription = app.subscribeToTask(task.id, task.eventCursor);
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
      'IMAGE_STORED',
    ]);
    expect(subscription.received.map((event) => event.actor)).toEqual([
      'first key',
      'submitter',
      'upstream callback',
      'image store',
      'image store',
    ]);
    const done = subscription.received.at(-1)?.task;
    expect(done).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2, error: null });
    expect(done?.images.map(({ index, width, height }) => ({ index, width, height }))).toEqual([
      { index: 0, width: 512, height: 256 },
      { index: 1, width: 512, height: 256 },
    ]);
    expect(done?.upstreamTaskId).toBe(
      (subscription.received[1]?.data as { upstreamTaskId: string }).upstreamTaskId,
    );
    expect(Date.parse(done?.finishedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(done?.submittedAt ?? ''));
    await expect(app.sandboxCharges('a lighthouse at dusk')).resolves.toMatchObject({
      total: 1,
      images: 2,
    });
  });

  test('saves a history whose positions have no gaps and which matches the stream', async () => {
    const task = await app.generate({ prompt: 'a history' });
    const subscription = app.subscribeToTask(task.id, task.eventCursor);
    await subscription.ended;
    const rows = await app.rows<{ id: string; type: string; position: string; task_id: string }>(
      'SELECT id, type, position, task_id FROM task_events ORDER BY position',
    );
    expect(rows.map((row) => row.position)).toEqual(rows.map((_row, index) => String(index + 1)));
    const taskRows = rows.filter((row) => row.task_id === task.id);
    expect(taskRows.map(({ id, type }) => ({ id, type }))).toEqual(
      subscription.received.map(({ id, type }) => ({ id, type })),
    );
    const history = await app.history(task.id);
    expect(history.map(({ id, cursor }) => ({ id, cursor }))).toEqual(
      subscription.received.map(({ id, cursor }) => ({ id, cursor })),
    );
  });

  test('returns the hash, the byte size and the dimensions of each image, and they match the downloaded bytes', async () => {
    const { id } = await app.generate({ prompt: 'metadata', size: '256x320' });
    const [image] = (await app.waitUntilSettled(id)).images;
    const { bytes, headers } = await app.get(pathAndQuery(image?.url));
    expect(image?.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(image).toMatchObject({ width: 256, height: 320, mimeType: 'image/png', byteSize: bytes.length });
    expect(headers['content-type']).toBe('image/png');
    expect(Buffer.from(image?.thumbhash ?? '', 'base64').length).toBeGreaterThan(5);
    expect(image?.upstreamUrl).toContain('/sandbox/images/');
    await expect(app.query(ImageByIdDocument, { id: image?.id ?? '' })).resolves.toMatchObject({
      image: { sha256: image?.sha256, task: { id }, parent: null },
    });
  });

  test('succeeds when one of two images is delivered, and reports the delivered count', async () => {
    const { id } = await app.generate({ prompt: 'few [sandbox: images=1]', count: 2 });
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', requestedCount: 2, deliveredCount: 1 });
    expect(task.images).toHaveLength(1);
  });
});
