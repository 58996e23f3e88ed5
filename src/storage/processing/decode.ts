import { bulkhead } from 'cockatiel';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { PictureUnavailable, StoreUnavailable } from '../../core/errors.js';
import { type ImageFormat } from '../../core/images/image.js';
import { bytesToDecode, DECODING_BYTES, MemoryBudget } from './decoding-memory.js';
import { kindOfFile, PICTURE_KINDS, type PictureKind } from './image-format.js';

/** More is no photograph any more, and takes seconds even line by line. */
const MAX_PIXELS = 100_000_000;
const DECODES_AT_ONCE = 2;
const MAX_SECONDS = 60;
const LONGEST_REASON = 200;
/** What libvips says when this machine is at fault. */
const OURS = /system error|out of memory|timeout/;

// Files are never decoded twice, so a cache would only hold on to memory; and threads would each need their own lines.
sharp.cache(false);
sharp.concurrency(1);

const places = bulkhead(DECODES_AT_ONCE, Infinity);
const memory = new MemoryBudget(DECODING_BYTES);

/** A picture by its header: sides as it is meant to be seen, that is, after EXIF has turned it. */
export interface Header {
  kind: PictureKind;
  width: number;
  height: number;
  hasAlpha: boolean;
  /** Of a JPEG. */
  chromaSubsampling: string | undefined;
}

/** What is to be made. Without a width it keeps its own; without a format it becomes pixels. */
export interface Wish {
  maxWidth?: number;
  format?: ImageFormat | ((header: Header) => ImageFormat);
  /** The file that is written; for telling a disk that fails from a picture that does. */
  toPath?: string;
}

/**
 * The one way to a decoder. Looks at the file's first bytes and header, waits until there is a place and memory for it, at
 * most two at once in this process, and hands it over upright. Throws PictureUnavailable for what is no picture of ours, is
 * damaged, or is too large for what is wished: to be tried again only if it was this machine that failed or took more than
 * 60 s. Throws StoreUnavailable when `toPath` cannot be written. A file that cannot be read gives the error of the file
 * system.
 */
export async function decode<T>(
  path: string,
  wish: Wish,
  work: (picture: Sharp, header: Header) => Promise<T>,
): Promise<T> {
  const kind = await kindOfFile(path);
  if (!kind) throw unreadable(`its format is not one of ${PICTURE_KINDS.join(', ')}`);
  return places.execute(async () => {
    try {
      const metadata = await sharp(path, { limitInputPixels: false }).metadata();
      const header = readHeader(kind, metadata);
      const format = typeof wish.format === 'function' ? wish.format(header) : (wish.format ?? null);
      const scale = Math.min(1, (wish.maxWidth ?? header.width) / header.width);
      const bytes = bytesToDecode(metadata, { pixels: header.width * header.height * scale ** 2, format });
      if (bytes > DECODING_BYTES) throw unreadable(tooLarge(header, format));
      const picture = sharp(path, { limitInputPixels: MAX_PIXELS, sequentialRead: true, autoOrient: true });
      return await memory.lend(bytes, () => work(picture.timeout({ seconds: MAX_SECONDS }), header));
    } catch (error) {
      throw translate(error, path, wish.toPath);
    }
  });
}

function readHeader(kind: PictureKind, metadata: Metadata): Header {
  const { format, compression, width, height, autoOrient, hasAlpha, chromaSubsampling } = metadata;
  const isAvif = format === 'heif' && compression === 'av1';
  if (kind === 'avif' ? !isAvif : format !== kind) throw unreadable('it is not what its first bytes say');
  if (width * height > MAX_PIXELS)
    throw unreadable(`${width} x ${height} pixels are more than ${MAX_PIXELS / 1e6} million`);
  return { kind, width: autoOrient.width, height: autoOrient.height, hasAlpha, chromaSubsampling };
}

function tooLarge({ kind, width, height }: Header, format: ImageFormat | null): string {
  const writing = format ? ` and writing them as ${format}` : '';
  return `decoding ${width} x ${height} pixels of ${kind}${writing} takes too much memory`;
}

/** What sharp throws is an Error and no more; everything else is no fault of the picture. */
function translate(error: unknown, path: string, toPath: string | undefined): unknown {
  if (!(error instanceof Error) || error.name !== 'Error') return error;
  if (toPath !== undefined && error.message.includes(toPath))
    return new StoreUnavailable('the disk did not take a file', { cause: error });
  const reason = error.message.replaceAll(path, 'the file').replace(/\s+/g, ' ').slice(0, LONGEST_REASON);
  return unreadable(reason, OURS.test(error.message), error);
}

function unreadable(reason: string, retryable = false, cause?: unknown): PictureUnavailable {
  return new PictureUnavailable(`This is not a picture that can be read: ${reason}.`, retryable, { cause });
}
