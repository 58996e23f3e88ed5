import { type FluxModel, type PixelRule } from './models.js';

/** One million pixels: what a size is suggested for when only a ratio is known. */
const SUGGESTED_AREA = 1024 * 1024;

interface Sides {
  width: number;
  height: number;
}

/** Width and height of `1024x768`, or null when the text is not of that form. */
export function parsePixels(size: string): Sides | null {
  return parseSides(size, /^(\d{1,6})x(\d{1,6})$/);
}

/** The two numbers of `16:9`, or null when the text is not of that form. */
export function parseRatio(size: string): Sides | null {
  return parseSides(size, /^(\d{1,4}):(\d{1,4})$/);
}

/** Why `model` does not take `size`, with the nearest size that it takes; null when it takes it. */
export function sizeFault(model: FluxModel, size: string): string | null {
  return model.pixels ? pixelsFault(model, model.pixels, size) : ratioFault(model, size);
}

function ratioFault(model: FluxModel, size: string): string | null {
  if (model.ratios.includes(size)) return null;
  const sides = parseRatio(size) ?? parsePixels(size);
  const takes = `${model.name} takes one of the ratios ${model.ratios.join(' ')}`;
  return sides ? `${takes}. The closest to ${size} is ${closestRatio(model.ratios, sides)}.` : `${takes}.`;
}

function pixelsFault(model: FluxModel, rule: PixelRule, size: string): string | null {
  const { minSide, maxSide, multipleOf } = rule;
  const takes = `${model.name} takes WIDTHxHEIGHT, each side ${minSide} to ${maxSide} and a multiple of ${multipleOf}`;
  const ratio = parseRatio(size);
  if (ratio) return `${takes}. For ${size} use ${format(fitArea(rule, ratio))}.`;
  const sides = parsePixels(size);
  if (!sides) return `${takes}, such as ${model.defaultSize}.`;
  const down = mapSides(sides, (side) => fitSide(rule, side, Math.floor));
  const up = mapSides(sides, (side) => fitSide(rule, side, Math.ceil));
  if (format(down) === size) return null;
  const nearest = format(down) === format(up) ? format(down) : `${format(down)} or ${format(up)}`;
  return `${takes}. The nearest to ${size}: ${nearest}.`;
}

function parseSides(size: string, form: RegExp): Sides | null {
  const [, width, height] = form.exec(size) ?? [];
  const sides = { width: Number(width), height: Number(height) };
  return sides.width > 0 && sides.height > 0 ? sides : null;
}

function closestRatio(ratios: readonly string[], sides: Sides): string {
  const distance = (ratio: string) => {
    const parsed = parseRatio(ratio);
    return parsed
      ? Math.abs(Math.log((parsed.width * sides.height) / (parsed.height * sides.width)))
      : Infinity;
  };
  return ratios.reduce((best, ratio) => (distance(ratio) < distance(best) ? ratio : best));
}

function fitArea(rule: PixelRule, ratio: Sides): Sides {
  const scale = Math.sqrt(SUGGESTED_AREA / (ratio.width * ratio.height));
  return mapSides(ratio, (side) => fitSide(rule, side * scale, Math.round));
}

function fitSide(rule: PixelRule, side: number, round: (value: number) => number): number {
  const multiple = round(side / rule.multipleOf) * rule.multipleOf;
  return Math.min(rule.maxSide, Math.max(rule.minSide, multiple));
}

function mapSides(sides: Sides, change: (side: number) => number): Sides {
  return { width: change(sides.width), height: change(sides.height) };
}

function format(sides: Sides): string {
  return `${sides.width}x${sides.height}`;
}
