import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../../src/core/errors.js';
import { makeS3Client } from '../../src/storage/s3-client.js';
import { S3Store, type S3StoreOptions } from '../../src/storage/s3-store.js';
import { S3_BUCKET, S3_KEYS, S3Server } from '../support/storage/s3-server.js';
import { describeStore, fileWith, keyOf, listed, put } from '../support/storage/store-contract.js';

const MB = 1024 * 1024;
let server: S3Server;
let folder: string;
let options: S3StoreOptions;
beforeAll(async () => {
  server = await S3Server.start();
  folder = await mkdtemp(join(tmpdir(), 'darkroom-incoming-'));
  options = {
    endpoint: server.endpoint,
    region: 'us-east-1',
    ...S3_KEYS,
    forcePathStyle: true,
    bucket: S3_BUCKET,
    prefix: 'darkroom/',
    incomingDirectory: folder,
  };
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

describeStore('a bucket', async () => {
  // Neither of them is ours.
  const client = makeS3Client(options);
  for (const Key of ['darkroom/readme.txt', `other/${keyOf(Buffer.from('x'))}`])
    await client.send(new PutObjectCommand({ Bucket: S3_BUCKET, Key, Body: 'not ours' }));
  client.destroy();
  const store = new S3Store(options);
  return { store, close: () => Promise.resolve(store.destroy()) };
});

describe('the S3 store', () => {
  let store: S3Store;
  beforeAll(() => {
    store = new S3Store(options);
  });
  beforeEach(() => server.forget());
  afterAll(() => store.destroy());
  const methods = () => server.requests.map(({ method }) => method);

  test('does not send again what is there', async () => {
    const bytes = randomBytes(100);
    await put(store, bytes);
    await put(store, bytes);
    expect(methods()).toEqual(['HEAD', 'PUT', 'HEAD']);
  });

  test('sends large files in parts that are whole requests, one after the other', async () => {
    await put(store, randomBytes(20 * MB));
    const parts = server.requests.filter(({ url }) => url.searchParams.has('partNumber'));
    expect(parts.map(({ url }) => url.searchParams.get('partNumber'))).toEqual(['1', '2', '3']);
    expect(parts.map(({ headers }) => Number(headers['content-length']) / MB)).toEqual([8, 8, 4]);
    for (const { headers } of parts) expect(headers['content-encoding']).toBeUndefined();
  });

  test('shows nothing of a large file that broke off, and gives its parts back', async () => {
    const bytes = randomBytes(20 * MB);
    const path = await fileWith(store, bytes);
    server.fault = ({ url }, response) => {
      if (!url?.includes('partNumber=2')) return false;
      response.writeHead(403).end();
      return true;
    };
    await expect(store.put(keyOf(bytes), path)).rejects.toThrow(StoreUnavailable);
    expect(server.requests.at(-1)).toMatchObject({ method: 'DELETE' });
    expect(server.requests.at(-1)?.url.searchParams.has('uploadId')).toBe(true);
    await expect(store.has(keyOf(bytes))).resolves.toBe(false);
    expect((await listed(store)).map((file) => file.key)).not.toContain(keyOf(bytes));
  });

  test('tries again when the service stumbles, and gives up when it lies down', async () => {
    const answer503 = (times: number) => {
      let left = times;
      server.fault = ({ method }, response) => {
        if (method !== 'PUT' || (left -= 1) < 0) return false;
        response.writeHead(503).end();
        return true;
      };
    };
    const bytes = randomBytes(100);
    answer503(2);
    const key = await put(store, bytes);
    await expect(store.size(key)).resolves.toBe(100);
    answer503(3);
    await expect(put(store, randomBytes(100))).rejects.toThrow(/503/);
  });

  test('deletes a thousand by a request, each with the checksum that every service takes', async () => {
    const keys = Array.from({ length: 1_001 }, (_, index) => keyOf(Buffer.from(String(index))));
    await store.remove(keys);
    expect(methods()).toEqual(['POST', 'POST']);
    for (const { headers } of server.requests) expect(headers['content-md5']).toMatch(/^.{22}==$/);
  });

  test('fails when an object could not be deleted', async () => {
    server.fault = (_request, response) => {
      const refused = '<Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error>';
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end(`<?xml version="1.0" encoding="UTF-8"?><DeleteResult>${refused}</DeleteResult>`);
      return true;
    };
    await expect(store.remove([keyOf(Buffer.from('x'))])).rejects.toThrow(/AccessDenied/);
  });

  test('signs links that anyone can fetch for a time, with the headers they were made for', async () => {
    const bytes = randomBytes(1000);
    const key = await put(store, bytes);
    const headers = { contentType: 'image/webp', contentDisposition: 'inline; filename="a dog.webp"' };
    const link = await store.presign(key, 60, headers);
    const answer = await fetch(link);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('image/webp');
    expect(answer.headers.get('content-disposition')).toBe('inline; filename="a dog.webp"');
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(bytes);
    const part = await fetch(link, { headers: { range: 'bytes=0-9' } });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(0, 10));
    expect(new URL(link).searchParams.get('X-Amz-Expires')).toBe('60');
    expect(link).not.toContain('checksum');
    // The server does not check signatures, so whether they cover the headers is seen here.
    const other = await store.presign(key, 60, { ...headers, contentType: 'text/html' });
    const signatureOf = (url: string) => new URL(url).searchParams.get('X-Amz-Signature');
    expect(signatureOf(other)).not.toBe(signatureOf(link));
    const old = await fetch(link.replace(/X-Amz-Date=\d{4}/, 'X-Amz-Date=2020'));
    expect(old.status).toBe(403);
    await old.body?.cancel();
  });

  test('says that it cannot be used when the bucket is missing, and not that the picture is', async () => {
    const other = new S3Store({ ...options, bucket: 'nowhere' });
    const key = keyOf(Buffer.from('x'));
    await expect(other.check()).rejects.toThrow(StoreUnavailable);
    await expect(other.open(key)).rejects.toThrow(StoreUnavailable);
    await expect(other.put(key, await fileWith(other, Buffer.from('x')))).rejects.toThrow(StoreUnavailable);
    await expect(listed(other)).rejects.toThrow(StoreUnavailable);
    await expect(other.remove([key])).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });

  test.each([
    ['nobody listens', { endpoint: 'http://127.0.0.1:1' }],
    ['the key is unknown', { accessKey: 'nobody', secretKey: 'very-secret-1234' }],
  ])('says that it cannot be used when %s, without its secrets', async (_what, wrong) => {
    const other = new S3Store({ ...options, ...wrong });
    const error: unknown = await other.check().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(String(error)).not.toMatch(/very-secret|nobody/);
    expect((error as StoreUnavailable).cause).toBeInstanceOf(Error);
    await expect(other.has(keyOf(Buffer.from('x')))).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });

  test('is unfit when there is no room for files on their way', async () => {
    await writeFile(join(folder, 'file'), '');
    const other = new S3Store({ ...options, incomingDirectory: join(folder, 'file') });
    await expect(other.check()).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });
});
