import { type FluxModel } from '../../core/tasks/models.js';
import { parsePixels, parseRatio } from '../../core/tasks/sizes.js';

/** Pixels. */
export interface Sides {
  width: number;
  height: number;
}

/** The longest side of an edit that keeps its source's own size: the longest that the pixel models document. */
export const EDIT_MAX_SIDE = 1440;
/** What the ratio models make: about one megapixel, in steps that their image codec works in. */
const RATIO_AREA = 1024 * 1024;
const RATIO_STEP = 16;

/** The pixels of a picture of `size` (`WxH` or `W:H`, valid for the model), or of the model's own size for null. */
export function pictureSides(model: FluxModel, size: string | null): Sides {
  const wanted = size ?? model.defaultSize;
  const pixels = parsePixels(wanted);
  if (pixels) return pixels;
  const ratio = parseRatio(wanted) ?? { width: 1, height: 1 };
  const scale = Math.sqrt(RATIO_AREA / (ratio.width * ratio.height));
  const fit = (side: number) => Math.round((side * scale) / RATIO_STEP) * RATIO_STEP;
  return { width: fit(ratio.width), height: fit(ratio.height) };
}
