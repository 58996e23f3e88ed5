import { type Sharp } from 'sharp';
import { type ImageFormat } from '../../core/images/image.js';
import { decode, type Header } from './decode.js';

/**
 * Alike to look at: of a 1440 x 1440 picture made of noise in several sizes, JPEG 80 was 388 kB at 33 dB PSNR, WebP 80 was
 * 319 kB at 34 dB and AVIF 50 was 172 kB at 34 dB. They are also sharp's own defaults.
 */
const QUALITY = { jpeg: 80, webp: 80, avif: 50 };
/** A second generation of loss should not be seen: an upload is kept, shown, and edited again. */
const UPLOAD_QUALITY = 92;
/** Below sharp's default of 4: half the time and half the memory for 4 % more bytes. */
const WEBP_EFFORT = 2;
/** Below sharp's default of 4: a quarter of the time for 2 % more bytes. */
const AVIF_EFFORT = 3;
/** What shows through where JPEG knows no transparency. */
const PAPER = '#ffffff';

/**
 * Writes the picture in another form: upright, at most `width` pixels wide, in sRGB, without metadata; of an animation,
 * the first picture. Null keeps its width. Throws PictureUnavailable when it cannot be decoded or is too large for that
 * format at that width, and StoreUnavailable when `toPath` cannot be written; then a part of it may be there.
 */
export async function makeVariant(
  path: string,
  toPath: string,
  width: number | null,
  format: ImageFormat,
): Promise<void> {
  const wish = { format, toPath, ...(width === null ? {} : { maxWidth: width }) };
  await decode(path, wish, async (picture) => {
    const sized = width === null ? picture : picture.resize({ width, withoutEnlargement: true });
    await encode(sized, format).toFile(toPath);
  });
}

/**
 * Writes what somebody uploaded as we keep it: upright, in sRGB with 8 bits, without EXIF, GPS, XMP and profile; JPEG, and
 * WebP without transparency, stay what they are, everything else becomes PNG; of an animation, the first picture. Throws as
 * `makeVariant`.
 */
export async function normaliseUpload(path: string, toPath: string): Promise<void> {
  await decode(path, { format: ownFormat, toPath }, async (picture, header) => {
    await encode(picture, ownFormat(header), {
      quality: UPLOAD_QUALITY,
      chromaSubsampling: header.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4',
    }).toFile(toPath);
  });
}

function ownFormat({ kind, hasAlpha }: Header): ImageFormat {
  if (kind === 'jpeg') return 'jpeg';
  // Transparent WebP takes six times the memory of opaque WebP to write, and is mostly drawings, which PNG keeps exactly.
  return kind === 'webp' && !hasAlpha ? 'webp' : 'png';
}

function encode(
  picture: Sharp,
  format: ImageFormat,
  options: { quality?: number; chromaSubsampling?: string } = {},
): Sharp {
  // sharp writes no metadata and 8 bits of sRGB unless it is asked to.
  switch (format) {
    case 'png':
      return picture.png();
    case 'jpeg':
      // optimiseCoding saves 3 % of the bytes and holds the whole picture in memory for it.
      return picture
        .flatten({ background: PAPER })
        .jpeg({ quality: QUALITY.jpeg, optimiseCoding: false, ...options });
    case 'webp':
      return picture.webp({ quality: options.quality ?? QUALITY.webp, effort: WEBP_EFFORT });
    case 'avif':
      return picture.avif({ quality: QUALITY.avif, effort: AVIF_EFFORT });
  }
}
