import { type FluxModel, type PixelSizeConstraints } from './models.js';

/** Area in pixels of the size that is suggested for an aspect ratio. */
const SUGGESTED_AREA = 1024 * 1024;

interface Dimensions {
  width: number;
  height: number;
}

/** Width and height of a size such as `1024x768`. Null when the text has another form. */
export function parsePixels(size: string): Dimensions | null {
  return parseDimensions(size, /^(\d{1,6})x(\d{1,6})$/);
}

/** The two numbers of an aspect ratio such as `16:9`. Null when the text has another form. */
export function parseAspectRatio(size: string): Dimensions | null {
  return parseDimensions(size, /^(\d{1,4}):(\d{1,4})$/);
}

/** Why `model` does not accept `size`, with the nearest size that it accepts. Null when it accepts the size. */
export function sizeError(model: FluxModel, size: string): string | null {
  return model.pixelSizes ? pixelSizeError(model, model.pixelSizes, size) : aspectRatioError(model, size);
}

function aspectRatioError(model: FluxModel, size: string): string | null {
  if (model.aspectRatios.includes(size)) return null;
  const dimensions = parseAspectRatio(size) ?? parsePixels(size);
  const accepted = `${model.name} takes one of the aspect ratios ${model.aspectRatios.join(' ')}`;
  return dimensions
    ? `${accepted}. The closest to ${size} is ${closestAspectRatio(model.aspectRatios, dimensions)}.`
    : `"${size.slice(0, 50)}" is not a size. ${accepted}.`;
}

function pixelSizeError(model: FluxModel, rule: PixelSizeConstraints, size: string): string | null {
  const { minSide, maxSide, multipleOf } = rule;
  const accepted = `${model.name} takes WIDTHxHEIGHT in pixels, each side from ${minSide} to ${maxSide} and a multiple of ${multipleOf}`;
  const ratio = parseAspectRatio(size);
  if (ratio) return `${accepted}. For ${size}, use ${formatDimensions(scaleToArea(rule, ratio))}.`;
  const dimensions = parsePixels(size);
  if (!dimensions) return `"${size.slice(0, 50)}" is not a size. ${accepted}, such as ${model.defaultSize}.`;
  const down = mapDimensions(dimensions, (side) => roundToAllowedSide(rule, side, Math.floor));
  const up = mapDimensions(dimensions, (side) => roundToAllowedSide(rule, side, Math.ceil));
  if (formatDimensions(down) === size) return null;
  const nearest =
    formatDimensions(down) === formatDimensions(up)
      ? formatDimensions(down)
      : `${formatDimensions(down)} or ${formatDimensions(up)}`;
  return `${accepted}. The nearest to ${size} is ${nearest}.`;
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

function scaleToArea(rule: PixelSizeConstraints, ratio: Dimensions): Dimensions {
  const scale = Math.sqrt(SUGGESTED_AREA / (ratio.width * ratio.height));
  return mapDimensions(ratio, (side) => roundToAllowedSide(rule, side * scale, Math.round));
}

function roundToAllowedSide(
  rule: PixelSizeConstraints,
  side: number,
  round: (value: number) => number,
): number {
  const multiple = round(side / rule.multipleOf) * rule.multipleOf;
  return Math.min(rule.maxSide, Math.max(rule.minSide, multiple));
}

function mapDimensions(dimensions: Dimensions, change: (side: number) => number): Dimensions {
  return { width: change(dimensions.width), height: change(dimensions.height) };
}

function formatDimensions(dimensions: Dimensions): string {
  return `${dimensions.width}x${dimensions.height}`;
}
