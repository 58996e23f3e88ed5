import { type Metadata } from 'sharp';
import { type ImageFormat } from '../../core/images/image.js';

/**
 * All decodes together. An idle service has about 170 MB; with this it stayed under 360 MB whatever was
 * decoded. glibc must be told to give memory back for that, by MALLOC_ARENA_MAX=2 and
 * MALLOC_MMAP_THRESHOLD_=1048576 in the environment; otherwise it keeps several times as much.
 */
export const DECODING_BYTES = 160_000_000;
/** Lines that are in memory while a picture flows through, whatever its format. */
const LINES_KEPT = 1_900;
/** A low picture is in memory no more often than this. */
const COPIES_KEPT = 5;
const SAMPLE_BYTES = {
  char: 1,
  uchar: 1,
  short: 2,
  ushort: 2,
  int: 4,
  uint: 4,
  float: 4,
  complex: 8,
  double: 8,
  dpcomplex: 16,
};

/** What becomes of a picture: so many pixels, in this form; null: they stay as they are. */
export interface Output {
  pixels: number;
  format: ImageFormat | null;
}

/**
 * How many bytes making `output` of a picture takes at most, by what its header says. The factors were measured with
 * libvips 8.18 on noise, which is the worst for every encoder, and then rounded up.
 */
export function bytesToDecode(picture: Metadata, output: Output): number {
  const { width, height, orientation = 1, space } = picture;
  const lines = Math.min(LINES_KEPT, COPIES_KEPT * height) * width * pixelBytes(picture);
  const frame = width * height * framePixelBytes(picture);
  // Lines come from top to bottom: a picture that is turned must be there as a whole first.
  const turned = orientation > 1 ? output.pixels * pixelBytes(picture) : 0;
  const encoder = output.format ? output.pixels * encoderPixelBytes(output.format, picture.hasAlpha) : 0;
  // Inks go through a colour profile, which keeps as many lines again.
  return lines * (space === 'cmyk' ? 2 : 1) + frame + turned + encoder;
}

/** What a decoder holds for every pixel besides lines: nothing, where the file has the lines in their order. */
function framePixelBytes(picture: Metadata): number {
  switch (picture.format) {
    case 'jpeg':
      // All coefficients, 16 bits each: every scan adds to all of them.
      return picture.isProgressive ? 2 * picture.channels : 0;
    case 'png':
      return picture.isProgressive ? pixelBytes(picture) : 0;
    case 'webp':
      // The pictures of an animation are laid over each other.
      return (picture.pages ?? 1) > 1 ? 12 : 8;
    case 'gif':
      return 6;
    default:
      // AVIF.
      return picture.depth === 'uchar' ? 19 : 24;
  }
}

/** What an encoder holds for every pixel besides lines, as `transform.ts` sets it up. */
function encoderPixelBytes(format: ImageFormat, hasAlpha: boolean): number {
  if (format === 'avif') return hasAlpha ? 50 : 36;
  // Its transparency is kept without loss, by an encoder of its own.
  if (format === 'webp') return hasAlpha ? 34 : 6;
  return 0;
}

function pixelBytes({ channels, depth }: Metadata): number {
  return channels * SAMPLE_BYTES[depth];
}

/** Bytes that are lent to whoever fits in. */
export class MemoryBudget {
  private used = 0;
  private waiting: (() => void)[] = [];

  constructor(private readonly bytes: number) {}

  /** Runs the work as soon as so many bytes are free; what needs more than all of them runs alone. Rejects as it does. */
  async lend<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    while (this.used > 0 && this.used + bytes > this.bytes)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.used += bytes;
    try {
      return await work();
    } finally {
      this.used -= bytes;
      for (const wake of this.waiting.splice(0)) wake();
    }
  }
}
