import { rgbaToThumbHash } from 'thumbhash';
import { type DecodedProperties } from '../../core/images/image.js';
import { decode } from './decode.js';
import { type DecodeTurn } from './decoders.js';
import { withLargeImages } from './large-images.js';

/** ThumbHash takes at most 100 x 100 pixels. */
const THUMBHASH_MAX_SIDE = 100;

/**
 * Reads an image's properties by decoding all of it, whatever its name or declared type. Uses the first frame of an
 * animation, and of a damaged image what can be decoded. Throws like `decode`.
 */
export async function inspectImage(path: string, turn?: DecodeTurn): Promise<DecodedProperties> {
  return withLargeImages({ name: 'inspectImage', args: [path, turn] }, () =>
    decode(path, { turn, maxWidth: THUMBHASH_MAX_SIDE }, async (image, { format, width, height }) => {
      const { data, info } = await image
        .resize(THUMBHASH_MAX_SIDE, THUMBHASH_MAX_SIDE, { fit: 'inside' })
        .ensureAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer({ resolveWithObject: true });
      const thumbhash = Buffer.from(rgbaToThumbHash(info.width, info.height, data));
      return { width, height, mimeType: `image/${format}`, thumbhash, decodeError: null };
    }),
  );
}
