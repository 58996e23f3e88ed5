import { dirname, sep } from 'node:path';
import { Semaphore } from 'async-mutex';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { type ImageFormat } from '../../core/images/image.js';
import { requireFreeSpaceIn } from '../incoming-files.js';
import { measureFile } from '../write-stream.js';
import { STRICT_FAIL_ON, type FailOn, isShownWhole } from './damage.js';
import { Decoders, NO_WORKSPACE, type DecodeTurn } from './decoders.js';
import {
  DECODING_MEMORY_BYTES,
  estimateDecodingBytes,
  LARGE_DECODING_MEMORY_BYTES,
  UNPAID_DECODING_MEMORY_BYTES,
} from './decoding-memory.js';
import { MAX_SIDES } from './encode.js';
import { detectFileFormat, DECODABLE_FORMATS, type DecodableFormat } from './image-format.js';
import { NeedsOwnProcess } from './large-images.js';

/** Larger images are not photographs, and take seconds to decode even row by row. */
const MAX_PIXELS = 100_000_000;
const DECODE_TIMEOUT_SECONDS = 60;
const MAX_REASON_LENGTH = 200;
/** A PNG with transparency that cannot be compressed. */
const MAX_OUTPUT_BYTES_PER_PIXEL = 4;

// A cache would only waste memory, because no file is decoded twice. Every additional thread would need its own rows.
sharp.cache(false);
sharp.concurrency(1);

const decoders = new Decoders();
/** The most for one decode, of a paid image and of another one. */
let maxBytes = { paid: DECODING_MEMORY_BYTES, unpaid: UNPAID_DECODING_MEMORY_BYTES };
/** Counts megabytes, because a release takes the semaphore time in proportion to its free units. */
const freeMegabytes = new Semaphore(Math.floor(DECODING_MEMORY_BYTES / 1e6));

/** For a process that does nothing else: lets `decode` take more memory. */
export function decodeLargeImages(): void {
  maxBytes = { paid: LARGE_DECODING_MEMORY_BYTES, unpaid: LARGE_DECODING_MEMORY_BYTES };
  freeMegabytes.setValue(Math.floor(LARGE_DECODING_MEMORY_BYTES / 1e6));
}

/** An image's header. Width and height apply after the EXIF rotation, and `chromaSubsampling` is only set for JPEG. */
export type ImageHeader = ReturnType<typeof readHeader>;

/** What the caller will produce. Without `maxWidth` the image keeps its width; without `format` it is not encoded again. */
interface DecodeOptions {
  turn?: DecodeTurn;
  maxWidth?: number | null;
  format?: (header: ImageHeader) => ImageFormat;
  /** The file that `process` writes. A failure is the disk's if decoding alone succeeds. */
  outputPath?: string;
  /** Refuse a damaged image of which browsers do not show everything. By default all is decoded that can be. */
  mustBeWhole?: boolean;
}

/**
 * Decodes an image and passes it, rotated upright, to `process`. All decoding goes through this function. It checks the first
 * bytes, waits for its turn for a slot (two per process, one of them for paid images), checks the header, and waits until enough
 * memory is free. `process` may be called again.
 *
 * Throws ImageUnavailable when the file is not an accepted image, is damaged, or is too large for `options`. It is retryable
 * only if decoding took more than 60 s. Throws NeedsOwnProcess when only such a process has the memory. Throws
 * StoreUnavailable when a file cannot be read or written. Which of them it is depends on the step that fails, because the
 * messages of libvips name files whatever the reason.
 */
export async function decode<T>(
  path: string,
  options: DecodeOptions,
  process: (image: Sharp, header: ImageHeader) => Promise<T>,
): Promise<T> {
  const sourceFormat = await detectFileFormat(path);
  if (!sourceFormat) throw unreadableImage(`its format must be one of ${DECODABLE_FORMATS.join(', ')}`);
  return decoders.run(options.turn ?? NO_WORKSPACE, async () => {
    const metadata = await sharp(path, { limitInputPixels: false, failOn: 'none' })
      .metadata()
      .catch((error: unknown) => rethrowDecodeError(error, path, { format: sourceFormat }));
    const header = readHeader(sourceFormat, metadata);
    const bytes = requiredMemory(metadata, header, options);
    const attempt = async (failOn: FailOn): Promise<T> => {
      const startedAt = performance.now();
      try {
        return await process(openImage(path, { failOn }), header);
      } catch (error) {
        const isTimeout = performance.now() - startedAt >= DECODE_TIMEOUT_SECONDS * 1_000;
        const mayBeDisk = options.outputPath !== undefined && isSharpError(error) && !isTimeout;
        if (mayBeDisk && (await isDecodable(openImage(path, { failOn }))))
          throw new StoreUnavailable('a file could not be written to disk', { cause: error });
        return rethrowDecodeError(error, path, { format: sourceFormat, isTimeout });
      }
    };
    return freeMegabytes.runExclusive(
      async () => {
        await requireSpaceForOutput(header, options);
        if (!options.mustBeWhole) return attempt('none');
        try {
          return await attempt(STRICT_FAIL_ON[sourceFormat]);
        } catch (error) {
          if (!(error instanceof ImageUnavailable) || error.retryable) throw error;
          if (!(await isShownWhole(path, sourceFormat, openImage))) throw error;
          return attempt('none');
        }
      },
      Math.ceil(bytes / 1e6),
    );
  });
}

/** Opens a file for reading its rows from top to bottom. */
function openImage(path: string, options: { failOn: FailOn; autoOrient?: boolean }): Sharp {
  const common = { limitInputPixels: MAX_PIXELS, sequentialRead: true, autoOrient: true } as const;
  return sharp(path, { ...common, ...options }).timeout({ seconds: DECODE_TIMEOUT_SECONDS });
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

/** Throws when it is more than all decodes may use together, or when the output's format cannot hold the image. */
function requiredMemory(metadata: Metadata, header: ImageHeader, options: DecodeOptions): number {
  const format = options.format?.(header) ?? null;
  const scale = Math.min(1, (options.maxWidth ?? header.width) / header.width);
  const bytes = estimateDecodingBytes(metadata, {
    pixels: header.width * header.height * scale ** 2,
    format,
  });
  if (bytes > LARGE_DECODING_MEMORY_BYTES) {
    const maxMegapixels = (header.width * header.height * LARGE_DECODING_MEMORY_BYTES) / bytes / 1e6;
    throw unreadableImage(tooLargeReason(header, format), {
      advice: adviceFor(options, Math.floor(maxMegapixels)),
    });
  }
  if (bytes > (options.turn?.isPaid ? maxBytes.paid : maxBytes.unpaid))
    throw new NeedsOwnProcess(tooLargeReason(header, format));
  const longestSide = Math.max(header.width, header.height) * scale;
  if (format && longestSide > MAX_SIDES[format])
    throw unreadableImage(
      `a ${format} has at most ${MAX_SIDES[format]} pixels per side, and this would have ${Math.round(longestSide)}`,
    );
  return bytes;
}

/** In its turn, because others that wait for theirs have written nothing yet. */
async function requireSpaceForOutput(
  { width, height }: ImageHeader,
  { outputPath, maxWidth }: DecodeOptions,
): Promise<void> {
  if (outputPath === undefined) return;
  const scale = Math.min(1, (maxWidth ?? width) / width);
  await requireFreeSpaceIn(dirname(outputPath), width * height * scale ** 2 * MAX_OUTPUT_BYTES_PER_PIXEL);
}

function tooLargeReason(header: ImageHeader, outputFormat: ImageFormat | null): string {
  const encoding = outputFormat ? ` and encoding it as ${outputFormat}` : '';
  return `decoding a ${header.format} of ${header.width} x ${header.height} pixels${encoding} takes too much memory`;
}

/** What whoever chose the image or the variant can do. */
function adviceFor(options: DecodeOptions, maxMegapixels: number): string | undefined {
  if (options.maxWidth === undefined)
    return `Make it smaller than ${maxMegapixels} megapixels, or save it as a JPEG that is not progressive.`;
  return options.format && 'Request a smaller width, or a JPEG or PNG.';
}

/** sharp throws plain Errors. Any other error is not caused by the image. */
function isSharpError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'Error';
}

/** Whether the image can be decoded and converted without writing a file. */
async function isDecodable(image: Sharp): Promise<boolean> {
  const tiny = image.resize(8, 8, { fit: 'fill' }).toColourspace('srgb').raw();
  return tiny.toBuffer().then(
    () => true,
    () => false,
  );
}

/** Blames the image for an error of sharp, unless its file cannot be read. */
async function rethrowDecodeError(
  error: unknown,
  path: string,
  { format, isTimeout = false }: { format: DecodableFormat; isTimeout?: boolean },
): Promise<never> {
  if (!isSharpError(error)) throw error;
  if (isTimeout)
    throw unreadableImage(`decoding took more than ${DECODE_TIMEOUT_SECONDS} s`, {
      retryable: true,
      cause: error,
    });
  await measureFile(path);
  const details = withoutPaths(error.message, path).replace(/\s+/g, ' ').slice(0, MAX_REASON_LENGTH);
  throw unreadableImage(`the ${format} is damaged or incomplete (${details})`, { cause: error });
}

/** libvips has one list of errors for the process, so the message may also name a file that is decoded at the same time. */
function withoutPaths(message: string, path: string): string {
  const [start = '', ...parts] = message.split(dirname(path) + sep);
  return [start, ...parts.map((part) => part.replace(/^[^\s:]+/, 'the file'))].join('');
}

function unreadableImage(
  reason: string,
  { retryable = false, cause, advice }: { retryable?: boolean; cause?: unknown; advice?: string } = {},
): ImageUnavailable {
  const sentences = [`The image cannot be read: ${reason}.`, ...(advice ? [advice] : [])];
  return new ImageUnavailable(sentences.join(' '), { retryable, cause });
}
