import { type FluxModel, type PixelSizeConstraints } from './models.js';

/** Area in pixels that a model with aspect ratios makes, and of the size that is suggested for an aspect ratio. */
const USUAL_AREA = 1024 * 1024;
/** How far from the usual area a size in pixels may be to mean the same as its aspect ratio. */
const AREA_TOLERANCE = 0.25;

interface Dimensions {
  width: number;
  height: number;
}

/** Width and height of a size such as `1024x768`. Null when the text has another form. */
export function parsePixels(size: string): Dimensions | null {
  return parseDimensions(size, /^([1-9]\d{0,5})x([1-9]\d{0,5})$/);
}

/** The two numbers of an aspect ratio such as `16:9`. Null when the text has another form. */
export function parseAspectRatio(size: string): Dimensions | null {
  return parseDimensions(size, /^(\d{1,4}):(\d{1,4})$/);
}

/**
 * The size as the model's own table spells it: unchanged, or in the other spelling when that means the same. Pixels and an
 * aspect ratio mean the same when the ratio is exact and the area is about a megapixel: `1024x1024` is `1:1`. Null when the model
 * does not take the size.
 */
export function modelSizeOf(model: FluxModel, size: string): string | null {
  if (ratiosOf(model).includes(size)) return size;
  const pixels = parsePixels(size);
  if (!model.pixelSizes) return pixels && hasUsualArea(pixels) ? exactAspectRatio(model, pixels) : null;
  if (pixels) return isAllowed(model.pixelSizes, pixels) ? size : null;
  const ratio = parseAspectRatio(size);
  const exact = ratio && exactPixels(model.pixelSizes, ratio);
  return exact && formatDimensions(exact);
}

/** The aspect ratio of the model that the pixels have exactly, whatever their area. Null when there is none. */
function exactAspectRatio(model: FluxModel, pixels: Dimensions): string | null {
  return ratiosOf(model).find((text) => hasRatio(pixels, parseAspectRatio(text))) ?? null;
}

/** A size in both spellings. Null: it cannot be spelled so. */
export interface SizeSpellings {
  ratio: string | null;
  pixels: string | null;
  /** The one that keeps everything that the size says: pixels of an unusual area say more than their ratio. */
  preferred: 'ratio' | 'pixels';
}

/**
 * The spellings of a size for a model that may take either. The ratio of pixels is null unless it is exact. The pixels of a ratio
 * may differ from it a little.
 */
export function spellingsOf(model: FluxModel, size: string): SizeSpellings {
  const pixels = parsePixels(size);
  if (pixels) {
    const ratio = exactAspectRatio(model, pixels);
    return { ratio, pixels: size, preferred: ratio !== null && hasUsualArea(pixels) ? 'ratio' : 'pixels' };
  }
  const ratio = parseAspectRatio(size);
  if (!ratio || !model.pixelSizes) return { ratio: size, pixels: null, preferred: 'ratio' };
  const nearest = exactPixels(model.pixelSizes, ratio) ?? nearestPixels(model.pixelSizes, scaleToArea(ratio));
  return { ratio: size, pixels: formatDimensions(nearest), preferred: 'ratio' };
}

/** Why `model` does not take `size`, with the nearest size that it takes. Null when it takes the size. */
export function sizeError(model: FluxModel, size: string): string | null {
  if (modelSizeOf(model, size) !== null) return null;
  return model.pixelSizes ? pixelSizeError(model, model.pixelSizes, size) : aspectRatioError(model, size);
}

/**
 * The size that the model takes and whose shape is nearest to the given one: a ratio becomes about a megapixel, and pixels out of
 * range are scaled into it. Null when the text is not a size.
 */
export function nearestSize(model: FluxModel, size: string): string | null {
  const ratio = parseAspectRatio(size);
  const dimensions = ratio ?? parsePixels(size);
  if (!dimensions) return null;
  if (!model.pixelSizes) return closestAspectRatio(model.aspectRatios, dimensions);
  const exact = exactAspectRatio(model, dimensions);
  if (exact) return exact;
  return formatDimensions(nearestPixels(model.pixelSizes, ratio ? scaleToArea(ratio) : dimensions));
}

/** The aspect ratio of the model that is nearest to an image's. Null for a model that takes pixels only. */
export function nearestRatio(model: FluxModel, width: number, height: number): string | null {
  const ratios = ratiosOf(model);
  return ratios.length > 0 ? closestAspectRatio(ratios, { width, height }) : null;
}

function ratiosOf({ aspectRatios, alsoAspectRatios }: FluxModel): readonly string[] {
  return aspectRatios.length > 0 ? aspectRatios : alsoAspectRatios;
}

function aspectRatioError(model: FluxModel, size: string): string {
  const dimensions = parseAspectRatio(size) ?? parsePixels(size);
  const accepted = `${model.name} takes one of the aspect ratios ${model.aspectRatios.join(' ')}`;
  return dimensions
    ? `${accepted}. The closest to ${size} is ${closestAspectRatio(model.aspectRatios, dimensions)}.`
    : `"${size.slice(0, 50)}" is not a size. ${accepted}.`;
}

function pixelSizeError(model: FluxModel, rule: PixelSizeConstraints, size: string): string {
  const { minSide, maxSide, multipleOf } = rule;
  const pixels = `WIDTHxHEIGHT in pixels, each side from ${minSide} to ${maxSide} and a multiple of ${multipleOf}`;
  const ratios = model.alsoAspectRatios.join(' ');
  const accepted = `${model.name} takes ${pixels}${ratios && `, or one of the aspect ratios ${ratios}`}`;
  if (parseAspectRatio(size))
    return `${accepted}. For ${size}, use ${nearestSize(model, size) ?? model.defaultSize}.`;
  const dimensions = parsePixels(size);
  if (!dimensions) return `"${size.slice(0, 50)}" is not a size. ${accepted}, such as ${model.defaultSize}.`;
  const down = formatDimensions(
    mapDimensions(dimensions, (side) => roundToAllowedSide(rule, side, Math.floor)),
  );
  const up = formatDimensions(mapDimensions(dimensions, (side) => roundToAllowedSide(rule, side, Math.ceil)));
  return `${accepted}. The nearest to ${size} is ${down === up ? down : `${down} or ${up}`}.`;
}

function parseDimensions(size: string, pattern: RegExp): Dimensions | null {
  const [, width, height] = pattern.exec(size) ?? [];
  const dimensions = { width: Number(width), height: Number(height) };
  return dimensions.width > 0 && dimensions.height > 0 ? dimensions : null;
}

function closestAspectRatio(ratios: readonly string[], dimensions: Dimensions): string {
  const distance = (ratio: string) => {
    const parsed = parseAspectRatio(ratio);
    return parsed
      ? Math.abs(Math.log((parsed.width * dimensions.height) / (parsed.height * dimensions.width)))
      : Infinity;
  };
  return ratios.reduce((best, ratio) => (distance(ratio) < distance(best) ? ratio : best));
}

/** The allowed pixels with exactly this ratio and the area nearest to the usual one. Null when none has about that area. */
function exactPixels(rule: PixelSizeConstraints, ratio: Dimensions): Dimensions | null {
  const divisor = greatestCommonDivisor(ratio.width, ratio.height);
  const unit = mapDimensions(ratio, (side) => (side / divisor) * rule.multipleOf);
  const multiple = Math.sqrt(USUAL_AREA / (unit.width * unit.height));
  const candidates = [Math.floor(multiple), Math.ceil(multiple)]
    .map((factor) => mapDimensions(unit, (side) => side * factor))
    .filter((pixels) => isAllowed(rule, pixels) && hasUsualArea(pixels))
    .sort((one, other) => distanceToUsualArea(one) - distanceToUsualArea(other));
  return candidates[0] ?? null;
}

function isAllowed({ minSide, maxSide, multipleOf }: PixelSizeConstraints, pixels: Dimensions): boolean {
  const fits = (side: number) => side >= minSide && side <= maxSide && side % multipleOf === 0;
  return fits(pixels.width) && fits(pixels.height);
}

function hasUsualArea(pixels: Dimensions): boolean {
  return distanceToUsualArea(pixels) <= USUAL_AREA * AREA_TOLERANCE;
}

function distanceToUsualArea({ width, height }: Dimensions): number {
  return Math.abs(width * height - USUAL_AREA);
}

function hasRatio({ width, height }: Dimensions, ratio: Dimensions | null): boolean {
  return ratio !== null && width * ratio.height === height * ratio.width;
}

function scaleToArea(ratio: Dimensions): Dimensions {
  const scale = Math.sqrt(USUAL_AREA / (ratio.width * ratio.height));
  return mapDimensions(ratio, (side) => side * scale);
}

/** Scales the sides into the range and keeps the ratio, unless the ratio is too long for the range. */
function scaleIntoRange({ minSide, maxSide }: PixelSizeConstraints, dimensions: Dimensions): Dimensions {
  const shorter = Math.min(dimensions.width, dimensions.height);
  const longer = Math.max(dimensions.width, dimensions.height);
  const scale = Math.min(maxSide / longer, Math.max(1, minSide / shorter));
  return mapDimensions(dimensions, (side) => side * scale);
}

function nearestPixels(rule: PixelSizeConstraints, dimensions: Dimensions): Dimensions {
  const scaled = scaleIntoRange(rule, dimensions);
  return mapDimensions(scaled, (side) => roundToAllowedSide(rule, side, Math.round));
}

function roundToAllowedSide(
  rule: PixelSizeConstraints,
  side: number,
  round: (value: number) => number,
): number {
  const multiple = round(side / rule.multipleOf) * rule.multipleOf;
  return Math.min(rule.maxSide, Math.max(rule.minSide, multiple));
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}

function mapDimensions(dimensions: Dimensions, change: (side: number) => number): Dimensions {
  return { width: change(dimensions.width), height: change(dimensions.height) };
}

function formatDimensions(dimensions: Dimensions): string {
  return `${dimensions.width}x${dimensions.height}`;
}
