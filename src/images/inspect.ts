import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import { PictureUnavailable } from '../core/errors.js';
import { type PictureFacts } from '../core/image.js';

/** Pictures with more pixels than this are refused before they are decoded: 100 megapixels are 400 MB in memory. */
const MAX_PIXELS = 100_000_000;
/** ThumbHash takes at most 100 x 100 pixels. */
const THUMB_SIDE = 100;
const MIME_TYPES: Record<string, string> = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  heif: 'image/avif',
  avif: 'image/avif',
};

/** Learns what the bytes are by decoding them, whatever their sender called them. Throws PictureUnavailable. */
export async function inspectPicture(bytes: Buffer): Promise<PictureFacts> {
  try {
    const picture = sharp(bytes, { limitInputPixels: MAX_PIXELS });
    const { format, autoOrient } = await picture.metadata();
    const mimeType = MIME_TYPES[format];
    if (!mimeType)
      throw new Error(`its format, ${format}, is not one of ${Object.keys(MIME_TYPES).join(' ')}`);
    const thumb = await picture
      .autoOrient()
      .resize(THUMB_SIDE, THUMB_SIDE, { fit: 'inside' })
      .ensureAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return {
      width: autoOrient.width,
      height: autoOrient.height,
      mimeType,
      byteSize: bytes.length,
      sha256: createHash('sha256').update(bytes).digest(),
      thumbhash: Buffer.from(rgbaToThumbHash(thumb.info.width, thumb.info.height, thumb.data)),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PictureUnavailable(`What the link gave is not a picture that can be read: ${reason}.`, false, {
      cause: error,
    });
  }
}
