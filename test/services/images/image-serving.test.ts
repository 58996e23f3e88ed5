import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import express, { type NextFunction, type Request, type Response } from 'express';
import { pino } from 'pino';
import sharp from 'sharp';
import { type ImageVariant } from '../../../src/core/images/image.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type ImageWithPrompt } from '../../../src/db/images/image-repository.js';
import { imageRoutes } from '../../../src/http/images/image-routes.js';
import { replyWithError } from '../../../src/http/server/reply-with-error.js';
import { type SignedLinks } from '../../../src/services/access/signed-links.js';
import { type Dependencies } from '../../../src/services/dependencies.js';
import { ImageServing } from '../../../src/services/images/image-serving.js';
import { type ImageIngest } from '../../../src/services/images/ingest.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import {
  allStoreKeys,
  type ImageStore,
  originalKey,
  type StoreKey,
  variantKey,
} from '../../../src/storage/image-store.js';
import { writeTemporaryFile } from '../../support/storage/store-contract.js';
import { waitFor } from '../../support/wait-for.js';

/** Noise does not compress, so the original has 786 kB and its variant of 384 pixels 442 kB. */
const PIXELS = 512;
const LARGE = { width: 384, format: null } as const;
const SMALL = { width: 64, format: null } as const;
const ORIGINAL = { width: null, format: null } as const;

let folder: string;
let store: DiskStore;
let images: Map<string, ImageWithPrompt>;
let original: Buffer;
let sha256: Buffer;
let imageId: string;
let logLines: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-serving-'));
  store = new DiskStore(folder);
  images = new Map();
  logLines = [];
  const raw = { width: PIXELS, height: PIXELS, channels: 3 } as const;
  original = await sharp(randomBytes(PIXELS * PIXELS * 3), { raw })
    .png()
    .toBuffer();
  sha256 = createHash('sha256').update(original).digest();
  imageId = await storeImage();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const pathOf = (key: StoreKey) => join(folder, key.slice(0, 2), key);

/** Stores the original for an image of its own, and returns the ID of the image. */
async function storeImage(): Promise<string> {
  const id = newId();
  await store.put(originalKey(sha256), await writeTemporaryFile(store, original));
  images.set(id, {
    ...{ id, workspaceId: 'w', sha256, mimeType: 'image/png', byteSize: original.length, width: PIXELS },
    ...{ prompt: 'noise', fileName: null, index: 0, decodeError: null },
    ...{ storedAt: new Date(), lostAt: null, deletedAt: null },
  } as unknown as ImageWithPrompt);
  return id;
}

interface InstanceOptions {
  /** Replaces methods of the store. */
  storeMethods?: Partial<ImageStore>;
  redirectToBucket?: boolean;
}

/** An instance, which remembers nothing of the store yet. */
function startInstance({ storeMethods = {}, redirectToBucket = false }: InstanceOptions = {}): ImageServing {
  const instanceStore = Object.assign(new DiskStore(folder), storeMethods);
  return new ImageServing({
    store: instanceStore,
    redirectToBucket,
    images: {
      findWithPrompt: (id: string) => Promise.resolve(images.get(id) ?? null),
    } as Dependencies['images'],
    imageIngest: {} as ImageIngest,
    signedLinks: { verifyImageToken: () => ({ secondsLeft: null }) } as unknown as SignedLinks,
  });
}

async function read(instance: ImageServing, variant: ImageVariant, id = imageId): Promise<Buffer> {
  const file = await instance.serve(id, 'token', variant);
  const bytes = await file.open();
  return Buffer.isBuffer(bytes) ? bytes : buffer(bytes);
}

/** Overwrites the file of a variant, as an instance does that makes it again with another version of the encoder. */
async function replaceVariant({ width }: ImageVariant, bytes: Buffer): Promise<void> {
  await store.replace(variantKey(sha256, width, 'png'), await writeTemporaryFile(store, bytes));
}

const realNow = performance.now.bind(performance);

/** Sets the clock of `performance` this far ahead of the real one. */
function letPass(ms: number): void {
  jest.spyOn(performance, 'now').mockImplementation(() => realNow() + ms);
}

describe('an instance', () => {
  test('serves what it remembers of a small file for a minute', async () => {
    const [instance, other] = [startInstance(), startInstance()];
    const before = await read(instance, SMALL);
    await read(other, SMALL);
    const after = Buffer.concat([before, randomBytes(10)]);
    await replaceVariant(SMALL, after);
    letPass(55_000);
    expect(await read(instance, SMALL)).toEqual(before);
    letPass(61_000);
    expect(await read(other, SMALL)).toEqual(after);
  });

  test('serves a small original that was restored with the same size within a minute', async () => {
    original = await sharp({ create: { width: 16, height: 16, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    sha256 = createHash('sha256').update(original).digest();
    imageId = await storeImage();
    const key = originalKey(sha256);
    const corrupt = Buffer.alloc(original.length);
    await store.replace(key, await writeTemporaryFile(store, corrupt));
    const instance = startInstance();
    expect(await read(instance, ORIGINAL)).toEqual(corrupt);
    await store.replace(key, await writeTemporaryFile(store, original));
    letPass(61_000);
    expect(await read(instance, ORIGINAL)).toEqual(original);
  });

  test.each([SMALL, LARGE])(
    'that served %o remembers nothing of it when the image is deleted and the same bytes are stored again',
    async (variant) => {
      const instance = startInstance();
      const before = await read(instance, variant);
      await store.remove(allStoreKeys(sha256));
      images.clear();
      const nextId = await storeImage();
      expect((await read(instance, variant, nextId)).equals(before)).toBe(true);
      expect(await store.size(variantKey(sha256, variant.width, 'png'))).toBe(before.length);
    },
  );

  test('makes a variant again whose file is empty, under another ETag if it has other bytes then', async () => {
    const [instance, other] = [startInstance(), startInstance()];
    const before = await read(instance, SMALL);
    const { etag } = await instance.serve(imageId, 'token', SMALL);
    await truncate(pathOf(variantKey(sha256, SMALL.width, 'png')), 0);
    expect(await read(other, SMALL)).toEqual(before);
    await replaceVariant(SMALL, Buffer.concat([before, randomBytes(1)]));
    expect((await startInstance().serve(imageId, 'token', SMALL)).etag).not.toBe(etag);
  });

  test('serves a small original that was empty when it is restored', async () => {
    original = await sharp({ create: { width: 16, height: 16, channels: 3, background: 'blue' } })
      .png()
      .toBuffer();
    sha256 = createHash('sha256').update(original).digest();
    imageId = await storeImage();
    const instance = startInstance();
    await truncate(pathOf(originalKey(sha256)), 0);
    await expect(read(instance, ORIGINAL)).rejects.toThrow(/damaged.*store:verify/);
    await store.replace(originalKey(sha256), await writeTemporaryFile(store, original));
    expect(await read(instance, ORIGINAL)).toEqual(original);
  });

  test.each([ORIGINAL, LARGE])('does not open %o when the original was cut', async (variant) => {
    await truncate(pathOf(originalKey(sha256)), 100_000);
    await expect(read(startInstance(), variant)).rejects.toThrow(/damaged.*store:verify/);
  });
});

describe('an instance that redirects to the bucket', () => {
  const presign = (key: StoreKey) => Promise.resolve(`https://bucket.example/${key}`);
  const startRedirecting = () => startInstance({ storeMethods: { presign }, redirectToBucket: true });

  test('makes a variant again that was removed, before another instance redirects to it', async () => {
    const key = variantKey(sha256, LARGE.width, 'png');
    for (let time = 0; time < 2; time += 1) {
      const instance = startRedirecting();
      const { presignedUrl } = await instance.serve(imageId, 'token', LARGE);
      expect(presignedUrl).toBe(`https://bucket.example/${key}`);
      expect(await store.size(key)).not.toBeNull();
      await store.remove([key]);
    }
  });

  test('asks the bucket once, however many browsers come at the same time', async () => {
    const size = jest.fn((key: StoreKey) => store.size(key));
    const instance = startInstance({ storeMethods: { presign, size }, redirectToBucket: true });
    await Promise.all(Array.from({ length: 20 }, () => instance.serve(imageId, 'token', ORIGINAL)));
    expect(size).toHaveBeenCalledTimes(1);
  });

  test.each([
    ['missing', () => store.remove([originalKey(sha256)])],
    ['damaged', () => truncate(pathOf(originalKey(sha256)), 100_000)],
  ])('does not redirect to an original that is %s', async (state, damage) => {
    await damage();
    await expect(startRedirecting().serve(imageId, 'token', ORIGINAL)).rejects.toThrow(
      new RegExp(`${state}.*store:verify`),
    );
  });
});

describe('a response', () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  /** Starts a server, and returns the URL of the image at it. */
  async function listen(instance: ImageServing): Promise<string> {
    const log = pino({ level: 'debug' }, { write: (line: string) => logLines.push(line) });
    const app = express();
    app.use(imageRoutes(instance));
    app.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
      replyWithError(error, Object.assign(request, { log }), response),
    );
    server = createServer(app).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/images/${imageId}?t=token`;
  }

  const get = (url: string, headers: Record<string, string> = {}) =>
    fetch(url, { headers, signal: AbortSignal.timeout(30_000) });
  const bytesOf = async (response: globalThis.Response) => Buffer.from(await response.arrayBuffer());

  test.each([
    ['shorter', (bytes: Buffer) => bytes.subarray(0, -1_000)],
    ['longer', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1_000)])],
    ['small', () => Buffer.alloc(1_000, 'x')],
  ])('has the bytes of a variant that was replaced by a %s one', async (_what, change) => {
    const url = `${await listen(startInstance())}&w=${LARGE.width}`;
    const before = await bytesOf(await get(url));
    const after = change(before);
    await replaceVariant(LARGE, after);
    const response = await get(url);
    expect(response.headers.get('content-length')).toBe(String(after.length));
    expect((await bytesOf(response)).equals(after)).toBe(true);
    const part = await get(url, { range: 'bytes=-10' });
    expect([part.status, await bytesOf(part)]).toEqual([206, after.subarray(-10)]);
  });

  test.each([ORIGINAL, SMALL])(
    'of %o is 503 when the original was cut, and can be read when it was restored',
    async ({ width }) => {
      const url = `${await listen(startInstance())}${width === null ? '' : `&w=${width}`}`;
      const path = pathOf(originalKey(sha256));
      await truncate(path, 100_000);
      for (const range of ['bytes=0-', 'bytes=0-99', 'bytes=200000-200099', null]) {
        const response = await get(url, range === null ? {} : { range });
        expect([response.status, response.headers.get('cache-control')]).toEqual([503, 'no-store']);
        expect(await response.text()).toContain('store:verify');
      }
      await writeFile(path, original);
      expect((await get(url)).status).toBe(200);
    },
  );

  const chunksOf = (bytes: Buffer) => [bytes.subarray(0, 100_000), bytes.subarray(100_000)];
  test.each([
    ['fewer', (bytes: Buffer) => chunksOf(bytes.subarray(0, -1))],
    ['no', () => []],
    ['more', (bytes: Buffer) => [...chunksOf(bytes), Buffer.from('x')]],
  ])('is cut when %s bytes are read than it announced, and the error is logged', async (_what, change) => {
    let isChanged = true;
    const storeMethods: Partial<ImageStore> = {
      open: async (key, range) => {
        const bytes = await buffer(await store.open(key, range));
        return Readable.from(isChanged && key !== originalKey(sha256) ? change(bytes) : [bytes]);
      },
    };
    const instance = startInstance({ storeMethods });
    const sizes = jest.spyOn(DiskStore.prototype, 'size');
    const url = `${await listen(instance)}&w=${LARGE.width}`;
    await expect(get(url).then(bytesOf)).rejects.toThrow(/terminated|fetch failed/);
    expect(logLines.join()).toMatch(/bytes were read/);
    isChanged = false;
    sizes.mockClear();
    expect((await bytesOf(await get(url))).length).toBeGreaterThan(100_000);
    expect(sizes).toHaveBeenCalled();
  });

  test('closes the file when the client leaves', async () => {
    let source: Readable | undefined;
    const storeMethods: Partial<ImageStore> = {
      open: async (key, range) => (source = await store.open(key, range)),
    };
    const url = await listen(startInstance({ storeMethods }));
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    expect(response.status).toBe(200);
    controller.abort();
    await waitFor('the file to be closed', () => Promise.resolve(source?.destroyed === true));
  });
});
