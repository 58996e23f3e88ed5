import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import {
  ChecksumAlgorithm,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { IncomingFiles } from './incoming-files.js';
import { bucketFailed, isAbsent, isBehindTheEnd, makeS3Client, type S3Account } from './s3-client.js';
import {
  assertStoreKey,
  type ByteRange,
  type ImageStore,
  isStoreKey,
  type LinkHeaders,
  NotStored,
  type StoredFile,
  type StoreKey,
} from './image-store.js';

export interface S3StoreOptions extends S3Account {
  bucket: string;
  /** What every object's name begins with, so that a bucket can be shared; empty for nothing. */
  prefix: string;
  /** A folder of our own on this machine, for files on their way into the bucket. */
  incomingDirectory: string;
}

/** Up to here one request does it, from memory. Above, parts of this size are sent one after the other. */
const PART_BYTES = 8 * 1024 * 1024;
/** The most that S3 deletes by one request. */
const DELETE_BATCH = 1_000;
const CHECK_TIMEOUT_MS = 5_000;

/**
 * Pictures in a bucket of any S3-compatible service, under `<prefix><key>`. A service shows an object whole or not at all.
 * The parts of an upload that a crash interrupted stay in the bucket, unseen and paid for, until a lifecycle rule
 * (AbortIncompleteMultipartUpload) removes them. Made once; `destroy` closes its connections.
 */
export class S3Store implements ImageStore {
  private readonly client: S3Client;
  private readonly incoming: IncomingFiles;

  constructor(private readonly options: S3StoreOptions) {
    this.client = makeS3Client(options);
    this.incoming = new IncomingFiles(options.incomingDirectory);
  }

  async put(key: StoreKey, path: string): Promise<void> {
    const target = this.target(key);
    if (await this.has(key)) return;
    const { size } = await stat(path);
    // Buffers and no streams: their length and hash are known before they leave, which every service understands.
    if (size <= PART_BYTES) {
      const Body = await readFile(path);
      await withBucket(() => this.client.send(new PutObjectCommand({ ...target, Body })));
    } else {
      const params = { ...target, Body: createReadStream(path, { highWaterMark: 1024 * 1024 }) };
      const upload = new Upload({ client: this.client, params, partSize: PART_BYTES, queueSize: 1 });
      await withBucket(() => upload.done()).finally(() => params.Body.destroy());
    }
  }

  async has(key: StoreKey): Promise<boolean> {
    return (await this.size(key)) !== null;
  }

  async open(key: StoreKey, range?: ByteRange): Promise<Readable> {
    const target = this.target(key);
    if (range && range.start > range.end) throw new RangeError('The range begins behind its end.');
    const Range = range && `bytes=${range.start}-${range.end}`;
    const answer = await withBucket(() =>
      this.client.send(new GetObjectCommand({ ...target, Range })).catch((error: unknown) => {
        if (isAbsent(error)) return null;
        if (isBehindTheEnd(error)) return 'behind the end' as const;
        throw error;
      }),
    );
    if (answer === null) throw new NotStored(key);
    if (answer === 'behind the end') throw new RangeError('The range begins behind the last byte.');
    // In Node.js it is always this one of the three that the SDK's type allows.
    return answer.Body as Readable;
  }

  async size(key: StoreKey): Promise<number | null> {
    const target = this.target(key);
    return withBucket(async () => {
      try {
        const { ContentLength } = await this.client.send(new HeadObjectCommand(target));
        return ContentLength ?? 0;
      } catch (error) {
        if (isAbsent(error)) return null;
        throw error;
      }
    });
  }

  async remove(keys: readonly StoreKey[]): Promise<void> {
    const Objects = keys.map((key) => ({ Key: this.target(key).Key }));
    for (let from = 0; from < Objects.length; from += DELETE_BATCH) {
      const Delete = { Objects: Objects.slice(from, from + DELETE_BATCH), Quiet: true };
      const { bucket: Bucket } = this.options;
      // This request must carry a checksum, and MD5 is the one that every service takes.
      const command = new DeleteObjectsCommand({ Bucket, Delete, ChecksumAlgorithm: ChecksumAlgorithm.MD5 });
      const { Errors } = await withBucket(() => this.client.send(command));
      const refused = Errors?.[0];
      if (refused) throw bucketFailed(Object.assign(new Error('an object stays'), { code: refused.Code }));
    }
  }

  async *list(): AsyncGenerator<StoredFile, void, undefined> {
    const { bucket: Bucket, prefix: Prefix } = this.options;
    const pages = paginateListObjectsV2({ client: this.client }, { Bucket, Prefix });
    for (;;) {
      const { value: page, done } = await withBucket(() => pages.next());
      if (done) return;
      for (const { Key = '', Size = 0, LastModified = new Date() } of page.Contents ?? []) {
        const key = Key.slice(Prefix.length);
        if (isStoreKey(key)) yield { key, byteSize: Size, modifiedAt: LastModified };
      }
    }
  }

  async check(): Promise<void> {
    await this.incoming.check();
    const abortSignal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
    const command = new HeadBucketCommand({ Bucket: this.options.bucket });
    await withBucket(() => this.client.send(command, { abortSignal }));
  }

  temporaryFile(): Promise<string> {
    return this.incoming.newPath();
  }

  cleanUp(): Promise<number> {
    return this.incoming.cleanUp();
  }

  async presign(key: StoreKey, seconds: number, headers: LinkHeaders): Promise<string> {
    const command = new GetObjectCommand({
      ...this.target(key),
      ResponseContentType: headers.contentType,
      ResponseContentDisposition: headers.contentDisposition,
    });
    return withBucket(() => getSignedUrl(this.client, command, { expiresIn: seconds }));
  }

  /** Closes the connections; what is under way fails. */
  destroy(): void {
    this.client.destroy();
  }

  private target(key: StoreKey): { Bucket: string; Key: string } {
    assertStoreKey(key);
    return { Bucket: this.options.bucket, Key: `${this.options.prefix}${key}` };
  }
}

async function withBucket<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw bucketFailed(error);
  }
}
