import { type Readable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import { Gone, ImageUnavailable, LinkInvalid, NotFound, StoreUnavailable } from '../../core/errors.js';
import { SingleFlights } from '../../core/primitives/async.js';
import { isId } from '../../core/primitives/ids.js';
import { IMAGE_FORMATS, type ImageFormat, type ImageVariant } from '../../core/images/image.js';
import { type ImageWithPrompt } from '../../db/images/image-repository.js';
import { measureFile, writeStreamToFile } from '../../storage/write-stream.js';
import {
  type ByteRange,
  NotStored,
  originalKey,
  SizeDiffers,
  type StoreKey,
  variantKey,
} from '../../storage/image-store.js';
import { createVariant } from '../../storage/processing/create-variant.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type ImageIngest } from './ingest.js';
import { type ImageFile, StoredFiles, throwReadError } from './stored-files.js';
import { type Dependencies } from '../dependencies.js';

/** How long an instance may still serve an image after it was deleted. */
const IMAGE_CACHE_TTL_MS = 3_000;
/** About 2 kB per cached image row. */
const MAX_CACHED_IMAGES = 5_000;
/** Lifetime of a presigned URL, which does not outlive its link. Browsers follow it at once. */
const PRESIGNED_URL_TTL_SECONDS = 300;
const MAX_FILE_NAME_LENGTH = 60;
const NO_IMAGE = 'No image exists at this URL. Query `Image.url` for the right one.';
const IMAGE_DELETED = 'This image was deleted. It cannot be restored.';
/**
 * Variants of a workspace that are being created or queued. Two are created at a time and an AVIF takes up to 3 s, so the last one
 * is ready before a browser gives up after about a minute, if no other workspace needs variants.
 */
const MAX_QUEUED_VARIANTS_PER_WORKSPACE = 32;
/** Those of all workspaces, because each has a copy of its original on the disk. */
const MAX_QUEUED_VARIANTS = 128;

/** An image in the requested variant, ready to be served. */
export interface ServedFile {
  /** Constant while the image exists, and different for each variant. */
  etag: string;
  mimeType: string;
  byteSize: number;
  /** `Content-Disposition`: the file name that browsers suggest. Bytes that cannot be decoded are only downloaded. */
  disposition: string;
  /**
   * Opens the bytes, or a range of them. Small files come as a Buffer, others as a stream that must be read or
   * destroyed. The stream fails instead of ending with more or fewer bytes. Throws VariantReplaced when `byteSize` is not the
   * size any more.
   */
  open(range?: ByteRange): Promise<Readable | Buffer>;
  /** URL at which the bucket serves the file. Null when Darkroom serves it. */
  presignedUrl: string | null;
  /** Seconds for which a client may cache the file, which is until the link expires. Null: forever. */
  maxAgeSeconds: number | null;
}

/** The file of a variant was removed or made again since its size was read. The next call of `serve` has the right size. */
export class VariantReplaced extends StoreUnavailable {
  constructor(cause: unknown) {
    super('this variant is being made again', { cause });
  }
}

export interface ImageServingDependencies extends Pick<Dependencies, 'images' | 'store'> {
  imageIngest: ImageIngest;
  signedLinks: SignedLinks;
  /** Redirect browsers to the bucket instead of passing its bytes on. */
  redirectToBucket: boolean;
}

/** Serves stored images by signed links, as the original or as one of a fixed set of variants. */
export class ImageServing {
  private readonly imageCache = new LRUCache<string, ImageWithPrompt>({
    max: MAX_CACHED_IMAGES,
    ttl: IMAGE_CACHE_TTL_MS,
    fetchMethod: async (id) => (await this.deps.images.findWithPrompt(id)) ?? undefined,
    // `findServable` deletes an entry that another request may still be fetching.
    ignoreFetchAbort: true,
  });
  private readonly files: StoredFiles;
  /** Concurrent requests for one variant share the work. */
  private readonly variantsInProgress = new SingleFlights<StoreKey, void>();
  /** For which workspace each of them is created. */
  private readonly workspacesOfVariants = new Map<StoreKey, string>();

  constructor(private readonly deps: ImageServingDependencies) {
    this.files = new StoredFiles(deps.store);
  }

  /**
   * Opens an image for the holder of its signed link. An image that is not stored yet is ingested first. Throws
   * LinkInvalid, NotFound, Gone, StoreUnavailable, or ImageUnavailable when the upstream's URL does not serve the
   * image.
   */
  async serve(imageId: string, token: string, variant: ImageVariant): Promise<ServedFile> {
    const link = isId(imageId) ? this.deps.signedLinks.verifyImageToken(imageId, token) : null;
    if (!link) {
      throw new LinkInvalid('This link is invalid or has expired. Query `Image.url` for a new one.');
    }
    const image = await this.findServable(imageId);
    const { sha256, mimeType, byteSize, width, workspaceId } = image;
    if (!sha256 || !mimeType || byteSize === null) throw new NotFound(NO_IMAGE);
    const isVariant = variant.width !== null || variant.format !== null;
    if (image.decodeError !== null && isVariant)
      throw new ImageUnavailable(`${image.decodeError} Download the original instead.`, { retryable: false });
    const variantSpec = variantSpecOf(variant, mimeType, width ?? 0);
    const key = variantSpec.isOriginal
      ? originalKey(sha256)
      : variantKey(sha256, variantSpec.width, variantSpec.format);
    const file = { imageId, key };
    const withExplanation = <T>(work: Promise<T>) =>
      work.catch((error: unknown) => this.explainUnusable(file, error));
    const size = await withExplanation(
      variantSpec.isOriginal
        ? this.sizeOfOriginal(file, byteSize)
        : this.sizeOfVariant(file, { sha256, workspaceId }, variantSpec),
    );
    const type = variantSpec.isOriginal ? mimeType : `image/${variantSpec.format}`;
    const disposition = dispositionOf(image, type);
    return {
      // A variant that is made again can have other bytes.
      etag: variantSpec.isOriginal ? `"${key}"` : `"${key}-${size}"`,
      mimeType: type,
      byteSize: size,
      disposition,
      open: (range) => withExplanation(this.files.open(file, size, range)),
      presignedUrl: await this.presign(key, link.secondsLeft, {
        contentType: type,
        contentDisposition: disposition,
      }),
      maxAgeSeconds: link.secondsLeft,
    };
  }

  private async findServable(imageId: string): Promise<ImageWithPrompt> {
    let image = await this.imageCache.fetch(imageId);
    if (image && !image.storedAt && !image.lostAt && !image.deletedAt) {
      await this.deps.imageIngest.ingestForViewer(image);
      this.imageCache.delete(imageId);
      image = await this.imageCache.fetch(imageId);
    }
    if (!image) throw new NotFound(NO_IMAGE);
    if (image.deletedAt) throw new Gone(IMAGE_DELETED);
    return image;
  }

  /**
   * Replaces NotStored and SizeDiffers with their reason: the image was deleted in the meantime, a variant was replaced, or the
   * bytes of the image are missing or damaged. Always throws.
   */
  private async explainUnusable(file: ImageFile, error: unknown): Promise<never> {
    if (!(error instanceof NotStored || error instanceof SizeDiffers)) throw error;
    this.files.forget(file);
    this.imageCache.delete(file.imageId);
    const image = await this.findServable(file.imageId);
    if (image.sha256 && error.key !== originalKey(image.sha256)) throw new VariantReplaced(error);
    throw bytesUnusable(error instanceof NotStored ? 'missing' : 'damaged', error);
  }

  /** The bucket is asked before a browser is sent to it. Otherwise opening the file shows whether it has this size. */
  private async sizeOfOriginal(file: ImageFile, byteSize: number): Promise<number> {
    if (!this.isRedirecting) return byteSize;
    const stored = await this.files.recentSize(file);
    if (stored === null) throw new NotStored(file.key);
    if (stored !== byteSize) throw new SizeDiffers(file.key, byteSize);
    return byteSize;
  }

  private async sizeOfVariant(
    file: ImageFile,
    image: StoredImage,
    variantSpec: VariantSpec,
  ): Promise<number> {
    const { key } = file;
    // An older size would send browsers to a file that was removed from the bucket since.
    const readSize = () => (this.isRedirecting ? this.files.recentSize(file) : this.files.size(file));
    const known = await readSize();
    if (known !== null) return known;
    if (!this.variantsInProgress.has(key)) this.requireRoomForVariant(image.workspaceId);
    await this.variantsInProgress.run(key, async () => {
      this.workspacesOfVariants.set(key, image.workspaceId);
      await this.makeVariantFile(key, image, variantSpec).finally(() =>
        this.workspacesOfVariants.delete(key),
      );
    });
    const size = await readSize();
    if (size === null) throw new Gone(IMAGE_DELETED);
    return size;
  }

  private requireRoomForVariant(workspaceId: string): void {
    const workspaceIds = [...this.workspacesOfVariants.values()];
    const ofWorkspace = workspaceIds.filter((id) => id === workspaceId);
    if (workspaceIds.length >= MAX_QUEUED_VARIANTS || ofWorkspace.length >= MAX_QUEUED_VARIANTS_PER_WORKSPACE)
      throw new StoreUnavailable('too many other variants are being created');
  }

  private async makeVariantFile(
    key: StoreKey,
    { sha256, workspaceId }: StoredImage,
    { width, format }: VariantSpec,
  ): Promise<void> {
    const turn = { workspaceId, isPaid: false };
    const originalPath = await this.deps.store.incoming.createPath();
    const variantPath = await this.deps.store.incoming.createPath();
    try {
      // Each variant that waits for its turn has a copy of its original.
      await this.deps.store.incoming.requireFreeSpace();
      const original = await this.deps.store.open(originalKey(sha256));
      await writeStreamToFile(original, originalPath).catch(throwReadError);
      // A part of the original would be decoded as far as possible, and that variant would be kept.
      if (!(await measureFile(originalPath)).sha256.equals(sha256)) throw bytesUnusable('damaged');
      await createVariant(originalPath, variantPath, { width, format, turn });
      await this.deps.store.put(key, variantPath);
    } finally {
      await Promise.all([
        this.deps.store.incoming.remove(originalPath),
        this.deps.store.incoming.remove(variantPath),
      ]);
    }
  }

  private get isRedirecting(): boolean {
    return this.deps.redirectToBucket && this.deps.store.presign !== undefined;
  }

  private async presign(
    key: StoreKey,
    secondsLeft: number | null,
    headers: { contentType: string; contentDisposition: string },
  ): Promise<string | null> {
    if (!this.isRedirecting || !this.deps.store.presign) return null;
    const seconds = Math.min(PRESIGNED_URL_TTL_SECONDS, secondsLeft ?? PRESIGNED_URL_TTL_SECONDS);
    return this.deps.store.presign(key, seconds, headers);
  }
}

function bytesUnusable(state: 'missing' | 'damaged', cause?: unknown): StoreUnavailable {
  const advice = 'Ask the operator to run `npm run store:verify`.';
  return new StoreUnavailable(`the bytes of this image are ${state}`, { cause, advice });
}

interface StoredImage {
  sha256: Uint8Array;
  workspaceId: string;
}

interface VariantSpec {
  isOriginal: boolean;
  width: number | null;
  format: ImageFormat;
}

/**
 * The variant to serve. A width that the image does not exceed, or the format that it already has, gives the
 * original.
 */
function variantSpecOf(
  { width, format }: ImageVariant,
  mimeType: string,
  originalWidth: number,
): VariantSpec {
  const originalFormat = IMAGE_FORMATS.find((candidate) => `image/${candidate}` === mimeType);
  const targetWidth = width !== null && width < originalWidth ? width : null;
  const isOriginal = targetWidth === null && (format === null || format === originalFormat);
  return { isOriginal, width: targetWidth, format: format ?? originalFormat ?? 'png' };
}

/** Bytes that cannot be decoded may be anything, such as a page with scripts, so no browser may open them. */
function dispositionOf(image: ImageWithPrompt, mimeType: string): string {
  if (image.decodeError !== null) return `attachment; filename="${fileNameOf(image)}.bin"`;
  const extension = mimeType.replace('image/', '').replace('jpeg', 'jpg');
  return `inline; filename="${fileNameOf(image)}.${extension}"`;
}

/** The first words of the prompt, or the uploaded file's name, with characters that every file system accepts. */
function fileNameOf({ prompt, fileName, index }: ImageWithPrompt): string {
  const words = (prompt ?? fileName?.replace(/\.\w+$/, '') ?? '')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_FILE_NAME_LENGTH)
    .replace(/^-|-$/g, '');
  return prompt === null ? words || 'image' : `${words || 'image'}-${index + 1}`;
}
