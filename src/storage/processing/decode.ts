import { Semaphore } from 'async-mutex';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { type ImageFormat } from '../../core/images/image.js';
import { estimateDecodingBytes, DECODING_MEMORY_BYTES } from './decoding-memory.js';
import { detectFileFormat, DECODABLE_FORMATS, type DecodableFormat } from './image-format.js';

/** Larger images are not photographs, and take seconds to decode even row by row. */
const MAX_PIXELS = 100_000_000;
const MAX_CONCURRENT_DECODES = 2;
const DECODE_TIMEOUT_SECONDS = 60;
const MAX_REASON_LENGTH = 200;
/** Messages of libvips that blame this machine, not the image. */
const MACHINE_ERROR = /system error|out of memory|timeout/;

// A cache would only waste memory, because no file is decoded twice. Every additional thread would need its own rows.
sharp.cache(false);
sharp.concurrency(1);

const decodeSlots = new Semaphore(MAX_CONCURRENT_DECODES);
/** Counts megabytes, because a release takes the semaphore time in proportion to its free units. */
const freeMegabytes = new Semaphore(Math.floor(DECODING_MEMORY_BYTES / 1e6));

/** An image's header. Width and height apply after the EXIF rotation, and `chromaSubsampling` is only set for JPEG. */
export type ImageHeader = ReturnType<typeof readHeader>;

/** What the caller will produce. Without `maxWidth` the image keeps its width; without `format` it is not encoded again. */
interface DecodeOptions {
  maxWidth?: number | null;
  format?: (header: ImageHeader) => ImageFormat;
  /** The file that will be written, to tell a disk error from a damaged image. */
  outputPath?: string;
}

/**
 * Decodes an image and passes it, rotated upright, to `process`. All decoding goes through this function. It checks the first
 * bytes and the header, then waits until a slot (two per process) and enough memory are free.
 *
 * Throws ImageUnavailable when the file is not an accepted image, is damaged, or is too large for `options`. It is retryable
 * only if this machine failed or took more than 60 s. Throws StoreUnavailable when `outputPath` cannot be written. Rejects
 * with the file system's error when the file cannot be read.
 */
export async function decode<T>(
  path: string,
  options: DecodeOptions,
  process: (image: Sharp, header: ImageHeader) => Promise<T>,
): Promise<T> {
  const sourceFormat = await detectFileFormat(path);
  if (!sourceFormat) throw unreadableImage(`its format must be one of ${DECODABLE_FORMATS.join(', ')}`);
  return decodeSlots.runExclusive(async () => {
    try {
      const metadata = await sharp(path, { limitInputPixels: false }).metadata();
      const header = readHeader(sourceFormat, metadata);
      const format = options.format?.(header) ?? null;
      const scale = Math.min(1, (options.maxWidth ?? header.width) / header.width);
      const pixels = header.width * header.height * scale ** 2;
      const bytes = estimateDecodingBytes(metadata, { pixels, format });
      if (bytes > DECODING_MEMORY_BYTES) throw unreadableImage(tooLargeReason(header, format));
      const image = sharp(path, { limitInputPixels: MAX_PIXELS, sequentialRead: true, autoOrient: true });
      return await freeMegabytes.runExclusive(
        () => process(image.timeout({ seconds: DECODE_TIMEOUT_SECONDS }), header),
        Math.ceil(bytes / 1e6),
      );
    } catch (error) {
      throw translateDecodeError(error, path, options.outputPath);
    }
  });
}

function readHeader(sourceFormat: DecodableFormat, metadata: Metadata) {
  const { format, compression, width, height, autoOrient, hasAlpha, chromaSubsampling } = metadata;
  const isAvif = format === 'heif' && compression === 'av1';
  if (sourceFormat === 'avif' ? !isAvif : format !== sourceFormat)
    throw unreadableImage('its content does not match its first bytes');
  if (width * height > MAX_PIXELS)
    throw unreadableImage(
      `${width} x ${height} pixels are more than the maximum of ${MAX_PIXELS / 1e6} million`,
    );
  return { ...autoOrient, format: sourceFormat, hasAlpha, chromaSubsampling };
}

function tooLargeReason(header: ImageHeader, outputFormat: ImageFormat | null): string {
  const encoding = outputFormat ? ` and encoding it as ${outputFormat}` : '';
  return `decoding a ${header.format} of ${header.width} x ${header.height} pixels${encoding} takes too much memory`;
}

/** sharp throws plain Errors. Any other error is not caused by the image. */
function translateDecodeError(error: unknown, path: string, outputPath: string | undefined): unknown {
  if (!(error instanceof Error) || error.name !== 'Error') return error;
  if (outputPath !== undefined && error.message.includes(outputPath))
    return new StoreUnavailable('a file could not be written to disk', { cause: error });
  const reason = error.message.replaceAll(path, 'the file').replace(/\s+/g, ' ').slice(0, MAX_REASON_LENGTH);
  return unreadableImage(reason, { retryable: MACHINE_ERROR.test(error.message), cause: error });
}

function unreadableImage(
  reason: string,
  { retryable = false, cause }: { retryable?: boolean; cause?: unknown } = {},
): ImageUnavailable {
  return new ImageUnavailable(`The image cannot be read: ${reason}.`, { retryable, cause });
}
