import { createHash, randomBytes } from 'node:crypto';
import { type ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { BlobRepository } from '../../../src/db/images/blob-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { protectBytes } from '../../../src/services/images/protect-bytes.js';
import { Retention } from '../../../src/services/images/retention.js';
import { S3Store } from '../../../src/storage/s3-store.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { S3_BUCKET, S3_CREDENTIALS, S3Server } from '../../support/storage/s3-server.js';
import { originalKeyOf, putBytes } from '../../support/storage/store-contract.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
let folder: string;
let server: S3Server;
let store: S3Store;
let blobs: BlobRepository;
let retention: Retention;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 1 });
  // With one connection, whatever holds it stops everything else.
  db = new Database({ url: database.url, maxConnections: 1, log });
  server = await S3Server.start();
  folder = await mkdtemp(join(tmpdir(), 'darkroom-unused-'));
  store = new S3Store({
    endpoint: server.endpoint,
    region: 'us-east-1',
    ...S3_CREDENTIALS,
    bucket: S3_BUCKET,
    prefix: '',
    incomingDirectory: folder,
    callTimeoutMs: 3_000,
  });
  blobs = new BlobRepository(db);
  const eventLog = { requestSeal: () => undefined } as EventLog;
  retention = new Retention({
    blobs,
    images: new ImageRepository(db),
    store,
    eventLog,
    retentionDays: null,
    log,
  });
});
afterEach(async () => {
  server.reset();
  await sql.query('DELETE FROM blobs');
});
afterAll(async () => {
  store.destroy();
  await server.stop();
  await db.close();
  await sql.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

/** Stores bytes that no image uses, and whose check is due. */
async function storeUnused() {
  const bytes = randomBytes(50);
  const sha256 = createHash('sha256').update(bytes).digest();
  await putBytes(store, bytes);
  await sql.query(`INSERT INTO blobs (sha256, check_at) VALUES ($1, now() - interval '1 s')`, [sha256]);
  return { bytes, sha256, key: originalKeyOf(bytes) };
}
/** Lets requests that delete objects hang. Returns them, and what lets them succeed. */
function hangDeletions() {
  const hanging: ServerResponse[] = [];
  server.fault = ({ method, url }, response) => {
    if (method !== 'POST' || !url?.includes('delete')) return false;
    hanging.push(response);
    return true;
  };
  const finish = () => {
    for (const response of hanging.splice(0)) {
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end('<?xml version="1.0" encoding="UTF-8"?><DeleteResult></DeleteResult>');
    }
  };
  return { hanging, finish };
}
const rowCount = async (sha256: Buffer) =>
  (await sql.query('SELECT FROM blobs WHERE sha256 = $1', [sha256])).rowCount;

test('no connection and no transaction waits while the store does not answer', async () => {
  const { sha256 } = await storeUnused();
  const { hanging, finish } = hangDeletions();
  const run = retention.deleteUnusedBlobs();
  await waitFor('the removal', () => hanging.length > 0);
  expect((await blobs.findExisting([sha256.toString('hex')])).size).toBe(1);
  const inTransaction = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`;
  expect((await sql.query(inTransaction)).rowCount).toBe(0);
  finish();
  await run;
  expect(await rowCount(sha256)).toBe(0);
});

test('bytes that are being removed are stored again only after that', async () => {
  const { bytes, sha256, key } = await storeUnused();
  const { hanging, finish } = hangDeletions();
  const run = retention.deleteUnusedBlobs();
  await waitFor('the removal', () => hanging.length > 0);
  expect(await blobs.protect(sha256)).toBeNull();
  const storedAgain = protectBytes(blobs, sha256).then(async () => {
    await store.remove([key]);
    return putBytes(store, bytes);
  });
  finish();
  server.reset();
  await Promise.all([run, storedAgain]);
  expect(await store.size(key)).toBe(50);
  expect(await rowCount(sha256)).toBe(1);
});

test('after a removal without an answer, the bytes are not stored for ten minutes, because it may still happen', async () => {
  const { sha256 } = await storeUnused();
  hangDeletions();
  await retention.deleteUnusedBlobs();
  expect(await blobs.protect(sha256)).toBeNull();
  const { rows } = await sql.query<{ minutes: number }>(
    'SELECT (extract(epoch FROM check_at - now()) / 60)::float8 AS minutes FROM blobs WHERE sha256 = $1',
    [sha256],
  );
  expect(rows[0]?.minutes).toBeGreaterThan(9);

  await sql.query('UPDATE blobs SET check_at = now() WHERE sha256 = $1', [sha256]);
  expect(await blobs.protect(sha256)).toEqual(expect.any(Date));
});

test('a claim that another process has taken over deletes no row', async () => {
  const { sha256 } = await storeUnused();
  const claim = await blobs.claimUnused();
  if (!claim) throw new Error('Nothing was claimed.');
  expect(claim.sha256).toEqual(sha256);
  expect(await blobs.claimUnused()).toBeNull();
  await sql.query('UPDATE blobs SET check_at = now() WHERE sha256 = $1', [sha256]);
  await blobs.protect(sha256);
  await blobs.deleteClaimed(claim);
  expect(await rowCount(sha256)).toBe(1);
});

test('an orphan whose bytes are stored meanwhile is not claimed', async () => {
  const sha256 = randomBytes(32);
  await blobs.protect(sha256);
  expect(await blobs.claimOrphan(sha256)).toBeNull();
});

test('a run ends between two blobs when it is told to', async () => {
  const [first, second] = [await storeUnused(), await storeUnused()];
  const controller = new AbortController();
  const { hanging, finish } = hangDeletions();
  const run = retention.deleteUnusedBlobs(controller.signal);
  await waitFor('the removal', () => hanging.length > 0);
  controller.abort();
  finish();
  await run;
  expect((await rowCount(first.sha256)) ?? 0).toBe(0);
  expect(await rowCount(second.sha256)).toBe(1);
});
