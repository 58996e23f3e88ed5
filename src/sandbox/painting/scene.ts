import {
  areaBelow,
  circle,
  drawOrb,
  drawPines,
  drawRidges,
  drawSky,
  ridgeLine,
  round,
  verticalGradient,
  type Canvas,
} from './landscape.js';
import { blend, PALETTES } from './palette.js';
import { SeededRandom } from './seeded-random.js';

type Scene = (canvas: Canvas) => string;

const SCENES: readonly [Scene, ...Scene[]] = [hills, mountains, sea, bokeh, aurora];

/** Draws a scene of this size in pixels as SVG elements. `seedText` alone determines which scene it is and how it looks. */
export function drawScene(seedText: string, width: number, height: number): string {
  const random = new SeededRandom(seedText);
  const palette = random.pick(PALETTES);
  const canvas = { width, height, unit: Math.min(width, height), random, palette };
  return random.pick(SCENES)(canvas) + vignette();
}

function hills(canvas: Canvas): string {
  const horizon = canvas.height * canvas.random.between(0.5, 0.58);
  return openLand(canvas, horizon) + drawRidges(canvas, horizon, 6, false);
}

function mountains(canvas: Canvas): string {
  const horizon = canvas.height * canvas.random.between(0.48, 0.56);
  return openLand(canvas, horizon) + drawRidges(canvas, horizon, 4, true);
}

/** A sky with the sun or moon above the land, and a few birds by day. */
function openLand(canvas: Canvas, horizon: number): string {
  const { random, width, unit } = canvas;
  const orb = {
    x: width * random.between(0.22, 0.78),
    y: horizon * random.between(0.38, 0.72),
    radius: unit * random.between(0.05, 0.095),
  };
  return (
    drawSky(canvas, horizon * 1.15) +
    drawOrb(canvas, orb) +
    (canvas.palette.isNight ? '' : birds(canvas, horizon))
  );
}

function sea(canvas: Canvas): string {
  const { random, width, height, unit, palette } = canvas;
  const horizon = height * random.between(0.48, 0.56);
  const radius = unit * random.between(0.08, 0.13);
  const orb = { x: width * random.between(0.3, 0.7), y: horizon - radius * random.between(0.1, 1.6), radius };
  const island = ridgeLine(canvas, horizon + unit * 0.012, unit * 0.05, false).map(
    ([x, y]): [number, number] => [x, Math.min(y, horizon + 1)],
  );
  const water = verticalGradient('water', [
    [0, blend(palette.sky[2], palette.far, 0.45), 1],
    [1, palette.near, 1],
  ]);
  return (
    drawSky(canvas, horizon) +
    drawOrb(canvas, orb) +
    `<path d="${areaBelow(canvas, island)}" fill="${blend(palette.far, palette.near, 0.35)}"/>` +
    `${water}<rect y="${round(horizon)}" width="100%" height="${round(height - horizon)}" fill="url(#water)"/>` +
    glitter(canvas, horizon, orb)
  );
}

/** The reflection on the water: short strokes, longer and further apart in the foreground. */
function glitter(canvas: Canvas, horizon: number, orb: { x: number; radius: number }): string {
  const { random, width, height, unit, palette } = canvas;
  return Array.from({ length: 150 }, () => {
    const nearness = random.next() ** 1.5;
    const onPath = random.next() < 0.62;
    const spread = orb.radius * (0.7 + nearness * 1.8);
    const x = onPath ? orb.x + (random.next() + random.next() - 1) * spread : random.between(0, width);
    const half = unit * (0.006 + 0.045 * nearness) * random.between(0.4, 1.2);
    const y = horizon + 2 + (height - horizon) * nearness;
    const opacity = (onPath ? 0.6 : 0.16) * random.between(0.4, 1) * (1 - nearness * 0.45);
    return `<ellipse cx="${round(x)}" cy="${round(y)}" rx="${round(half)}" ry="${round(unit * (0.0012 + 0.0022 * nearness))}" fill="${palette.light}" fill-opacity="${round(opacity)}"/>`;
  }).join('');
}

/** Out-of-focus lights on a dark background. */
function bokeh(canvas: Canvas): string {
  const { random, width, height, unit, palette } = canvas;
  const ground = verticalGradient('ground', [
    [0, blend(palette.near, palette.sky[0], 0.2), 1],
    [0.6, blend(palette.near, palette.far, 0.28), 1],
    [1, blend(palette.near, '#000000', 0.35), 1],
  ]);
  const colours = [...palette.accents, palette.light];
  const discs = colours.map(
    (colour, index) =>
      `<radialGradient id="disc${index}"><stop offset="0" stop-color="${colour}" stop-opacity=".42"/>` +
      `<stop offset=".86" stop-color="${colour}" stop-opacity=".56"/><stop offset=".93" stop-color="${colour}" ` +
      `stop-opacity=".8"/><stop offset="1" stop-color="${colour}" stop-opacity="0"/></radialGradient>` +
      `<radialGradient id="glow${index}"><stop offset="0" stop-color="${colour}" stop-opacity=".5"/>` +
      `<stop offset="1" stop-color="${colour}" stop-opacity="0"/></radialGradient>`,
  );
  const any = () => Math.floor(random.next() * colours.length);
  const glows = Array.from({ length: 6 }, () =>
    circle(
      random.between(0, width),
      random.between(0.1, 0.8) * height,
      unit * random.between(0.3, 0.6),
      `url(#glow${any()})`,
      0.34,
    ),
  );
  const lights = Array.from({ length: 54 }, (_, index) => {
    const closeness = (index / 54) ** 2;
    const y = height * (0.44 + (random.next() + random.next() - 1) * 0.42);
    const radius = unit * (0.012 + 0.085 * closeness * random.between(0.5, 1));
    return circle(random.between(0, width), y, radius, `url(#disc${any()})`, 0.95 - 0.5 * closeness);
  });
  return `${ground}${discs.join('')}<rect width="100%" height="100%" fill="url(#ground)"/>${glows.join('')}${lights.join('')}`;
}

/** Curtains of light over a dark forest. Always at night, in the palette's accents. */
function aurora(canvas: Canvas): string {
  const { random, height, unit } = canvas;
  const night = PALETTES.filter((palette) => palette.isNight);
  const palette = night[Math.floor(random.next() * night.length)] ?? canvas.palette;
  const dark = { ...canvas, palette };
  const horizon = height * 0.7;
  const curtains = palette.accents.map((colour, index) => curtain(dark, colour, index)).join('');
  const far = ridgeLine(dark, horizon, unit * 0.1, true);
  const close = ridgeLine(dark, horizon + height * 0.09, unit * 0.06, false);
  return (
    drawSky(dark, horizon * 1.2) +
    curtains +
    `<path d="${areaBelow(dark, far)}" fill="${blend(palette.far, palette.near, 0.55)}"/>` +
    drawPines(dark, close, 0.13, palette.near) +
    `<path d="${areaBelow(dark, close)}" fill="${palette.near}"/>`
  );
}

function curtain(canvas: Canvas, colour: string, index: number): string {
  const { random, width, height } = canvas;
  const id = `curtain${index}`;
  const gradient = verticalGradient(id, [
    [0, colour, 0],
    [0.72, colour, 0.55],
    [0.93, colour, 0.85],
    [1, colour, 0],
  ]);
  const foot = ridgeLine(canvas, height * random.between(0.36, 0.56), height * 0.2, false);
  const wave = random.between(0.08, 0.2);
  const start = random.between(0, 6);
  const step = width / (foot.length - 1);
  const rays = foot.map(([x, y], at) => {
    const strength = 0.5 + 0.5 * Math.sin(at * wave + start);
    const tall = height * (0.16 + 0.22 * strength) * random.between(0.85, 1.1);
    const opacity = 0.1 + 0.5 * strength * random.between(0.75, 1);
    return `<rect x="${round(x - step)}" y="${round(y - tall)}" width="${round(step * 3)}" height="${round(tall)}" fill="url(#${id})" fill-opacity="${round(opacity * 0.48)}"/>`;
  });
  return gradient + rays.join('');
}

function birds(canvas: Canvas, horizon: number): string {
  const { random, width, unit, palette } = canvas;
  const [x, y] = [width * random.between(0.15, 0.75), horizon * random.between(0.2, 0.5)];
  const flock = Array.from({ length: 5 }, () => {
    const wing = unit * random.between(0.008, 0.016);
    const [left, top] = [x + unit * random.between(-0.1, 0.1), y + unit * random.between(-0.05, 0.05)];
    const half = `q${round(wing * 0.5)} ${round(-wing * 0.6)} ${round(wing)} 0`;
    return `M${round(left)} ${round(top)}${half}${half}`;
  });
  return `<path d="${flock.join('')}" fill="none" stroke="${palette.near}" stroke-opacity=".55" stroke-width="${round(unit * 0.0022)}" stroke-linecap="round"/>`;
}

function vignette(): string {
  return (
    '<radialGradient id="vignette" r=".8"><stop offset=".45" stop-color="#000" stop-opacity="0"/>' +
    '<stop offset="1" stop-color="#000" stop-opacity=".26"/></radialGradient>' +
    '<rect width="100%" height="100%" fill="url(#vignette)"/>'
  );
}
