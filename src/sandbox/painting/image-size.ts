import { type FluxModel } from '../../core/tasks/models.js';
import { modelSizeOf, nearestSize, parsePixels, parseAspectRatio } from '../../core/tasks/sizes.js';

/** Width and height in pixels. */
export interface ImageSize {
  width: number;
  height: number;
}

/** The longest side of an edit that keeps its source's size. It is the documented maximum of the models with pixel sizes. */
export const EDIT_MAX_SIDE = 1440;
/** Models with aspect ratios produce about one megapixel, in multiples of 16 pixels. */
const RATIO_AREA = 1024 * 1024;
const RATIO_STEP = 16;

/** The pixels of `size` (`WxH` or `W:H`, in a spelling that the model accepts). Null means the model's default size. */
export function resolveImageSize(model: FluxModel, size: string | null): ImageSize {
  const givenSize = size ?? model.defaultSize;
  const requestedSize = modelSizeOf(model, givenSize) ?? nearestSize(model, givenSize) ?? givenSize;
  const pixels = parsePixels(requestedSize);
  if (pixels) return pixels;
  const ratio = parseAspectRatio(requestedSize) ?? { width: 1, height: 1 };
  const scale = Math.sqrt(RATIO_AREA / (ratio.width * ratio.height));
  const fit = (side: number) => Math.round((side * scale) / RATIO_STEP) * RATIO_STEP;
  return { width: fit(ratio.width), height: fit(ratio.height) };
}
