import { rm } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { LRUCache } from 'lru-cache';
import { Gone, LinkRefused, NotFound, StoreUnavailable } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { IMAGE_FORMATS, type ImageFormat, type Variant } from '../../core/images/image.js';
import { type Images, type ServedImage } from '../../db/images/image-repository.js';
import { writeStream } from '../../storage/write-stream.js';
import {
  type ByteRange,
  type ImageStore,
  NotStored,
  originalKey,
  type StoreKey,
  variantKey,
} from '../../storage/image-store.js';
import { makeVariant } from '../../storage/processing/transform.js';
import { type Addresses } from '../access/signed-links.js';
import { type Pictures } from './ingest.js';

/** How long a deleted picture can still be served by an instance that has just looked. */
const FACTS_TTL_MS = 3_000;
/** Facts of pictures that are looked at again and again: about 2 kB each, and 100 bytes for a size. */
const FACTS_KEPT = 5_000;
const SIZES_KEPT = 50_000;
/** What a page shows by the dozen: so small that opening a file, or asking a bucket, costs more than the bytes. */
const SMALL_BYTES = 64 * 1024;
const SMALL_BYTES_KEPT = 16 * 1024 * 1024;
/** How long a link to the bucket serves; a browser follows it at once. */
const PRESIGNED_SECONDS = 300;
const NAME_LENGTH = 60;
/** Forms being made or waiting for it, two at a time: an AVIF takes up to 3 s, and no browser waits for a minute. */
const MADE_AT_ONCE = 32;

/** A picture in the form that was asked for, ready to be served. */
export interface ServedPicture {
  /** The same for as long as the picture exists, and for no other form of it. */
  etag: string;
  mimeType: string;
  byteSize: number;
  /** What a browser calls it when it is saved. */
  fileName: string;
  /** The bytes, or a part of them: as a stream, which must be read or destroyed, or at once when there are few. */
  open(range?: ByteRange): Promise<Readable | Buffer>;
  /** Where the bucket itself serves it; null: we do. */
  presigned: string | null;
  /** Seconds for which it may be kept: null for ever, else until the link has expired. */
  maxAge: number | null;
}

/** Serves stored pictures by links that we signed, in their own form or in one of few others. */
export class PictureServing {
  private readonly known: LRUCache<string, ServedImage>;
  private readonly sizes = new LRUCache<StoreKey, number>({ max: SIZES_KEPT });
  private readonly small = new LRUCache<StoreKey, Buffer>({
    maxSize: SMALL_BYTES_KEPT,
    sizeCalculation: (bytes) => bytes.length,
    fetchMethod: async (key) => buffer(await this.store.open(key)),
    // Many at once can push out what is still being read.
    ignoreFetchAbort: true,
  });
  /** One flight per variant. */
  private readonly making = new Map<StoreKey, Promise<void>>();

  constructor(
    private readonly images: Images,
    private readonly pictures: Pictures,
    private readonly store: ImageStore,
    private readonly addresses: Addresses,
    /** Send browsers to the bucket instead of passing its bytes on. */
    private readonly redirects: boolean,
  ) {
    this.known = new LRUCache({
      max: FACTS_KEPT,
      ttl: FACTS_TTL_MS,
      fetchMethod: async (id) => (await this.images.findServed(id)) ?? undefined,
      // Who waited for the same picture deletes what another has begun to read.
      ignoreFetchAbort: true,
    });
  }

  /**
   * The picture with this id for whoever has its link. One that is known but not stored yet is fetched first. Throws
   * LinkRefused, NotFound, Gone, PictureUnavailable when the upstream's link does not give it, or StoreUnavailable.
   */
  async serve(imageId: string, token: string, variant: Variant): Promise<ServedPicture> {
    const link = isId(imageId) ? this.addresses.readImageToken(imageId, token) : null;
    if (!link) {
      throw new LinkRefused(
        'This is not a link that we signed, or its time is over. Ask for `Image.url` again.',
      );
    }
    const image = await this.find(imageId);
    const { sha256, mimeType, byteSize, width } = image;
    if (!sha256 || !mimeType || byteSize === null) throw new NotFound('There is no picture at this address.');
    const form = formOf(variant, mimeType, width ?? 0);
    const key = form.isOriginal ? originalKey(sha256) : variantKey(sha256, form.width, form.format);
    const orExplain = <T>(work: Promise<T>) => work.catch((error: unknown) => this.explain(imageId, error));
    const size = form.isOriginal ? byteSize : await orExplain(this.sizeOf(key, sha256, form));
    const type = form.isOriginal ? mimeType : `image/${form.format}`;
    const fileName = `${nameOf(image)}.${type.replace('image/', '').replace('jpeg', 'jpg')}`;
    return {
      etag: `"${key}"`,
      mimeType: type,
      byteSize: size,
      fileName,
      open: (range) =>
        orExplain<Readable | Buffer>(
          size <= SMALL_BYTES ? this.openSmall(key, range) : this.store.open(key, range),
        ),
      presigned: await this.presign(key, type, fileName),
      maxAge: link.secondsLeft,
    };
  }

  private async find(imageId: string): Promise<ServedImage> {
    let image = await this.known.fetch(imageId);
    if (image && !image.storedAt && !image.lostAt && !image.deletedAt) {
      await this.pictures.storeOnce(image);
      this.known.delete(imageId);
      image = await this.known.fetch(imageId);
    }
    if (!image) throw new NotFound('There is no picture at this address.');
    if (image.deletedAt) throw new Gone('This picture was deleted.');
    return image;
  }

  /** Why nothing is stored: the picture was deleted since we looked, or its bytes are lost. Throws every error. */
  private async explain(imageId: string, error: unknown): Promise<never> {
    if (!(error instanceof NotStored)) throw error;
    // A form that was removed with its original is made again when the same original comes back.
    this.sizes.delete(error.key);
    this.known.delete(imageId);
    await this.find(imageId);
    const reason = 'the bytes of this picture are missing, which `npm run store:verify` looks into';
    throw new StoreUnavailable(reason, { cause: error });
  }

  private async sizeOf(key: StoreKey, sha256: Uint8Array, form: Form): Promise<number> {
    const known = this.sizes.get(key) ?? (await this.store.size(key));
    if (known === null) {
      let flight = this.making.get(key);
      if (!flight) {
        if (this.making.size >= MADE_AT_ONCE) throw new StoreUnavailable('many other forms are being made');
        flight = this.make(key, sha256, form).finally(() => this.making.delete(key));
        this.making.set(key, flight);
      }
      await flight;
    }
    const size = known ?? (await this.store.size(key));
    if (size === null) throw new Gone('This picture was deleted.');
    this.sizes.set(key, size);
    return size;
  }

  private async openSmall(key: StoreKey, range?: ByteRange): Promise<Buffer> {
    const bytes = (await this.small.fetch(key)) ?? (await buffer(await this.store.open(key)));
    return range ? bytes.subarray(range.start, range.end + 1) : bytes;
  }

  private async make(key: StoreKey, sha256: Uint8Array, { width, format }: Form): Promise<void> {
    const original = await this.store.temporaryFile();
    const made = await this.store.temporaryFile();
    try {
      await writeStream(await this.store.open(originalKey(sha256)), original);
      await makeVariant(original, made, width, format);
      await this.store.put(key, made);
    } finally {
      await Promise.all([rm(original, { force: true }), rm(made, { force: true })]);
    }
  }

  private async presign(key: StoreKey, contentType: string, fileName: string): Promise<string | null> {
    if (!this.redirects || !this.store.presign) return null;
    const headers = { contentType, contentDisposition: `inline; filename="${fileName}"` };
    return this.store.presign(key, PRESIGNED_SECONDS, headers);
  }
}

interface Form {
  isOriginal: boolean;
  width: number | null;
  format: ImageFormat;
}

/** A width that the picture does not have, or a form that it has already, is the picture itself. */
function formOf({ width, format }: Variant, mimeType: string, ownWidth: number): Form {
  const own = IMAGE_FORMATS.find((known) => `image/${known}` === mimeType);
  const smaller = width !== null && width < ownWidth ? width : null;
  const isOriginal = smaller === null && (format === null || format === own);
  return { isOriginal, width: smaller, format: format ?? own ?? 'png' };
}

/** The prompt's first words, or what the uploader called it, as every file system takes it. */
function nameOf({ prompt, fileName, index }: ServedImage): string {
  const words = (prompt ?? fileName?.replace(/\.\w+$/, '') ?? '')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, NAME_LENGTH)
    .replace(/^-+|-+$/g, '');
  return prompt === null ? words || 'picture' : `${words || 'picture'}-${index + 1}`;
}
