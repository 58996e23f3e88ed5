import { type Sharp } from 'sharp';
import { type ImageFormat } from '../../core/images/image.js';
import { decode, type ImageHeader } from './decode.js';

/**
 * Visually equal: for a 1440 x 1440 image of noise at several scales, JPEG 80 was 388 kB at 33 dB PSNR, WebP 80 was 319 kB at
 * 34 dB, and AVIF 50 was 172 kB at 34 dB. They are also sharp's defaults.
 */
const QUALITY = { jpeg: 80, webp: 80, avif: 50 };
/** Below sharp's default of 4. Takes half the time and memory for 4 % more bytes. */
const WEBP_EFFORT = 2;
/** Below sharp's default of 4. Takes a quarter of the time for 2 % more bytes. */
const AVIF_EFFORT = 3;
/** Replaces transparency in JPEG. */
const BACKGROUND_COLOR = '#ffffff';

/** High, because uploads are encoded a second time and may be edited again. */
const UPLOAD_QUALITY = 92;

/**
 * Writes a variant of an image: upright, at most `width` pixels wide (null keeps the width), in sRGB, without metadata. Uses
 * the first frame of an animation. Throws ImageUnavailable when the image cannot be decoded or is too large for this format
 * and width, and StoreUnavailable when `outputPath` cannot be written; a part of the file may exist then.
 */
export async function createVariant(
  path: string,
  outputPath: string,
  { width, format }: { width: number | null; format: ImageFormat },
): Promise<void> {
  await decode(path, { format: () => format, outputPath, maxWidth: width }, async (image) => {
    const resized = width === null ? image : image.resize({ width, withoutEnlargement: true });
    await encode(resized, format).toFile(outputPath);
  });
}

/**
 * Writes an uploaded image in the form that is stored: upright, in 8-bit sRGB, without EXIF, GPS, XMP and colour profile. JPEG
 * and opaque WebP keep their format, and everything else becomes PNG. Uses the first frame of an animation. Throws like
 * `createVariant`.
 */
export async function normalizeUpload(path: string, outputPath: string): Promise<void> {
  await decode(path, { format: uploadFormat, outputPath }, async (image, header) => {
    await encode(image, uploadFormat(header), {
      quality: UPLOAD_QUALITY,
      chromaSubsampling: header.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4',
    }).toFile(outputPath);
  });
}

function uploadFormat({ format, hasAlpha }: ImageHeader): ImageFormat {
  if (format === 'jpeg') return 'jpeg';
  // Transparent WebP needs six times the memory of opaque WebP to encode. It is mostly used for drawings, which suit PNG.
  return format === 'webp' && !hasAlpha ? 'webp' : 'png';
}

/** Encodes an image for the store. Writes no metadata: EXIF, GPS, XMP and the colour profile are left out. */
function encode(
  image: Sharp,
  format: ImageFormat,
  options: { quality?: number; chromaSubsampling?: string } = {},
): Sharp {
  // By default sharp writes 8-bit sRGB without metadata.
  switch (format) {
    case 'png':
      return image.png();
    case 'jpeg':
      // optimiseCoding would save 3 % of the bytes, but keeps the whole image in memory.
      return image
        .flatten({ background: BACKGROUND_COLOR })
        .jpeg({ quality: QUALITY.jpeg, optimiseCoding: false, ...options });
    case 'webp':
      return image.webp({ quality: options.quality ?? QUALITY.webp, effort: WEBP_EFFORT });
    case 'avif':
      return image.avif({ quality: QUALITY.avif, effort: AVIF_EFFORT });
  }
}
