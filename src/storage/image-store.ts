import { type Readable } from 'node:stream';
import { IMAGE_FORMATS, IMAGE_WIDTHS, type ImageFormat } from '../core/images/image.js';
import { type IncomingFiles } from './incoming-files.js';

/** The name of a stored file. Only `originalKey` and `variantKey` create one, and it cannot contain a path. */
export type StoreKey = string & { readonly isStoreKey: true };

/** The SHA-256 of the original in hex, then `.w640` if the width was changed, then `.webp` if the format was. */
const STORE_KEY = /^[0-9a-f]{64}(\.w[1-9]\d{0,4})?(\.(webp|avif|jpeg|png))?$/;

/** A range of bytes, both ends inclusive, as in a Range header. An end past the last byte means the last byte. */
export interface ByteRange {
  start: number;
  end: number;
  /** The size that the whole file must have, as in a Content-Range header. Absent: any size. */
  totalBytes?: number;
}

export interface StoredFile {
  key: StoreKey;
  byteSize: number;
  modifiedAt: Date;
}

/** Response headers of a presigned URL. */
export interface PresignedUrlHeaders {
  contentType: string;
  contentDisposition: string;
}

/**
 * Stores images in a folder or a bucket. Every method rejects with StoreUnavailable (core/errors.ts) when the store itself
 * fails, and with RangeError when the key is invalid.
 */
export interface ImageStore {
  /** Temporary files on their way into this store. The caller must remove a file that `put` does not take. */
  readonly incoming: IncomingFiles;
  /**
   * Stores the file at `path` completely and durably. The file may be moved away. This is cheapest with a path from
   * `incoming`. Does nothing when the key is already stored in full, because equal keys have equal content. After a
   * failure the key is not stored, unless it was before, and the file may still exist. Rejects with the file system's error
   * when the file cannot be read.
   */
  put(key: StoreKey, path: string): Promise<void>;
  /**
   * Does the same as `put`, but replaces a file of the same size too, because its content may be damaged. The old file stays until
   * the new one takes its place in one step, so a reader, a failure or a crash never finds the key without a file.
   */
  replace(key: StoreKey, path: string): Promise<void>;
  /**
   * Opens a stored file, or a range of it. The stream emits an error when reading fails halfway. Rejects with NotStored when
   * the key is not stored, with SizeDiffers when the file has another size than the range says, and with RangeError when the
   * range starts past the last byte. The caller must read the stream to its end or destroy it.
   */
  open(key: StoreKey, range?: ByteRange): Promise<Readable>;
  /** The size in bytes, or null when the key is not stored. */
  size(key: StoreKey): Promise<number | null>;
  /** Removes keys and ignores those that are not stored. After a failure some may be gone; calling it again is safe. */
  remove(keys: readonly StoreKey[]): Promise<void>;
  /** Streams all stored files in any order, without temporary and foreign files. */
  list(): AsyncIterable<StoredFile>;
  /** Rejects with StoreUnavailable and a reason when nothing can be stored at the moment. Takes at most 5 s. */
  assertWritable(): Promise<void>;
  /**
   * A link that serves the key with these headers to anyone who has it. Does not check that the key is stored. Absent for
   * stores that clients cannot reach directly.
   */
  presign?(key: StoreKey, expiresInSeconds: number, headers: PresignedUrlHeaders): Promise<string>;
}

/** No file is stored under this key. */
export class NotStored extends Error {
  constructor(readonly key: StoreKey) {
    super(`No file is stored under the key ${key}.`);
    this.name = new.target.name;
  }
}

/** The file that is stored under this key has another size than its reader expects. */
export class SizeDiffers extends Error {
  constructor(
    readonly key: StoreKey,
    expectedBytes: number,
  ) {
    super(`The file that is stored under the key ${key} does not have ${expectedBytes} bytes.`);
    this.name = new.target.name;
  }
}

/** Whether the text is a valid key. */
export function isStoreKey(text: string): text is StoreKey {
  return STORE_KEY.test(text);
}

/** The text as a key. Throws RangeError unless it is valid. Stores call it before they use a key as a path or object name. */
export function toStoreKey(text: string): StoreKey {
  if (!isStoreKey(text)) throw new RangeError('Invalid store key.');
  return text;
}

/** The key of an original image, from the SHA-256 of its bytes. Throws RangeError unless the hash has 32 bytes. */
export function originalKey(sha256: Uint8Array): StoreKey {
  return toStoreKey(Buffer.from(sha256).toString('hex'));
}

/**
 * The key of a variant of the original with this SHA-256. Null keeps the original's width or format, but not both. Throws
 * RangeError unless the width is a whole number from 1 to 99,999.
 */
export function variantKey(sha256: Uint8Array, width: number | null, format: ImageFormat | null): StoreKey {
  if (width === null && format === null) throw new RangeError('A variant needs a width, a format, or both.');
  const original = originalKey(sha256);
  return toStoreKey(`${original}${width === null ? '' : `.w${width}`}${format === null ? '' : `.${format}`}`);
}

/** The key of the original, and those of every possible variant. */
export function allStoreKeys(sha256: Uint8Array): StoreKey[] {
  const variantKeys = [null, ...IMAGE_WIDTHS].flatMap((width) =>
    IMAGE_FORMATS.map((format) => variantKey(sha256, width, format)),
  );
  return [originalKey(sha256), ...variantKeys];
}
