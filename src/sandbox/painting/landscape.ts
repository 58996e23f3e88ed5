import { blend, type Palette } from './palette.js';
import { type SeededRandom } from './seeded-random.js';
import { band, element, type Point, polyline, radialGradient, verticalGradient } from './svg.js';

/** Shared by all parts of a scene. Lengths are pixels. */
export interface Canvas {
  width: number;
  height: number;
  /** The shorter side. Sizes are relative to it, so that scenes look alike in every format. */
  unit: number;
  random: SeededRandom;
  palette: Palette;
}

/** Position and size of the sun or moon. */
export interface Orb {
  x: number;
  y: number;
  radius: number;
}

/** The shape of a ridge. `base` is the height around which it swings, and `rise` how far. */
interface Ridge {
  base: number;
  rise: number;
  relief: 'soft' | 'rugged';
}

/** A pine of height 1 that stands at 0, 0: three tiers on a trunk. */
const PINE = 'M0-1L.12-.4H-.12ZM0-.74L.19-.35H-.19ZM0-.5L.26-.12H-.26ZM-.03-.2H.03V0H-.03Z';

/** The sky down to `horizon`, with stars at night. */
export function drawSky({ palette, random, width, height, unit }: Canvas, horizon: number): string {
  const [zenith, middle, low] = palette.sky;
  const gradient = verticalGradient('sky', { 0: zenith, 55: middle, 100: low });
  const stars = Array.from({ length: palette.isNight ? 130 : 0 }, () => {
    const depth = random.next();
    const [cx, cy] = [random.between(0, width), random.next() ** 1.4 * horizon * 0.92];
    const r = Math.max(0.4, unit * (0.0006 + 0.0013 * depth ** 4));
    return element('circle', { cx, cy, r, fill: '#ffffff', 'fill-opacity': 0.25 + 0.65 * depth });
  });
  return gradient + band(0, height, low) + band(0, horizon, 'url(#sky)') + stars.join('');
}

/** The sun or moon with its halo. */
export function drawOrb({ palette: { light } }: Canvas, { x, y, radius }: Orb): string {
  const halo = { 0: `${light}ac`, 25: `${light}45`, 55: `${light}15`, 100: `${light}00` };
  const disc = { cx: x, cy: y, r: radius, fill: light, 'fill-opacity': 0.96 };
  const glow = { cx: x, cy: y, r: radius * 6, fill: 'url(#halo)' };
  return radialGradient('halo', halo) + element('circle', glow) + element('circle', disc);
}

/** Ridges from the horizon to the bottom of the image, each closer, darker and less misty than the one behind. */
export function drawRidges(canvas: Canvas, horizon: number, relief: Ridge['relief']): string {
  const { height, unit, palette } = canvas;
  const count = relief === 'rugged' ? 4 : 6;
  return Array.from({ length: count }, (_, index) => {
    const fraction = (index + 0.4) / count;
    const base = horizon + (height - horizon) * fraction * 0.95;
    const rise = unit * (relief === 'rugged' ? 0.2 - 0.1 * fraction : 0.085 + 0.03 * fraction);
    const color = blend(palette.far, palette.near, fraction ** 0.8);
    const mist = blend(color, palette.sky[2], 0.45 * (1 - fraction));
    const line = ridgeLine(canvas, { base, rise, relief });
    const nearness = relief === 'rugged' ? 0 : index - count + 3;
    const trees = nearness > 0 ? drawPines(canvas, line, { size: 0.05 * nearness, fill: color }) : '';
    const gradient = verticalGradient(`ridge${index}`, { 0: color, 75: mist });
    return gradient + trees + areaBelow(canvas, line, `url(#ridge${index})`);
  }).join('');
}

/** Points of a ridge from left to right: a sum of waves of decreasing height. */
export function ridgeLine({ random, width, height }: Canvas, { base, rise, relief }: Ridge): Point[] {
  const waves = [0.9, 1.9, 3.7, 7.9, 15.3].map((frequency) => ({
    frequency: frequency * random.between(0.8, 1.2) * Math.max(0.6, width / height),
    phase: random.between(0, Math.PI * 2),
    height: rise / frequency ** (relief === 'rugged' ? 0.75 : 1.35),
  }));
  const steps = 96;
  return Array.from({ length: steps + 1 }, (_, step) => {
    const fraction = step / steps;
    const offset = waves.reduce((sum, wave) => {
      const swing = Math.sin(fraction * wave.frequency * Math.PI + wave.phase);
      return sum + wave.height * (relief === 'rugged' ? 1 - 2 * Math.abs(swing) : swing);
    }, 0);
    return [fraction * width, base - offset * 0.6];
  });
}

/** The area from a line of points to the bottom of the image. */
export function areaBelow({ width, height }: Canvas, line: readonly Point[], fill: string): string {
  return element('path', { d: polyline([[0, height], ...line, [width, height]]), fill });
}

/** Groups of pines along a line. `size` is their height as a fraction of the shorter side. */
export function drawPines(
  { random, unit }: Canvas,
  line: readonly Point[],
  { size, fill }: { size: number; fill: string },
): string {
  const density = random.between(0.25, 0.7);
  const rhythm = random.between(0.06, 0.14);
  const start = random.between(0, 6);
  const trees = line.map(([x, y], index) => {
    if (Math.sin(index * rhythm + start) < 1 - 2 * density) return '';
    const height = unit * size * random.between(0.55, 1.15);
    const left = x + random.between(-0.006, 0.006) * unit;
    const transform = `translate(${left.toFixed(1)} ${(y + height * 0.12).toFixed(1)}) scale(${height.toFixed(1)})`;
    return element('path', { d: PINE, transform });
  });
  return element('g', { fill }, trees.join(''));
}
