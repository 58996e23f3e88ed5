import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import sharp from 'sharp';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';
import { BlobRepository } from '../../../src/db/images/blob-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { UploadRepository } from '../../../src/db/images/upload-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { originalKey } from '../../../src/storage/image-store.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { SignedLinks } from '../../../src/services/access/signed-links.js';
import { Retention } from '../../../src/services/images/retention.js';
import { ImageIngest } from '../../../src/services/images/ingest.js';
import { Uploads } from '../../../src/services/images/uploads.js';
import { TestHttpServer } from '../../support/net/test-http-server.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const CALLER = callerWith();
const MAX_BYTES = 1_000_000;
const log = pino({ level: 'silent' });
const eventLog = { requestSeal: () => undefined } as EventLog;
const signedLinks = new SignedLinks({
  signer: new Signer(Buffer.alloc(32)),
  publicUrl: 'http://127.0.0.1',
  urlForUpstream: null,
  canUpstreamFetchImages: false,
  imageLinkSeconds: null,
});
const workspaceId = newId();
let database: TestDatabase;
let db: Database;
let folder: string;
let imageServer: TestHttpServer;
const http = new HttpClient();
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 3, log });
  folder = await mkdtemp(join(tmpdir(), 'darkroom-paused-'));
  imageServer = await TestHttpServer.open(
    (response, { path }) => void createPng(Number(path.slice(1))).then((bytes) => response.end(bytes)),
  );
  await rows("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
});
afterAll(async () => {
  await http.destroy();
  await imageServer.close();
  await db.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

async function rows<Row extends Record<string, unknown>>(text: string, values: unknown[]): Promise<Row[]> {
  return (await db.pool.query<Row>(text, values)).rows;
}
/** A different image for each number. */
function createPng(number: number): Promise<Buffer> {
  const background = { r: number, g: 0, b: 0 };
  return sharp({ create: { width: 10, height: 10, channels: 3, background } })
    .png()
    .toBuffer();
}
let imageCount = 0;

/**
 * The parts of a process that is paused for more than ten minutes after `put`, and the same parts without the pause.
 */
function pausedAfterPut(isReservedAgain: boolean) {
  const [blobs, images] = [new BlobRepository(db), new ImageRepository(db)];
  const store = new DiskStore(folder);
  const retention = new Retention({ images, blobs, store, eventLog, retentionDays: null, log });
  const pausedBlobs = new BlobRepository(db);
  pausedBlobs.protect = async (sha256) => {
    await blobs.protect(sha256);
    const text = `UPDATE blobs SET check_at = now() - interval '1 second' WHERE sha256 = $1 RETURNING check_at AS at`;
    const [row] = await rows<{ at: Date }>(text, [sha256]);
    return row?.at ?? new Date();
  };
  const pausedStore = new DiskStore(folder);
  pausedStore.put = async (key, path) => {
    await store.put(key, path);
    await retention.deleteUnusedBlobs();
    expect(await store.size(key)).toBeNull();
    if (isReservedAgain) await blobs.protect(Buffer.from(key, 'hex'));
  };
  const parts = { images, blobs, store, http, eventLog, maxBytes: MAX_BYTES, log };
  return { parts, pausedParts: { ...parts, blobs: pausedBlobs, store: pausedStore } };
}

describe.each([
  ['until the reservation of its bytes has expired', false],
  ['until another process has reserved the same bytes', true],
])('a process that is paused %s', (_duration, isReservedAgain) => {
  test('does not refer to bytes that were removed in the meantime, and stores them when the job runs again', async () => {
    const { parts, pausedParts } = pausedAfterPut(isReservedAgain);
    const { images, store } = parts;
    const taskId = await insertTaskWithImage(`${imageServer.url}/${(imageCount += 1)}`);
    const paused = new ImageIngest(pausedParts);
    await paused.ingestTaskImages(taskId);
    expect(await images.findByTask(taskId)).toMatchObject([{ storedAt: null, sha256: null }]);

    await new ImageIngest(parts).ingestTaskImages(taskId);
    const [image] = await images.findByTask(taskId);
    expect(image?.storedAt).toEqual(expect.any(Date));
    expect(await store.size(originalKey(image?.sha256 ?? Buffer.alloc(0)))).not.toBeNull();
  });

  test('rejects an upload, and the same link accepts it afterwards', async () => {
    const { parts, pausedParts } = pausedAfterPut(isReservedAgain);
    const { store } = parts;
    const uploads = new UploadRepository(db);
    const bytes = await createPng((imageCount += 1));
    const paused = new Uploads({ ...pausedParts, uploads, signedLinks });
    const caller = { ...CALLER, workspaceId };
    const { upload } = await paused.create(caller, null);
    const token = new URL(upload.url).searchParams.get('t') ?? '';
    await expect(paused.receive(upload.imageId, token, Readable.from([bytes]))).rejects.toThrow(
      /Send it again/,
    );

    const resumed = new Uploads({ ...parts, uploads, signedLinks });
    const image = await resumed.receive(upload.imageId, token, Readable.from([bytes]));
    expect(await store.size(originalKey(image.sha256 ?? Buffer.alloc(0)))).not.toBeNull();
  });
});

async function insertTaskWithImage(url: string): Promise<string> {
  const taskId = newId();
  await rows(
    `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, pending_images, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'SUCCEEDED', 'p', 'flux-dev', 1, 1, '', now())`,
    [taskId, workspaceId],
  );
  const image =
    'INSERT INTO images (id, workspace_id, task_id, index, upstream_url) VALUES ($1, $2, $3, 0, $4)';
  await rows(image, [newId(), workspaceId, taskId, url]);
  return taskId;
}
