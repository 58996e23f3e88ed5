import { pipeline, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { LRUCache } from 'lru-cache';
import { AppError, StoreUnavailable } from '../../core/errors.js';
import { type ByteRange, type ImageStore, SizeDiffers, type StoreKey } from '../../storage/image-store.js';
import { ExactLength, WrongLength } from './exact-length.js';

/**
 * How long an instance may serve what it remembers of a file. `npm run store:verify -- --repair` and a restored backup replace
 * files without telling the instances.
 */
const REMEMBERED_MS = 60_000;
/** How old a size may be where the file is not opened, so that nothing else shows that it is gone. */
const RECENT_MS = 3_000;
/** About 150 bytes each. */
const MAX_CACHED_SIZES = 50_000;
/** A page shows dozens of such files. For them, opening a file or requesting an object costs more than the bytes. */
const SMALL_FILE_BYTES = 64 * 1024;
const SMALL_FILE_CACHE_BYTES = 16 * 1024 * 1024;
const HASH_DIGITS = 64;

/** A file in the store, as the original or a variant of an image. */
export interface ImageFile {
  imageId: string;
  key: StoreKey;
}

/**
 * Reads files of the store, and remembers their sizes and the bytes of small ones for a minute. What it remembers belongs to an
 * image, not to its bytes: if the image is deleted and the same bytes are stored again, that is another image.
 */
export class StoredFiles {
  private readonly sizes = new LRUCache<string, number>({ max: MAX_CACHED_SIZES, ttl: REMEMBERED_MS });
  private readonly recentSizes = new LRUCache<string, number, StoreKey>({
    max: MAX_CACHED_SIZES,
    ttl: RECENT_MS,
    fetchMethod: async (_name, _stale, { context: key }) => (await this.store.size(key)) || undefined,
    ignoreFetchAbort: true,
  });
  private readonly smallFiles = new LRUCache<string, Buffer, { key: StoreKey; size: number }>({
    maxSize: SMALL_FILE_CACHE_BYTES,
    ttl: REMEMBERED_MS,
    sizeCalculation: (bytes) => bytes.length,
    fetchMethod: (_name, _stale, { context: file }) => this.readSmall(file),
    // Concurrent reads can evict an entry that is still being fetched.
    ignoreFetchAbort: true,
  });

  constructor(private readonly store: ImageStore) {}

  /** The size in bytes, at most a minute old. Null when the file is not stored, or is empty, which no image is. */
  async size(file: ImageFile): Promise<number | null> {
    const name = nameOf(file);
    const known = this.sizes.get(name);
    if (known !== undefined) return known;
    const size = (await this.store.size(file.key)) || null;
    if (size !== null) this.sizes.set(name, size);
    return size;
  }

  /** The same, at most three seconds old. Concurrent calls share the request. */
  async recentSize(file: ImageFile): Promise<number | null> {
    return (await this.recentSizes.fetch(nameOf(file), { context: file.key })) ?? null;
  }

  /**
   * Opens a file of this size, or a range of it. Rejects with NotStored or SizeDiffers when the store has no such file. The stream
   * ends only after exactly the bytes that were asked for, and fails with WrongLength otherwise.
   */
  async open(file: ImageFile, size: number, range?: ByteRange): Promise<Readable | Buffer> {
    if (size <= SMALL_FILE_BYTES) return this.openSmall(file, size, range);
    const { start, end } = range ?? { start: 0, end: size - 1 };
    const source = await this.store.open(file.key, { start, end, totalBytes: size });
    const exact = new ExactLength(end - start + 1);
    return pipeline(source, exact, (error) => {
      if (error instanceof WrongLength) this.forget(file);
    });
  }

  /** Must be called after an error of `open`, which may come from what is remembered. */
  forget(file: ImageFile): void {
    this.sizes.delete(nameOf(file));
    this.recentSizes.delete(nameOf(file));
    this.smallFiles.delete(nameOf(file));
  }

  private async openSmall(file: ImageFile, size: number, range?: ByteRange): Promise<Buffer> {
    const context = { key: file.key, size };
    const bytes = (await this.smallFiles.fetch(nameOf(file), { context })) ?? (await this.readSmall(context));
    if (bytes.length !== size) throw new SizeDiffers(file.key, size);
    return range ? bytes.subarray(range.start, range.end + 1) : bytes;
  }

  /** A file that has another size now is not read, however large it is. An empty result is none that the cache could keep. */
  private async readSmall({ key, size }: { key: StoreKey; size: number }): Promise<Buffer> {
    const stream = await this.store.open(key, { start: 0, end: size - 1, totalBytes: size });
    const bytes = await buffer(stream).catch(throwReadError);
    if (bytes.length !== size) throw new SizeDiffers(key, size);
    return bytes;
  }
}

/** For `catch` while a stored file is read: the error of its stream is the store's. */
export function throwReadError(error: unknown): never {
  throw error instanceof AppError
    ? error
    : new StoreUnavailable('a stored file could not be read to its end', { cause: error });
}

/** The ID of the image, and what the key says of the variant. */
function nameOf({ imageId, key }: ImageFile): string {
  return `${imageId}${key.slice(HASH_DIGITS)}`;
}
