import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Database } from '../../../src/db/postgres/database.js';
import { MAX_VIEWER_DOWNLOADS } from '../../../src/services/images/ingest.js';
import { IngestFixture } from '../../support/images/ingest-fixture.js';
import { reply, type TestHttpServer } from '../../support/net/test-http-server.js';
import { waitFor } from '../../support/wait-for.js';

let fixture: IngestFixture;
let db: Database;
let folder: string;
let source: TestHttpServer;
beforeAll(async () => {
  fixture = await IngestFixture.open();
  ({ db, folder, source } = fixture);
});
beforeEach(() => {
  fixture.answer = null;
});
afterAll(() => fixture.close());

const startIngest = (downloadTimeoutMs?: number) => fixture.startIngest({ downloadTimeoutMs });
const insertTaskWithImage: IngestFixture['insertTaskWithImage'] = (options) =>
  fixture.insertTaskWithImage(options);
const readImage = (taskId: string) => fixture.readImage(taskId);

/** Makes storing the bytes fail, by a file in the place of their folder. Returns what ends that. */
async function breakStore(): Promise<() => Promise<void>> {
  const sha256 = createHash('sha256').update(fixture.bytes).digest('hex');
  const shard = join(folder, sha256.slice(0, 2));
  await rm(shard, { recursive: true, force: true });
  await writeFile(shard, '');
  return () => rm(shard);
}

test('an image that the store refused 30 times survives a failure of its source, and is stored', async () => {
  const taskId = await insertTaskWithImage();
  const repairStore = await breakStore();
  for (let attempt = 1; attempt <= 30; attempt += 1) await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ storeFailures: 30, sourceFailures: 0, lostAt: null });

  await repairStore();
  fixture.answer = reply(503, 'down');
  await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ sourceFailures: 1, lostAt: null });
  fixture.answer = null;
  await startIngest().ingestTaskImages(taskId);
  expect((await readImage(taskId))?.storedAt).toEqual(expect.any(Date));
});

describe('viewers of images that are not stored yet', () => {
  const insertImage = async (query: string, { workspaceId }: { workspaceId?: string } = {}) => {
    const image = await readImage(await insertTaskWithImage({ query, ...(workspaceId && { workspaceId }) }));
    if (!image) throw new Error('The image was not inserted.');
    return image;
  };

  /** The most downloads at the same time while all images are requested. */
  const mostAtOnce = async (images: Awaited<ReturnType<typeof insertImage>>[]) => {
    const ingest = startIngest();
    let running = 0;
    let most = 0;
    fixture.answer = (response) => {
      running += 1;
      most = Math.max(most, running);
      setTimeout(() => {
        running -= 1;
        response.end(fixture.bytes);
      }, 50);
    };
    await Promise.all(images.map((image) => ingest.ingestForViewer(image)));
    const { rows } = await db.pool.query('SELECT FROM images WHERE id = ANY ($1) AND stored_at IS NOT NULL', [
      images.map(({ id }) => id),
    ]);
    expect(rows).toHaveLength(images.length);
    return most;
  };

  test('start a few downloads of a workspace at a time, and get all images', async () => {
    const images = [];
    for (let count = 0; count < 30; count += 1) images.push(await insertImage(`?${count}`));
    const most = await mostAtOnce(images);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });

  // Enforces MAX_VIEWER_DOWNLOADS in src/services/images/ingest.ts.
  test('start some more of all workspaces together', async () => {
    const images = [];
    for (let workspace = 0; workspace < 10; workspace += 1) {
      const workspaceId = newId();
      await db.pool.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
      for (let count = 0; count < 4; count += 1)
        images.push(await insertImage(`?${workspace}-${count}`, { workspaceId }));
    }
    const most = await mostAtOnce(images);
    expect(most).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(MAX_VIEWER_DOWNLOADS);
  });

  const failTheSource = () => {
    fixture.answer = counted(reply(503, 'down'));
    return Promise.resolve(() => Promise.resolve());
  };
  const failTheStore = () => {
    fixture.answer = counted((response) => response.end(fixture.bytes));
    return breakStore();
  };
  test.each([
    ['source', failTheSource],
    ['store', failTheStore],
  ])('do not repeat a download at once after the %s has failed', async (what, breakIt) => {
    const ingest = startIngest();
    const image = await insertImage('');
    const repair = await breakIt();
    requests = 0;
    const others = await Promise.all(['?a', '?b', '?c', '?d', '?e', '?f'].map((query) => insertImage(query)));
    for (let count = 0; count < 5; count += 1)
      await expect(ingest.ingestForViewer(image)).rejects.toThrow(/503|is unavailable/);
    expect(requests).toBe(1);
    // All of them at once. Those that wait for a slot learn of the failure.
    const views = others.flatMap((other) => Array.from({ length: 5 }, () => other));
    const results = await Promise.allSettled(views.map((other) => ingest.ingestForViewer(other)));
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(requests).toBe(what === 'source' ? 1 + others.length : 1);
    await repair();
  });

  test('get an image that its job is storing, whatever other viewers wait for', async () => {
    const ingest = startIngest();
    const [ofJob, ...ofViewers] = await Promise.all(
      ['?job', '?1', '?2', '?3', '?4', '?5'].map((query) => insertImage(query)),
    );
    const answerAll: (() => void)[] = [];
    fixture.answer = (response) => void answerAll.push(() => response.end(fixture.bytes));
    const waiting = ofViewers.map((image) => ingest.ingestForViewer(image));
    await waitFor('the viewers to take all slots', () => answerAll.length === 4);
    const job = ingest.ingestTaskImages(ofJob?.taskId ?? '');
    await waitFor('the job to download', () => answerAll.length === 5);
    const viewer = ingest.ingestForViewer(ofJob!);
    answerAll.at(-1)?.();
    await Promise.all([job, viewer]);
    fixture.answer = null;
    answerAll.forEach((answer) => answer());
    await Promise.all(waiting);
  });

  test('do not make an image lost whose job joins their attempt', async () => {
    const ingest = startIngest();
    const image = await insertImage('?not-an-image');
    await db.pool.query('UPDATE images SET source_failures = 7 WHERE id = $1', [image.id]);
    const held: (() => void)[] = [];
    fixture.answer = (response) => void held.push(() => response.end('not an image'));
    const viewer = ingest.ingestForViewer(image);
    await waitFor('the download', () => held.length === 1);
    const job = ingest.ingestTaskImages(image.taskId ?? '');
    // It has found the attempt when it has read the rows.
    await db.pool.query('SELECT');
    held[0]?.();
    await Promise.all([viewer, job]);
    expect(await readImage(image.taskId ?? '')).toMatchObject({
      lostAt: null,
      storedAt: expect.any(Date) as unknown,
    });
  });

  let requests = 0;
  const counted =
    (answer: NonNullable<IngestFixture['answer']>): NonNullable<IngestFixture['answer']> =>
    (response, received) => {
      requests += 1;
      return answer(response, received);
    };
});

test('a download that succeeds before the store fails shows that the source lives', async () => {
  const taskId = await insertTaskWithImage();
  fixture.answer = reply(503, 'down');
  for (let attempt = 1; attempt <= 7; attempt += 1) await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ sourceFailures: 7, lostAt: null });
  fixture.answer = null;
  const repairStore = await breakStore();
  await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ sourceFailures: 0, lostAt: null });
  await repairStore();
});

test('a source that fails 8 times in a row loses the image and settles the task', async () => {
  const taskId = await insertTaskWithImage();
  fixture.answer = reply(503, 'down');
  for (let attempt = 1; attempt <= 8; attempt += 1) await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ lostReason: expect.stringContaining('503') as unknown });
});

test.each([400, 401, 403, 404, 408, 425, 429, 500, 503])(
  'an image whose source answers %i for a while is stored',
  async (status) => {
    const taskId = await insertTaskWithImage();
    fixture.answer = reply(status, 'not yet');
    for (let attempt = 1; attempt <= 7; attempt += 1) await startIngest().ingestTaskImages(taskId);
    expect(await readImage(taskId)).toMatchObject({ sourceFailures: 7, lostAt: null });
    fixture.answer = null;
    await startIngest().ingestTaskImages(taskId);
    expect(await readImage(taskId)).toMatchObject({ lostAt: null, storedAt: expect.any(Date) as unknown });
  },
);

test('an empty file does not end an image, because the real one may follow', async () => {
  const taskId = await insertTaskWithImage();
  fixture.answer = reply(200, '');
  for (let attempt = 1; attempt <= 7; attempt += 1) await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ lostAt: null, storedAt: null });
});

test.each([
  [410, '', /may still work, and does not say until when/],
  [403, '?Expires=1000000000&Signature=a', /works until 2001-09-09T01:46:40.000Z/],
])(
  'an image is lost at once after status %i if the URL is final, and keeps its link: %s',
  async (status, query, reason) => {
    const taskId = await insertTaskWithImage({ query });
    fixture.answer = reply(status, 'gone');
    await startIngest().ingestTaskImages(taskId);
    const upstreamUrl = `${source.url}/image.png${query}`;
    const lostReason = expect.stringMatching(reason) as unknown;
    expect(await readImage(taskId)).toMatchObject({
      upstreamUrl,
      lostReason,
      lostAt: expect.any(Date) as unknown,
    });
    const { rows } = await db.pool.query<{ data: object }>(
      "SELECT data FROM task_events WHERE task_id = $1 AND type = 'IMAGE_LOST'",
      [taskId],
    );
    const upstreamUrlExpiresAt = query === '' ? null : '2001-09-09T01:46:40.000Z';
    expect(rows).toEqual([
      { data: expect.objectContaining({ upstreamUrl, upstreamUrlExpiresAt }) as unknown },
    ]);
  },
);

test.each([
  ['a page', Buffer.from('<html><script>alert(1)</script></html>')],
  ['a damaged image', Buffer.from('89504e470d0a1a0a0000', 'hex')],
])('%s in place of an image is downloaded once more, and then kept as it came', async (_what, body) => {
  const taskId = await insertTaskWithImage();
  fixture.answer = (response) => response.end(body);
  await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ sourceFailures: 1, storedAt: null, lostAt: null });
  await startIngest().ingestTaskImages(taskId);
  const sha256 = createHash('sha256').update(body).digest();
  expect(await readImage(taskId)).toMatchObject({
    storedAt: expect.any(Date) as unknown,
    mimeType: 'application/octet-stream',
    width: null,
    thumbhash: null,
    byteSize: body.length,
    decodeError: expect.stringMatching(/^The image cannot be read: /) as unknown,
  });
  const stored = join(folder, sha256.toString('hex').slice(0, 2), sha256.toString('hex'));
  expect(await readFile(stored)).toEqual(body);
});

test('an image that decoders warn about is stored as it came, with its properties', async () => {
  const pixels = Buffer.from(Array.from({ length: 120_000 }, (_, at) => (at * 7919) % 251));
  const whole = await sharp(pixels, { raw: { width: 200, height: 200, channels: 3 } })
    .jpeg()
    .toBuffer();
  const cut = whole.subarray(0, Math.floor(whole.length * 0.7));
  const taskId = await insertTaskWithImage();
  fixture.answer = (response) => response.end(cut);
  await startIngest().ingestTaskImages(taskId);
  const sha256 = createHash('sha256').update(cut).digest();
  expect(await readImage(taskId)).toMatchObject({ width: 200, mimeType: 'image/jpeg', decodeError: null });
  expect(Buffer.from((await readImage(taskId))?.sha256 ?? [])).toEqual(sha256);
});

test('a task is settled after 7 days even if the store never returns', async () => {
  const taskId = await insertTaskWithImage({ createdAt: new Date(Date.now() - 8 * 24 * 3_600_000) });
  const repairStore = await breakStore();
  await startIngest().ingestTaskImages(taskId);
  expect(await readImage(taskId)).toMatchObject({ lostReason: expect.stringContaining('7 days') as unknown });
  await repairStore();
});

test('while the store fails, images are not downloaded again and again', async () => {
  const taskId = await insertTaskWithImage();
  const repairStore = await breakStore();
  const ingest = startIngest();
  await ingest.ingestTaskImages(taskId);
  const before = source.requests.length;
  for (let attempt = 1; attempt <= 10; attempt += 1) await ingest.ingestTaskImages(taskId);
  expect(source.requests.length).toBe(before);
  await repairStore();
});

test('a host that does not answer three downloads is only probed, and no image is lost meanwhile', async () => {
  fixture.answer = () => undefined;
  const ingest = startIngest(300);
  const triedTaskId = await insertTaskWithImage();
  for (let attempt = 1; attempt <= 3; attempt += 1) await ingest.ingestTaskImages(triedTaskId);
  expect(await readImage(triedTaskId)).toMatchObject({ sourceFailures: 3, lostAt: null });
  const requestsBefore = source.requests.length;
  const taskIds = await Promise.all(Array.from({ length: 20 }, () => insertTaskWithImage()));
  for (const taskId of taskIds) await ingest.ingestTaskImages(taskId);
  expect(source.requests.length).toBe(requestsBefore);
  for (const taskId of taskIds) {
    const { rows } = await db.pool.query<{ waits: boolean }>(
      `SELECT ingest_at BETWEEN now() AND now() + interval '8 seconds' AS waits FROM images WHERE task_id = $1`,
      [taskId],
    );
    expect(rows).toEqual([{ waits: true }]);
    expect(await readImage(taskId)).toMatchObject({ sourceFailures: 0, lostAt: null });
  }
  // Other hosts are not affected: the same server by another name.
  const elsewhere = await insertTaskWithImage();
  await db.pool.query(
    `UPDATE images SET upstream_url = replace(upstream_url, '127.0.0.1', 'localhost') WHERE task_id = $1`,
    [elsewhere],
  );
  fixture.answer = null;
  await ingest.ingestTaskImages(elsewhere);
  expect((await readImage(elsewhere))?.storedAt).toEqual(expect.any(Date));

  // One probe is answered, and then all of them are.
  const [probed = '', ...others] = taskIds;
  await waitFor('the probe', async () => {
    await ingest.ingestTaskImages(probed);
    return (await readImage(probed))?.storedAt;
  });
  await Promise.all(others.map((taskId) => ingest.ingestTaskImages(taskId)));
  for (const taskId of others) expect((await readImage(taskId))?.storedAt).toEqual(expect.any(Date));
});

test('an image whose job was lost gets another one when its attempt is due, and only one', async () => {
  await db.pool.query('DELETE FROM graphile_worker._private_jobs');
  const taskId = await insertTaskWithImage();
  const { id } = (await readImage(taskId)) ?? {};
  // The images of other tests in this file become due while they run on a slow machine.
  const readJobs = async () => {
    const { rows } = await db.pool.query<{ payload: object }>(
      "SELECT payload FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1",
      [taskId],
    );
    return rows;
  };
  await startIngest().queueDue();
  expect(await readJobs()).toEqual([]);
  await db.pool.query('UPDATE images SET ingest_at = now() WHERE id = $1', [id]);
  await Promise.all([startIngest().queueDue(), startIngest().queueDue()]);
  await startIngest().queueDue();
  expect(await readJobs()).toEqual([{ payload: { taskId, imageIds: [id] } }]);
});

test('however many images are due, few ingest jobs wait, and those that run make room for others', async () => {
  await db.pool.query('DELETE FROM graphile_worker._private_jobs');
  await db.pool.query('UPDATE images SET ingest_at = $1', ['infinity']);
  const taskIds = await Promise.all(Array.from({ length: 230 }, () => insertTaskWithImage()));
  await db.pool.query('UPDATE images SET ingest_at = now() WHERE task_id = ANY ($1)', [taskIds]);
  await db.pool.query(
    "SELECT enqueue_job('submit-task', '{}', job_flags := ARRAY['upstream']) FROM generate_series(1, 300)",
  );
  const ingestJobs = "FROM graphile_worker._private_jobs WHERE flags ? 'ingest'";
  const countJobs = async () => (await db.pool.query(`SELECT ${ingestJobs}`)).rowCount;

  await startIngest().queueDue();
  expect(await countJobs()).toBe(200);
  await startIngest().queueDue();
  expect(await countJobs()).toBe(200);
  await db.pool.query(
    `UPDATE graphile_worker._private_jobs SET locked_at = now() WHERE id IN (SELECT id ${ingestJobs} LIMIT 20)`,
  );
  await startIngest().queueDue();
  expect(await countJobs()).toBe(220);
  await db.pool.query('DELETE FROM graphile_worker._private_jobs');
});

test('ingest jobs that are tried again later keep no other image from its job', async () => {
  await db.pool.query('DELETE FROM graphile_worker._private_jobs');
  await db.pool.query('UPDATE images SET ingest_at = $1', ['infinity']);
  await db.pool.query(
    "SELECT enqueue_job('ingest-images', '{}', 60000, ARRAY['ingest']) FROM generate_series(1, 300)",
  );
  const taskId = await insertTaskWithImage();
  await db.pool.query('UPDATE images SET ingest_at = now() WHERE task_id = $1', [taskId]);
  await startIngest().queueDue();
  const { rows } = await db.pool.query(
    "SELECT run_at <= now() AS due FROM graphile_worker._private_jobs WHERE payload->>'taskId' = $1",
    [taskId],
  );
  expect(rows).toEqual([{ due: true }]);
  await db.pool.query('DELETE FROM graphile_worker._private_jobs');
});
