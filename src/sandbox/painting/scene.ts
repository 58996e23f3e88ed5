import {
  areaBelow,
  type Canvas,
  drawOrb,
  drawPines,
  drawRidges,
  drawSky,
  type Orb,
  ridgeLine,
} from './landscape.js';
import { blend, NIGHT_PALETTES, PALETTES } from './palette.js';
import { SeededRandom } from './seeded-random.js';
import { band, element, radialGradient, verticalGradient } from './svg.js';

const SCENES: readonly ((canvas: Canvas) => string)[] = [
  (canvas) => land(canvas, 'soft'),
  (canvas) => land(canvas, 'rugged'),
  sea,
  aurora,
];

/** Draws a scene of this size in pixels as SVG elements. `seedText` alone determines which scene it is and how it looks. */
export function drawScene(seedText: string, width: number, height: number): string {
  const random = new SeededRandom(seedText);
  const palette = random.pick(PALETTES);
  const canvas = { width, height, unit: Math.min(width, height), random, palette };
  const vignette = radialGradient('vignette', { 45: '#00000000', 100: '#00000042' }, 0.8);
  return random.pick(SCENES)(canvas) + vignette + band(0, height, 'url(#vignette)');
}

/** The sun or moon over hills or mountains. */
function land(canvas: Canvas, relief: 'soft' | 'rugged'): string {
  const { random, width, height, unit } = canvas;
  const horizon = height * random.between(0.49, 0.57);
  const radius = unit * random.between(0.05, 0.095);
  const orb = { x: width * random.between(0.22, 0.78), y: horizon * random.between(0.38, 0.72), radius };
  return drawSky(canvas, horizon * 1.15) + drawOrb(canvas, orb) + drawRidges(canvas, horizon, relief);
}

function sea(canvas: Canvas): string {
  const { random, width, height, unit, palette } = canvas;
  const horizon = height * random.between(0.48, 0.56);
  const radius = unit * random.between(0.08, 0.13);
  const orb = { x: width * random.between(0.3, 0.7), y: horizon - radius * random.between(0.1, 1.6), radius };
  const island = ridgeLine(canvas, { base: horizon + unit * 0.012, rise: unit * 0.05, relief: 'soft' });
  return (
    drawSky(canvas, horizon) +
    drawOrb(canvas, orb) +
    areaBelow(canvas, island, blend(palette.far, palette.near, 0.35)) +
    verticalGradient('water', { 0: blend(palette.sky[2], palette.far, 0.45), 100: palette.near }) +
    band(horizon, height - horizon, 'url(#water)') +
    glitter(canvas, horizon, orb)
  );
}

/** The reflection on the water: short strokes, longer and further apart in the foreground. */
function glitter({ random, width, height, unit, palette }: Canvas, horizon: number, orb: Orb): string {
  return Array.from({ length: 150 }, () => {
    const nearness = random.next() ** 1.5;
    const onPath = random.next() < 0.62;
    const spread = (random.next() + random.next() - 1) * orb.radius * (0.7 + nearness * 1.8);
    return element('ellipse', {
      cx: onPath ? orb.x + spread : random.between(0, width),
      cy: horizon + 2 + (height - horizon) * nearness,
      rx: unit * (0.006 + 0.045 * nearness) * random.between(0.4, 1.2),
      ry: unit * (0.0012 + 0.0022 * nearness),
      fill: palette.light,
      'fill-opacity': (onPath ? 0.6 : 0.16) * random.between(0.4, 1) * (1 - nearness * 0.45),
    });
  }).join('');
}

/** Curtains of light over a dark forest. Always at night, in the palette's accents. */
function aurora(canvas: Canvas): string {
  const { random, height, unit } = canvas;
  const palette = random.pick(NIGHT_PALETTES);
  const night = { ...canvas, palette };
  const horizon = height * 0.7;
  const curtains = palette.accents.map((color, index) => curtain(night, `curtain${index}`, color)).join('');
  const far = ridgeLine(night, { base: horizon, rise: unit * 0.1, relief: 'rugged' });
  const near = ridgeLine(night, { base: horizon + height * 0.09, rise: unit * 0.06, relief: 'soft' });
  return (
    drawSky(night, horizon * 1.2) +
    curtains +
    areaBelow(night, far, blend(palette.far, palette.near, 0.55)) +
    drawPines(night, near, { size: 0.13, fill: palette.near }) +
    areaBelow(night, near, palette.near)
  );
}

/** Rays side by side along a wavy line, which overlap and become taller and shorter. */
function curtain(canvas: Canvas, id: string, color: string): string {
  const { random, width, height } = canvas;
  const stops = { 0: `${color}00`, 72: `${color}43`, 93: `${color}68`, 100: `${color}00` };
  const base = height * random.between(0.36, 0.56);
  const foot = ridgeLine(canvas, { base, rise: height * 0.2, relief: 'soft' });
  const wave = random.between(0.08, 0.2);
  const start = random.between(0, 6);
  const step = width / (foot.length - 1);
  const rays = foot.map(([x, y], at) => {
    const strength = 0.5 + 0.5 * Math.sin(at * wave + start);
    const tall = height * (0.16 + 0.22 * strength) * random.between(0.85, 1.1);
    const opacity = 0.1 + 0.5 * strength * random.between(0.75, 1);
    return element('rect', {
      x: x - step,
      y: y - tall,
      width: step * 3,
      height: tall,
      fill: `url(#${id})`,
      'fill-opacity': opacity,
    });
  });
  return verticalGradient(id, stops) + rays.join('');
}
