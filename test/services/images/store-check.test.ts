import { access, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { DeleteImageDocument } from '../../../clients/operations.js';
import { BlobRepository } from '../../../src/db/images/blob-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { type ImageStore } from '../../../src/storage/image-store.js';
import { SsrfGuard } from '../../../src/net/ssrf-guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { StoreCheck } from '../../../src/services/images/store-check.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';

let app: TestApp;
let db: Database;
let http: HttpClient;
let check: StoreCheck;
beforeAll(async () => {
  app = await TestApp.start();
  db = new Database({ url: app.databaseUrl, maxConnections: 2, log: pino({ level: 'silent' }) });
  // The sandbox serves its images from this machine.
  http = new HttpClient({ guard: new SsrfGuard({ allowPrivateHosts: ['127.0.0.1'] }) });
  const store = new DiskStore(join(app.dataDir, 'images'));
  check = createCheck(store);
});
afterAll(async () => {
  await http.destroy();
  await db.close();
  await app.stop();
});

function createCheck(store: ImageStore): StoreCheck {
  return new StoreCheck({
    images: new ImageRepository(db),
    blobs: new BlobRepository(db),
    store,
    http,
    maxBytes: 10_000_000,
  });
}

const createImage = async (prompt: string) => {
  const { id } = await app.generate({ prompt, size: '256x256' });
  const [image] = (await app.waitUntilSettled(id)).images;
  const sha256 = image?.sha256 ?? '';
  const file = join(app.dataDir, 'images', sha256.slice(0, 2), sha256);
  return { id: image?.id ?? '', path: pathAndQuery(image?.url), sha256, file };
};

test('finds missing, corrupt and orphaned blobs, and repairs those that it can', async () => {
  const [missing, corrupt, unrecoverable] = [
    await createImage('missing'),
    await createImage('corrupt'),
    await createImage('unrecoverable'),
  ];
  expect(await check.run({ repair: false })).toEqual({ images: 3, blobs: 3, findings: [] });

  await rm(missing.file);
  await writeFile(corrupt.file, 'something else');
  const variantOfCorrupt = `${corrupt.file}.w64.png`;
  await writeFile(variantOfCorrupt, 'what could be decoded of it');
  await rm(unrecoverable.file);
  await app.rows("UPDATE images SET upstream_url = 'http://127.0.0.1:1/gone' WHERE id = $1", [
    unrecoverable.id,
  ]);
  const orphan = join(app.dataDir, 'images', 'ab', `ab${'0'.repeat(62)}`);
  await mkdir(join(app.dataDir, 'images', 'ab'), { recursive: true });
  await writeFile(orphan, 'orphaned');
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await utimes(orphan, longAgo, longAgo);

  const byKey = (list: { key: string }[]) => new Map(list.map((finding) => [finding.key, finding]));
  const findings = byKey((await check.run({ repair: false })).findings);
  expect(findings.size).toBe(4);
  expect(findings.get(missing.sha256)).toMatchObject({
    fault: 'missing',
    imageIds: [missing.id],
    repaired: false,
  });
  expect(findings.get(corrupt.sha256)).toMatchObject({
    fault: 'corrupt',
    imageIds: [corrupt.id],
    repaired: false,
  });
  expect(findings.get(`ab${'0'.repeat(62)}`)).toMatchObject({
    fault: 'orphaned',
    imageIds: [],
    repaired: false,
  });

  const repaired = byKey((await check.run({ repair: true })).findings);
  for (const { sha256 } of [missing, corrupt]) expect(repaired.get(sha256)).toMatchObject({ repaired: true });
  expect(repaired.get(unrecoverable.sha256)).toMatchObject({ fault: 'missing', repaired: false });
  for (const file of [orphan, variantOfCorrupt]) await expect(access(file)).rejects.toThrow();
  expect((await check.run({ repair: false })).findings).toMatchObject([{ key: unrecoverable.sha256 }]);
  for (const { path } of [missing, corrupt]) expect((await app.get(path)).status).toBe(200);
});

describe('a corrupt original', () => {
  /** An image with a variant, whose original is overwritten by other bytes of the same size. */
  const createCorrupt = async (prompt: string) => {
    const image = await createImage(prompt);
    const bytes = await readFile(image.file);
    expect((await app.get(`${image.path}&w=64`)).status).toBe(200);
    const variant = `${image.file}.w64.png`;
    const corrupt = Buffer.alloc(bytes.length, 'x');
    await writeFile(image.file, corrupt);
    return { ...image, variant, variantBytes: await readFile(variant), bytes, corrupt };
  };

  test.each([
    ['an upload', 'NULL'],
    ['an image whose link has expired', "'http://127.0.0.1:1/gone'"],
  ])('of %s keeps its variants, because it cannot be restored', async (what, upstreamUrl) => {
    const { id, sha256, file, variant, variantBytes, corrupt } = await createCorrupt(what);
    await app.rows(`UPDATE images SET upstream_url = ${upstreamUrl} WHERE id = $1`, [id]);
    const { findings } = await check.run({ repair: true });
    expect(findings).toContainEqual({ fault: 'corrupt', key: sha256, imageIds: [id], repaired: false });
    expect((await readFile(variant)).equals(variantBytes)).toBe(true);
    expect((await readFile(file)).equals(corrupt)).toBe(true);
    await app.query(DeleteImageDocument, { input: { id } });
  });

  test('and its variants stay when the good one cannot be stored', async () => {
    const { file, variant, variantBytes, corrupt, bytes } = await createCorrupt('no space');
    const failure = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const folder = join(app.dataDir, 'images');
    const fullStore = new DiskStore(folder, { renameFile: () => Promise.reject(failure) });
    await expect(createCheck(fullStore).run({ repair: true })).rejects.toThrow(/ENOSPC/);
    expect((await readFile(file)).equals(corrupt)).toBe(true);
    expect((await readFile(variant)).equals(variantBytes)).toBe(true);

    await check.run({ repair: true });
    expect((await readFile(file)).equals(bytes)).toBe(true);
    await expect(access(variant)).rejects.toThrow();
  });

  test('is replaced in one step, and its variants are removed after that', async () => {
    const { file, variant, bytes } = await createCorrupt('one step');
    const store = new DiskStore(join(app.dataDir, 'images'));
    const remove = jest.spyOn(store, 'remove').mockImplementation(async (keys) => {
      expect(keys).not.toContain(basename(file));
      expect((await readFile(file)).equals(bytes)).toBe(true);
      await DiskStore.prototype.remove.call(store, keys);
    });
    await createCheck(store).run({ repair: true });
    expect(remove).toHaveBeenCalledTimes(1);
    await expect(access(variant)).rejects.toThrow();
  });
});
