import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { StoreUnavailable } from '../../src/core/errors.js';
import { createS3Client } from '../../src/storage/s3-client.js';
import { S3Store, type S3StoreOptions } from '../../src/storage/s3-store.js';
import { S3_BUCKET, S3_CREDENTIALS, S3Server } from '../support/storage/s3-server.js';
import {
  describeStoreContract,
  writeTemporaryFile,
  originalKeyOf,
  listFiles,
  putBytes,
} from '../support/storage/store-contract.js';

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
    ...S3_CREDENTIALS,
    bucket: S3_BUCKET,
    prefix: 'darkroom/',
    incomingDirectory: folder,
  };
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

describeStoreContract('a bucket', async () => {
  // Neither of these objects belongs to the store.
  const client = createS3Client(options);
  for (const Key of ['darkroom/readme.txt', `other/${originalKeyOf(Buffer.from('x'))}`])
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
  beforeEach(() => server.reset());
  afterAll(() => store.destroy());
  const methods = () => server.requests.map(({ method }) => method);

  test('does not upload a stored image again', async () => {
    const bytes = randomBytes(100);
    await putBytes(store, bytes);
    await putBytes(store, bytes);
    expect(methods()).toEqual(['HEAD', 'PUT', 'HEAD']);
  });

  test('uploads an image again whose object has only a part of it', async () => {
    const bytes = randomBytes(100);
    const client = createS3Client(options);
    const Key = `darkroom/${originalKeyOf(bytes)}`;
    await client.send(new PutObjectCommand({ Bucket: S3_BUCKET, Key, Body: bytes.subarray(0, 60) }));
    client.destroy();
    const key = await putBytes(store, bytes);
    expect(await store.size(key)).toBe(bytes.length);
  });

  test('uploads large files in parts, each in a complete request, one after another', async () => {
    await putBytes(store, randomBytes(20 * MB));
    const parts = server.requests.filter(({ url }) => url.searchParams.has('partNumber'));
    expect(parts.map(({ url }) => url.searchParams.get('partNumber'))).toEqual(['1', '2', '3']);
    expect(parts.map(({ headers }) => Number(headers['content-length']) / MB)).toEqual([8, 8, 4]);
    for (const { headers } of parts) expect(headers['content-encoding']).toBeUndefined();
  });

  test('stores nothing of a large file whose upload failed, and aborts the multipart upload', async () => {
    const bytes = randomBytes(20 * MB);
    const path = await writeTemporaryFile(store, bytes);
    server.fault = ({ url }, response) => {
      if (!url?.includes('partNumber=2')) return false;
      response.writeHead(403).end();
      return true;
    };
    await expect(store.put(originalKeyOf(bytes), path)).rejects.toThrow(StoreUnavailable);
    expect(server.requests.at(-1)).toMatchObject({ method: 'DELETE' });
    expect(server.requests.at(-1)?.url.searchParams.has('uploadId')).toBe(true);
    await expect(store.size(originalKeyOf(bytes))).resolves.toBeNull();
    expect((await listFiles(store)).map((file) => file.key)).not.toContain(originalKeyOf(bytes));
  });

  test('retries after two failures of the service, and gives up after three', async () => {
    const failPutRequests = (times: number) => {
      let left = times;
      server.fault = ({ method }, response) => {
        if (method !== 'PUT' || (left -= 1) < 0) return false;
        response.writeHead(503).end();
        return true;
      };
    };
    const bytes = randomBytes(100);
    failPutRequests(2);
    const key = await putBytes(store, bytes);
    await expect(store.size(key)).resolves.toBe(100);
    failPutRequests(3);
    await expect(putBytes(store, randomBytes(100))).rejects.toThrow(/503/);
  });

  test('gives up every call that the service does not answer', async () => {
    const impatient = new S3Store({ ...options, callTimeoutMs: 300 });
    const small = randomBytes(100);
    const calls: Record<string, () => Promise<unknown>> = {
      size: () => impatient.size(originalKeyOf(small)),
      open: () => impatient.open(originalKeyOf(small)),
      remove: () => impatient.remove([originalKeyOf(small)]),
      list: () => listFiles(impatient),
    };
    try {
      server.fault = () => true;
      for (const [name, call] of Object.entries(calls))
        await expect(call().then(() => name)).rejects.toThrow(/did not respond in time/);
      server.fault = ({ method }) => method === 'PUT';
      await expect(putBytes(impatient, small)).rejects.toThrow(/did not respond in time/);
    } finally {
      impatient.destroy();
    }
  });

  test('deletes a thousand keys per request, with the MD5 checksum that every service supports', async () => {
    const keys = Array.from({ length: 1_001 }, (_, index) => originalKeyOf(Buffer.from(String(index))));
    await store.remove(keys);
    expect(methods()).toEqual(['POST', 'POST']);
    for (const { headers } of server.requests) expect(headers['content-md5']).toMatch(/^.{22}==$/);
  });

  test('rejects when an object could not be deleted', async () => {
    server.fault = (_request, response) => {
      const errorElement = '<Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error>';
      response.writeHead(200, { 'content-type': 'application/xml' });
      response.end(`<?xml version="1.0" encoding="UTF-8"?><DeleteResult>${errorElement}</DeleteResult>`);
      return true;
    };
    await expect(store.remove([originalKeyOf(Buffer.from('x'))])).rejects.toThrow(/AccessDenied/);
  });

  test('presigns links that anyone can fetch for a limited time, with the requested headers', async () => {
    const bytes = randomBytes(1000);
    const key = await putBytes(store, bytes);
    const headers = { contentType: 'image/webp', contentDisposition: 'inline; filename="a dog.webp"' };
    const link = await store.presign(key, 60, headers);
    const response = await fetch(link);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/webp');
    expect(response.headers.get('content-disposition')).toBe('inline; filename="a dog.webp"');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    const part = await fetch(link, { headers: { range: 'bytes=0-9' } });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(0, 10));
    expect(new URL(link).searchParams.get('X-Amz-Expires')).toBe('60');
    expect(link).not.toContain('checksum');
    // The test server does not verify signatures, so check here that they cover the headers.
    const other = await store.presign(key, 60, { ...headers, contentType: 'text/html' });
    const signatureOf = (url: string) => new URL(url).searchParams.get('X-Amz-Signature');
    expect(signatureOf(other)).not.toBe(signatureOf(link));
    const expired = await fetch(link.replace(/X-Amz-Date=\d{4}/, 'X-Amz-Date=2020'));
    expect(expired.status).toBe(403);
    await expired.body?.cancel();
  });

  test('rejects with StoreUnavailable, not NotStored, when the bucket does not exist', async () => {
    const other = new S3Store({ ...options, bucket: 'nowhere' });
    const key = originalKeyOf(Buffer.from('x'));
    await expect(other.assertWritable()).rejects.toThrow(StoreUnavailable);
    await expect(other.open(key)).rejects.toThrow(StoreUnavailable);
    await expect(other.put(key, await writeTemporaryFile(other, Buffer.from('x')))).rejects.toThrow(
      StoreUnavailable,
    );
    await expect(listFiles(other)).rejects.toThrow(StoreUnavailable);
    await expect(other.remove([key])).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });

  test.each([
    ['the server cannot be reached', { endpoint: 'http://127.0.0.1:1' }],
    ['the access key is unknown', { accessKeyId: 'unknown-id', secretAccessKey: 'very-secret-1234' }],
  ])('rejects with StoreUnavailable when %s, without revealing its secrets', async (_what, brokenOptions) => {
    const other = new S3Store({ ...options, ...brokenOptions });
    const error: unknown = await other.assertWritable().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(String(error)).not.toMatch(/very-secret|unknown-id/);
    expect((error as StoreUnavailable).cause).toBeInstanceOf(Error);
    await expect(other.size(originalKeyOf(Buffer.from('x')))).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });

  test('is not writable when its folder for incoming files cannot be created', async () => {
    await writeFile(join(folder, 'file'), '');
    const other = new S3Store({ ...options, incomingDirectory: join(folder, 'file') });
    await expect(other.assertWritable()).rejects.toThrow(StoreUnavailable);
    other.destroy();
  });
});
