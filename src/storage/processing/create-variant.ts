import { type ImageFormat } from '../../core/images/image.js';
import { decode } from './decode.js';
import { type DecodeTurn } from './decoders.js';
import { encode } from './encode.js';
import { withLargeImages } from './large-images.js';

/**
 * Writes a variant of an image: upright, at most `width` pixels wide (null keeps the width), in sRGB, without metadata. Uses
 * the first frame of an animation, and of a damaged image what can be decoded. Throws ImageUnavailable when the image cannot be
 * decoded or is too large for this format and width, and StoreUnavailable when `outputPath` cannot be written; a part of the
 * file may exist then.
 */
export async function createVariant(
  path: string,
  outputPath: string,
  variant: { width: number | null; format: ImageFormat; turn?: DecodeTurn },
): Promise<void> {
  const { width, format, turn } = variant;
  const options = { turn, format: () => format, maxWidth: width, outputPath };
  await withLargeImages({ name: 'createVariant', args: [path, outputPath, variant] }, () =>
    decode(path, options, async (image) => {
      const resized = width === null ? image : image.resize({ width, withoutEnlargement: true });
      await encode(resized, format).toFile(outputPath);
    }),
  );
}
