import { rgbaToThumbHash } from 'thumbhash';
import { type PictureFacts } from '../../core/images/image.js';
import { decode } from './decode.js';

/** ThumbHash takes at most 100 x 100 pixels. */
const THUMB_SIDE = 100;

/**
 * Learns what a file is by decoding all of it, whatever its sender called it; of an animation, the first picture. Throws
 * PictureUnavailable when it is none, as `decode` does; a file that cannot be read gives the error of the file system.
 */
export async function inspectPicture(path: string): Promise<Omit<PictureFacts, 'sha256' | 'byteSize'>> {
  return decode(path, { maxWidth: THUMB_SIDE }, async (picture, { kind, width, height }) => {
    const { data, info } = await picture
      .resize(THUMB_SIDE, THUMB_SIDE, { fit: 'inside' })
      .ensureAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const thumbhash = Buffer.from(rgbaToThumbHash(info.width, info.height, data));
    return { width, height, mimeType: `image/${kind}`, thumbhash };
  });
}
