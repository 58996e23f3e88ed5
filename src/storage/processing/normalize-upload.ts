import { type ImageFormat } from '../../core/images/image.js';
import { decode, type ImageHeader } from './decode.js';
import { type DecodeTurn } from './decoders.js';
import { encode } from './encode.js';
import { withLargeImages } from './large-images.js';

/** High, because uploads are encoded a second time and may be edited again. */
const UPLOAD_QUALITY = 92;
/** A JPEG is written row by row. Decoding a larger WebP and encoding it as one again would take more memory than either. */
const MAX_WEBP_PIXELS = 8_000_000;

/**
 * Writes an uploaded image in the form that is stored: upright, in 8-bit sRGB, without EXIF, GPS, XMP and color profile. JPEG
 * and opaque WebP keep their format, except that a large WebP becomes JPEG, and everything else becomes PNG. Uses the first
 * frame of an animation. Refuses a damaged image of which browsers do not show everything. Throws like `createVariant`.
 */
export async function normalizeUpload(path: string, outputPath: string, turn?: DecodeTurn): Promise<void> {
  const options = { turn, format: uploadFormat, outputPath, mustBeWhole: true };
  await withLargeImages({ name: 'normalizeUpload', args: [path, outputPath, turn] }, () =>
    decode(path, options, async (image, header) => {
      await encode(image, uploadFormat(header), {
        quality: UPLOAD_QUALITY,
        chromaSubsampling: header.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4',
      }).toFile(outputPath);
    }),
  );
}

function uploadFormat({ format, hasAlpha, width, height }: ImageHeader): ImageFormat {
  if (format === 'jpeg') return 'jpeg';
  // Transparent WebP needs six times the memory of opaque WebP to encode. It is mostly used for drawings, which suit PNG.
  if (format !== 'webp' || hasAlpha) return 'png';
  return width * height > MAX_WEBP_PIXELS ? 'jpeg' : 'webp';
}
