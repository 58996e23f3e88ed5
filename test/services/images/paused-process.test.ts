import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import sharp from 'sharp';
import { StoreUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';
import { Blobs } from '../../../src/db/images/blob-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Images } from '../../../src/db/images/image-repository.js';
import { Uploads } from '../../../src/db/images/upload-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { originalKey } from '../../../src/storage/image-store.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { Addresses } from '../../../src/services/access/signed-links.js';
import { Forgetting } from '../../../src/services/images/retention.js';
import { Pictures } from '../../../src/services/images/ingest.js';
import { Uploading } from '../../../src/services/images/uploads.js';
import { Peer } from '../../support/net/http-peer.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const CALLER = callerWith();
const MAX_BYTES = 1_000_000;
const log = pino({ level: 'silent' });
const events = { sealSoon: () => undefined } as EventLog;
const addresses = new Addresses(new Signer(Buffer.alloc(32)), 'http://127.0.0.1', null, false, null);
const workspaceId = newId();
let database: TestDatabase;
let db: Database;
let folder: string;
let host: Peer;
const http = new HttpClient();
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 3, log });
  folder = await mkdtemp(join(tmpdir(), 'darkroom-still-'));
  host = await Peer.open(
    (response, { path }) => void picture(Number(path.slice(1))).then((bytes) => response.end(bytes)),
  );
  await rows("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
});
afterAll(async () => {
  await http.close();
  await host.close();
  await db.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

async function rows<Row extends Record<string, unknown>>(text: string, values: unknown[]): Promise<Row[]> {
  return (await db.pool.query<Row>(text, values)).rows;
}
/** Another one for every number. */
function picture(number: number): Promise<Buffer> {
  const background = { r: number, g: 0, b: 0 };
  return sharp({ create: { width: 10, height: 10, channels: 3, background } })
    .png()
    .toBuffer();
}
let pictures = 0;

/** Everything that stores, as it is when the process stands still for more than ten minutes after `put`. */
function standingStill(thenAnnouncedAgain: boolean) {
  const [blobs, images] = [new Blobs(db), new Images(db)];
  const store = new DiskStore(folder);
  const forgetting = new Forgetting(images, blobs, store, events, null, log);
  const slowBlobs = new Blobs(db);
  slowBlobs.touch = async (sha256) => {
    await blobs.touch(sha256);
    const text = `UPDATE blobs SET check_at = now() - interval '1 second' WHERE sha256 = $1 RETURNING check_at AS at`;
    const [row] = await rows<{ at: Date }>(text, [sha256]);
    return row?.at ?? new Date();
  };
  const slowStore = new DiskStore(folder);
  slowStore.put = async (key, path) => {
    await store.put(key, path);
    await forgetting.sweep();
    expect(await store.has(key)).toBe(false);
    if (thenAnnouncedAgain) await blobs.touch(Buffer.from(key, 'hex'));
  };
  return { blobs, slowBlobs, images, store, slowStore };
}

describe.each([
  ['for longer than its bytes were announced', false],
  ['until others have announced the same bytes', true],
])('a process that stands still %s', (_what, thenAnnouncedAgain) => {
  test('does not name bytes that were removed meanwhile, and stores them when the job runs again', async () => {
    const { blobs, slowBlobs, images, store, slowStore } = standingStill(thenAnnouncedAgain);
    const taskId = await taskWithPicture(`${host.url}/${(pictures += 1)}`);
    const slow = new Pictures(images, slowBlobs, slowStore, http, events, MAX_BYTES, log);
    await expect(slow.storeAll(taskId, 1)).rejects.toThrow(StoreUnavailable);
    expect(await images.findOfTask(taskId)).toMatchObject([{ storedAt: null, sha256: null }]);

    await new Pictures(images, blobs, store, http, events, MAX_BYTES, log).storeAll(taskId, 2);
    const [image] = await images.findOfTask(taskId);
    expect(image?.storedAt).toEqual(expect.any(Date));
    expect(await store.has(originalKey(image?.sha256 ?? Buffer.alloc(0)))).toBe(true);
  });

  test('asks for an upload again, and the link takes it', async () => {
    const { blobs, slowBlobs, images, store, slowStore } = standingStill(thenAnnouncedAgain);
    const uploads = new Uploads(db);
    const bytes = await picture((pictures += 1));
    const slow = new Uploading(uploads, images, slowBlobs, slowStore, addresses, MAX_BYTES);
    const caller = { ...CALLER, workspaceId };
    const { upload } = await slow.create(caller, null);
    const token = new URL(upload.url).searchParams.get('t') ?? '';
    await expect(slow.receive(upload.imageId, token, Readable.from([bytes]))).rejects.toThrow(/sent again/);

    const awake = new Uploading(uploads, images, blobs, store, addresses, MAX_BYTES);
    const image = await awake.receive(upload.imageId, token, Readable.from([bytes]));
    expect(await store.has(originalKey(image.sha256 ?? Buffer.alloc(0)))).toBe(true);
  });
});

async function taskWithPicture(url: string): Promise<string> {
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
