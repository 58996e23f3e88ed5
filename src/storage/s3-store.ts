import { open, readFile, stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import {
  ChecksumAlgorithm,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { IncomingFiles, withDiskTimeout } from './incoming-files.js';
import { FileStream } from './write-stream.js';
import {
  callBucket,
  createS3Client,
  isRangeNotSatisfiable,
  nullIfNoSuchKey,
  type S3ClientOptions,
} from './s3-client.js';
import {
  type ByteRange,
  type ImageStore,
  isStoreKey,
  type PresignedUrlHeaders,
  NotStored,
  SizeDiffers,
  type StoredFile,
  type StoreKey,
  toStoreKey,
} from './image-store.js';
import { databaseNow } from '../core/primitives/clock.js';

export interface S3StoreOptions extends S3ClientOptions {
  bucket: string;
  /** Prefix of every object name, so that a bucket can be shared. May be empty. */
  prefix: string;
  /** A local folder for files on their way into the bucket. No other program may use it. */
  incomingDirectory: string;
  /** How long a call may take, without the time to send a file. Default: 30 s. */
  callTimeoutMs?: number;
}

/** Smaller files are sent from memory in one request. Larger ones are sent in parts of this size, one after another. */
const PART_BYTES = 8 * 1024 * 1024;
/** The maximum that S3 allows in one delete request. */
const DELETE_BATCH_SIZE = 1_000;
const WRITABLE_CHECK_TIMEOUT_MS = 5_000;
/** A request without a file takes milliseconds. Includes the SDK's own attempts. */
const CALL_TIMEOUT_MS = 30_000;
/** 1.1 Mbit/s, the slowest connection to a bucket that large files can be sent over. */
const MIN_BYTES_PER_MS = 137;
/** Less than the ten minutes for which bytes that are being stored are protected. */
const MAX_PUT_TIMEOUT_MS = 540_000;

/**
 * Stores images in a bucket of any S3-compatible service, as `<prefix><key>`. Objects appear completely or not at all. When a
 * crash interrupts a multipart upload, its parts stay in the bucket, invisible but billed, until a lifecycle rule
 * (AbortIncompleteMultipartUpload) removes them. `destroy` closes the connections.
 */
export class S3Store implements ImageStore {
  private readonly client: S3Client;
  private readonly callTimeoutMs: number;
  readonly incoming: IncomingFiles;

  constructor(private readonly options: S3StoreOptions) {
    this.callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.client = createS3Client(options);
    this.incoming = new IncomingFiles(options.incomingDirectory);
  }

  async put(key: StoreKey, path: string): Promise<void> {
    const { size } = await withDiskTimeout(() => stat(path));
    // Some services show an object while it is written, and keep a part of it after an aborted request.
    if ((await this.size(key)) !== size) await this.replace(key, path);
  }

  async replace(key: StoreKey, path: string): Promise<void> {
    const target = this.objectLocation(key);
    const { size } = await withDiskTimeout(() => stat(path));
    // Send buffers instead of streams: their length and hash are known in advance, as some services require.
    const timeoutMs = Math.min(MAX_PUT_TIMEOUT_MS, this.callTimeoutMs + size / MIN_BYTES_PER_MS);
    if (size <= PART_BYTES) {
      const command = new PutObjectCommand({ ...target, Body: await withDiskTimeout(() => readFile(path)) });
      await callBucket(timeoutMs, (abortSignal) => this.client.send(command, { abortSignal }));
    } else {
      const file = await withDiskTimeout(() => open(path, 'r'));
      const params = { ...target, Body: new FileStream(file) };
      const upload = new Upload({ client: this.client, params, partSize: PART_BYTES, queueSize: 1 });
      await callBucket(timeoutMs, (abortSignal) => {
        abortSignal.addEventListener('abort', () => void upload.abort().catch(() => undefined));
        return upload.done();
      }).finally(() => params.Body.destroy());
    }
  }

  async open(key: StoreKey, range?: ByteRange): Promise<Readable> {
    const target = this.objectLocation(key);
    if (range && range.start > range.end) throw new RangeError('The range starts after its end.');
    const Range = range && `bytes=${range.start}-${range.end}`;
    const command = new GetObjectCommand({ ...target, Range });
    const response = await this.call((abortSignal) =>
      this.client.send(command, { abortSignal }).catch((error: unknown) => {
        if (isRangeNotSatisfiable(error)) return 'range-not-satisfiable' as const;
        return nullIfNoSuchKey(error);
      }),
    );
    if (response === null) throw new NotStored(key);
    if (response === 'range-not-satisfiable') {
      if (range?.totalBytes !== undefined && range.start < range.totalBytes)
        throw new SizeDiffers(key, range.totalBytes);
      throw new RangeError('The range starts past the last byte.');
    }
    // The SDK's type allows three kinds of body. In Node.js it is always a Readable.
    const body = response.Body as Readable;
    const expectedBytes = range?.totalBytes;
    if (expectedBytes === undefined || (totalBytesOf(response) ?? expectedBytes) === expectedBytes)
      return body;
    body.on('error', () => undefined).destroy();
    throw new SizeDiffers(key, expectedBytes);
  }

  async size(key: StoreKey): Promise<number | null> {
    const command = new HeadObjectCommand(this.objectLocation(key));
    const head = await this.call((abortSignal) =>
      this.client.send(command, { abortSignal }).catch(nullIfNoSuchKey),
    );
    return head && (head.ContentLength ?? 0);
  }

  async remove(keys: readonly StoreKey[]): Promise<void> {
    const Objects = keys.map((key) => ({ Key: this.objectLocation(key).Key }));
    for (let from = 0; from < Objects.length; from += DELETE_BATCH_SIZE) {
      const Delete = { Objects: Objects.slice(from, from + DELETE_BATCH_SIZE), Quiet: true };
      const { bucket: Bucket } = this.options;
      // S3 requires a checksum for this request. MD5 is the one that every service supports.
      const command = new DeleteObjectsCommand({ Bucket, Delete, ChecksumAlgorithm: ChecksumAlgorithm.MD5 });
      await this.call(async (abortSignal) => {
        const [refused] = (await this.client.send(command, { abortSignal })).Errors ?? [];
        if (refused) throw Object.assign(new Error('an object was not deleted'), { code: refused.Code });
      });
    }
  }

  async *list(): AsyncGenerator<StoredFile, void, undefined> {
    const { bucket: Bucket, prefix: Prefix } = this.options;
    const controller = new AbortController();
    const options = { abortSignal: controller.signal };
    const pages = paginateListObjectsV2({ client: this.client }, { Bucket, Prefix }, options);
    for (;;) {
      const { value: page, done } = await this.call((abortSignal) => {
        abortSignal.addEventListener('abort', () => controller.abort());
        return pages.next();
      });
      if (done) return;
      for (const { Key = '', Size = 0, LastModified = databaseNow() } of page.Contents ?? []) {
        const key = Key.slice(Prefix.length);
        if (isStoreKey(key)) yield { key, byteSize: Size, modifiedAt: LastModified };
      }
    }
  }

  async assertWritable(): Promise<void> {
    await this.incoming.check();
    const command = new HeadBucketCommand({ Bucket: this.options.bucket });
    await callBucket(WRITABLE_CHECK_TIMEOUT_MS, (abortSignal) => this.client.send(command, { abortSignal }));
  }

  async presign(key: StoreKey, expiresInSeconds: number, headers: PresignedUrlHeaders): Promise<string> {
    const command = new GetObjectCommand({
      ...this.objectLocation(key),
      ResponseContentType: headers.contentType,
      ResponseContentDisposition: headers.contentDisposition,
    });
    return this.call(() => getSignedUrl(this.client, command, { expiresIn: expiresInSeconds }));
  }

  /** Closes the connections. Operations in progress fail. */
  destroy(): void {
    this.client.destroy();
  }

  private call<T>(work: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    return callBucket(this.callTimeoutMs, work);
  }

  private objectLocation(key: StoreKey): { Bucket: string; Key: string } {
    return { Bucket: this.options.bucket, Key: `${this.options.prefix}${toStoreKey(key)}` };
  }
}

/** The size of the whole object. Null if the service does not say it. */
function totalBytesOf({ ContentRange, ContentLength }: GetObjectCommandOutput): number | null {
  if (ContentRange === undefined) return ContentLength ?? null;
  const total = /\/(\d+)$/.exec(ContentRange)?.[1];
  return total === undefined ? null : Number(total);
}
