import { blend, type Palette } from './palette.js';
import { type SeededRandom } from './seeded-random.js';

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

/** A gradient from top to bottom of the shape that it fills. Stops are [offset, colour, opacity]. */
export function verticalGradient(id: string, stops: readonly (readonly [number, string, number])[]): string {
  const elements = stops.map(
    ([offset, colour, opacity]) =>
      `<stop offset="${offset}" stop-color="${colour}" stop-opacity="${opacity}"/>`,
  );
  return `<linearGradient id="${id}" x1="0" y1="0" x2="0" y2="1">${elements.join('')}</linearGradient>`;
}

/** The sky down to `horizon`, with stars at night. */
export function drawSky(canvas: Canvas, horizon: number): string {
  const [zenith, middle, low] = canvas.palette.sky;
  const gradient = verticalGradient('sky', [
    [0, zenith, 1],
    [0.55, middle, 1],
    [1, low, 1],
  ]);
  const rest = `<rect width="100%" height="100%" fill="${low}"/>`;
  const sky = `<rect width="100%" height="${round(horizon)}" fill="url(#sky)"/>`;
  return gradient + rest + sky + (canvas.palette.isNight ? drawStars(canvas, horizon) : '');
}

/** The sun or moon with its halo. */
export function drawOrb(canvas: Canvas, orb: Orb): string {
  const { light } = canvas.palette;
  const halo =
    `<radialGradient id="halo"><stop offset="0" stop-color="${light}" stop-opacity=".75"/>` +
    `<stop offset=".25" stop-color="${light}" stop-opacity=".3"/><stop offset=".55" stop-color="${light}" stop-opacity=".09"/>` +
    `<stop offset="1" stop-color="${light}" stop-opacity="0"/></radialGradient>`;
  return (
    halo +
    circle(orb.x, orb.y, orb.radius * 6, 'url(#halo)', 0.9) +
    circle(orb.x, orb.y, orb.radius, light, 0.96)
  );
}

/** Ridges from the horizon to the bottom of the image, each closer, darker and less misty than the one behind. */
export function drawRidges(canvas: Canvas, horizon: number, count: number, isRugged: boolean): string {
  const { height, unit, palette } = canvas;
  return Array.from({ length: count }, (_, index) => {
    const fraction = (index + 0.4) / count;
    const base = horizon + (height - horizon) * fraction * 0.95;
    const rise = unit * (isRugged ? 0.2 - 0.1 * fraction : 0.085 + 0.03 * fraction);
    const colour = blend(palette.far, palette.near, fraction ** 0.8);
    const mist = blend(colour, palette.sky[2], 0.45 * (1 - fraction));
    const id = `ridge${index}`;
    const gradient = verticalGradient(id, [
      [0, colour, 1],
      [0.75, mist, 1],
    ]);
    const line = ridgeLine(canvas, base, rise, isRugged);
    const trees =
      !isRugged && index >= count - 2
        ? drawPines(canvas, line, 0.05 + 0.05 * (index - count + 2), colour)
        : '';
    return `${gradient}${trees}<path d="${areaBelow(canvas, line)}" fill="url(#${id})"/>`;
  }).join('');
}

/** Points of a ridge from left to right: a sum of waves of decreasing height. */
export function ridgeLine(canvas: Canvas, base: number, rise: number, isRugged: boolean): [number, number][] {
  const waves = [0.9, 1.9, 3.7, 7.9, 15.3].map((frequency) => ({
    frequency: frequency * canvas.random.between(0.8, 1.2) * Math.max(0.6, canvas.width / canvas.height),
    phase: canvas.random.between(0, Math.PI * 2),
    height: rise / frequency ** (isRugged ? 0.75 : 1.35),
  }));
  const steps = 96;
  return Array.from({ length: steps + 1 }, (_, step) => {
    const fraction = step / steps;
    const offset = waves.reduce((sum, wave) => {
      const swing = Math.sin(fraction * wave.frequency * Math.PI + wave.phase);
      return sum + wave.height * (isRugged ? 1 - 2 * Math.abs(swing) : swing);
    }, 0);
    return [fraction * canvas.width, base - offset * 0.6];
  });
}

/** The path of the area below a line of points. */
export function areaBelow(canvas: Canvas, line: readonly [number, number][]): string {
  const points = line.map(([x, y]) => `${round(x)} ${round(y)}`);
  return `M0 ${canvas.height}L${points.join('L')}L${canvas.width} ${canvas.height}Z`;
}

/** Groups of pines along a line. `size` is their height as a fraction of the shorter side. */
export function drawPines(
  canvas: Canvas,
  line: readonly [number, number][],
  size: number,
  colour: string,
): string {
  const { random, unit } = canvas;
  const density = random.between(0.25, 0.7);
  const rhythm = random.between(0.06, 0.14);
  const start = random.between(0, 6);
  const trees = line.flatMap(([x, y], index) => {
    if (Math.sin(index * rhythm + start) < 1 - 2 * density) return [];
    const height = unit * size * random.between(0.55, 1.15);
    return [pine(x + random.between(-0.006, 0.006) * unit, y + height * 0.12, height)];
  });
  return `<path d="${trees.join('')}" fill="${colour}"/>`;
}

/** A filled circle. Lengths are pixels, and opacity is 0 to 1. */
export function circle(x: number, y: number, radius: number, fill: string, opacity: number): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="${round(radius)}" fill="${fill}" fill-opacity="${round(opacity)}"/>`;
}

/** Rounds to two decimals. More precision is invisible and makes the SVG longer. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function drawStars(canvas: Canvas, horizon: number): string {
  const { random, width, unit } = canvas;
  return Array.from({ length: 130 }, () => {
    const depth = random.next();
    const radius = unit * (0.0006 + 0.0013 * depth ** 4);
    const y = random.next() ** 1.4 * horizon * 0.92;
    return circle(random.between(0, width), y, Math.max(0.4, radius), '#ffffff', 0.25 + 0.65 * depth);
  }).join('');
}

function pine(x: number, y: number, height: number): string {
  const tiers = [0, 0.26, 0.5].map((drop, index) => {
    const half = height * (0.12 + 0.07 * index);
    const [top, foot] = [y - height * (1 - drop), y - height * (0.6 - drop * 0.95)];
    return `M${round(x)} ${round(top)}L${round(x + half)} ${round(foot)}H${round(x - half)}Z`;
  });
  return (
    tiers.join('') +
    `M${round(x - height * 0.03)} ${round(y - height * 0.2)}h${round(height * 0.06)}V${round(y)}h${round(-height * 0.06)}Z`
  );
}
