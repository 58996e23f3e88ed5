import { type Readable } from 'node:stream';
import { type ImageFormat } from '../core/images/image.js';

/** The name of one stored file: made by `originalKey` and `variantKey` alone, and no path can be hidden in it. */
export type StoreKey = string & { readonly isStoreKey: true };

/** The SHA-256 of the original in hex, then `.w640` where the width was changed, then `.webp` where the format was. */
const STORE_KEY = /^[0-9a-f]{64}(\.w[1-9]\d{0,4})?(\.(webp|avif|jpeg|png))?$/;

/** A part of a file: both ends inclusive, as in a Range header. An end behind the last byte means the last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface StoredFile {
  key: StoreKey;
  byteSize: number;
  modifiedAt: Date;
}

/** What a browser that follows a signed link is told about the file. */
export interface LinkHeaders {
  contentType: string;
  contentDisposition: string;
}

/**
 * Where pictures are kept: a folder or a bucket. Every method rejects with StoreUnavailable (core/errors.ts) when the
 * store itself fails, and with RangeError when it is given a key that is none.
 */
export interface ImageStore {
  /**
   * Takes the file at `path`: afterwards the bytes are under the key, whole and durable, and the file may be gone. It
   * costs least when the path is one of `temporaryFile`. Storing under a key that is there changes nothing: equal keys
   * have equal content. When it fails nothing is under the key that was not there before, and the file may be there
   * still; a file that cannot be read gives the error of the file system.
   */
  put(key: StoreKey, path: string): Promise<void>;
  /** Whether the key can be opened. */
  has(key: StoreKey): Promise<boolean>;
  /**
   * Resolves when the bytes, or a part of them, begin to come; the stream fails when they stop coming. Rejects with
   * NotStored when nothing is there, and with RangeError when the range begins behind the last byte. Whoever does not
   * read the stream to its end must destroy it.
   */
  open(key: StoreKey, range?: ByteRange): Promise<Readable>;
  /** Bytes, or null when nothing is there. */
  size(key: StoreKey): Promise<number | null>;
  /** Absent keys are fine. When it fails some may be gone; calling it again is safe. */
  remove(keys: readonly StoreKey[]): Promise<void>;
  /** Everything that is stored, in any order and without holding it all in memory. Temporary and foreign files are not. */
  list(): AsyncIterable<StoredFile>;
  /** Rejects with StoreUnavailable and the reason when nothing can be stored now. Takes at most 5 s. */
  check(): Promise<void>;
  /** The path of a file that is not there yet, to be written and given to `put`. Whoever asked removes what is left. */
  temporaryFile(): Promise<string>;
  /** Removes temporary files that nobody has written to for an hour, as a crash leaves them. Resolves with their number. */
  cleanUp(): Promise<number>;
  /**
   * A link that serves the key for so many seconds to whoever has it, with these headers. It is made without asking
   * whether the key is there. Missing where a store cannot be reached from outside.
   */
  presign?(key: StoreKey, seconds: number, headers: LinkHeaders): Promise<string>;
}

/** Nothing is stored under this key. */
export class NotStored extends Error {
  constructor(
    readonly key: StoreKey,
    options?: { cause?: unknown },
  ) {
    super(`Nothing is stored under ${key}.`, options);
    this.name = new.target.name;
  }
}

/** Whether the text is the name of a file of ours. */
export function isStoreKey(text: string): text is StoreKey {
  return STORE_KEY.test(text);
}

/** Throws RangeError unless the text is a key. Stores call it before a key becomes a path or an object's name. */
export function assertStoreKey(text: string): asserts text is StoreKey {
  if (!isStoreKey(text)) throw new RangeError('This is not the key of a stored picture.');
}

/** The key of a picture as it came, by the SHA-256 of its bytes. Throws RangeError unless those are 32 bytes. */
export function originalKey(sha256: Uint8Array): StoreKey {
  return keyOf(Buffer.from(sha256).toString('hex'));
}

/**
 * The key of a picture made of the original with this SHA-256. Null keeps the width or the format; not both, because that
 * would be the original. Throws RangeError for a width that is no whole number from 1 to 99,999.
 */
export function variantKey(sha256: Uint8Array, width: number | null, format: ImageFormat | null): StoreKey {
  if (width === null && format === null) throw new RangeError('A variant has a width, a format, or both.');
  const original = originalKey(sha256);
  return keyOf(`${original}${width === null ? '' : `.w${width}`}${format === null ? '' : `.${format}`}`);
}

function keyOf(text: string): StoreKey {
  assertStoreKey(text);
  return text;
}
