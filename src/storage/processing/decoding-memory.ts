import { type Metadata } from 'sharp';
import { type ImageFormat } from '../../core/images/image.js';

/**
 * Memory for all decodes together. An idle service uses about 170 MB. With this limit it stayed below 360 MB whatever was
 * decoded. That requires MALLOC_ARENA_MAX=2 and MALLOC_MMAP_THRESHOLD_=1048576 in the environment; without them glibc
 * keeps several times as much.
 */
export const DECODING_MEMORY_BYTES = 160_000_000;
/**
 * The part of it that one upload or variant may take. The rest is enough for a WebP of 4 megapixels with transparency, also at
 * 21:9, of which a row takes most. No model makes larger images, so a paid image never waits for it.
 */
export const UNPAID_DECODING_MEMORY_BYTES = 110_000_000;
/**
 * Memory for one decode in a process of its own, which uses about 60 MB in addition and so stays below 400 MB.
 */
export const LARGE_DECODING_MEMORY_BYTES = 310_000_000;
/** Rows in memory while an image is streamed through the decoder, whatever its format. */
const MAX_BUFFERED_ROWS = 1_900;
/** An image with few rows is in memory at most this many times. */
const MAX_BUFFERED_COPIES = 5;

/**
 * Estimates the most memory, in bytes, that producing `output` from an image takes, based on the image's header. The factors
 * were measured with libvips 8.18 on noise, which is the worst case for every encoder, and then rounded up. The output's format
 * is null when the image is not encoded again.
 */
export function estimateDecodingBytes(
  metadata: Metadata,
  output: { pixels: number; format: ImageFormat | null },
): number {
  const { width, height, orientation = 1, space } = metadata;
  const rowBytes =
    Math.min(MAX_BUFFERED_ROWS, MAX_BUFFERED_COPIES * height) * width * bytesPerPixel(metadata);
  const fullFrameBytes = width * height * frameBytesPerPixel(metadata);
  const frameBytes =
    metadata.format === 'webp'
      ? Math.min(fullFrameBytes, scaledWebpBytes(metadata, output.pixels))
      : fullFrameBytes;
  // Rows are decoded from top to bottom, so rotating needs the whole image in memory.
  const rotationBytes = orientation > 1 ? output.pixels * bytesPerPixel(metadata) : 0;
  const encoderBytes = output.format ? output.pixels * encoderBytesPerPixel(output.format, metadata) : 0;
  // CMYK is converted by a color profile, which keeps the same number of rows again.
  return rowBytes * (space === 'cmyk' ? 2 : 1) + frameBytes + rotationBytes + encoderBytes;
}

/** What a decoder keeps for every pixel in addition to the rows. Nothing when the file stores the rows in order. */
function frameBytesPerPixel(metadata: Metadata): number {
  switch (metadata.format) {
    case 'jpeg':
      // All coefficients of 16 bits each, because every scan refines all of them.
      return metadata.isProgressive ? 2 * metadata.channels : 0;
    case 'png':
      return metadata.isProgressive ? bytesPerPixel(metadata) : 0;
    case 'webp':
      // The frames of an animation are composited.
      if (isAnimated(metadata)) return 12;
      // One of them for the file, which is mapped into memory.
      return metadata.hasAlpha ? 10 : 9;
    case 'gif':
      return 6;
    default:
      // AVIF.
      return metadata.depth === 'uchar' ? 19 : 24;
  }
}

/** The decoder of WebP scales row by row, except that a lossless one keeps all pixels. */
function scaledWebpBytes(metadata: Metadata, pixels: number): number {
  return isAnimated(metadata) ? Infinity : 6 * metadata.width * metadata.height + 9 * pixels;
}

function isAnimated({ pages = 1 }: Metadata): boolean {
  return pages > 1;
}

/** What an encoder keeps for every pixel in addition to the rows, with the settings of `encode.ts`. */
function encoderBytesPerPixel(format: ImageFormat, { hasAlpha }: Metadata): number {
  if (format === 'avif') return hasAlpha ? 50 : 36;
  // Transparency goes through a separate, lossless encoder.
  if (format === 'webp') return hasAlpha ? 34 : 6;
  return 0;
}

/** The accepted formats have 8 or 16 bits per channel. */
function bytesPerPixel({ channels, depth }: Metadata): number {
  return channels * (depth === 'uchar' ? 1 : 2);
}
