/** The colors of a scene, as #rrggbb. */
export interface Palette {
  /** From the zenith to the horizon. */
  sky: readonly [string, string, string];
  /** The sun or moon and its halo. */
  light: string;
  /** Distant and near hills. */
  far: string;
  near: string;
  /** Northern lights. Empty by day. */
  accents: readonly string[];
  isNight: boolean;
}

/** In the order of the fields of a palette. */
type Colours = readonly [string, string, string, string, string, string, ...accents: string[]];

/** Chosen by eye. Each has a warm and a cool side. */
const DAYS: readonly Colours[] = [
  ['#3b4a86', '#e58f86', '#ffdca3', '#fff3d0', '#c98a93', '#2c2a4c'],
  ['#6fb1d8', '#b9dcea', '#fdf1d8', '#fffbe8', '#9cc3c8', '#1f4a4e'],
  ['#4b2a63', '#c9507a', '#ffb27a', '#ffe6b3', '#a24a78', '#2a1338'],
  ['#86a7a0', '#c4d5c0', '#f3ecd2', '#fffbe6', '#a3b9a5', '#22382f'],
  ['#8a6bb8', '#d9a6cf', '#ffe3d6', '#fff6e9', '#b08ac0', '#3a2559'],
  ['#d98e4f', '#f2c078', '#fff0c9', '#fffdf0', '#d79a62', '#5b2a1c'],
  ['#2f5d8c', '#7fb4cf', '#ffe1c4', '#fff4df', '#7d9fb8', '#16304a'],
];
const NIGHTS: readonly Colours[] = [
  ['#0b1033', '#27336f', '#6b6fae', '#f6f1de', '#4d5796', '#0a0d26', '#7df0c8', '#8fb7ff', '#d6a4ff'],
  ['#071a2c', '#0f4257', '#3f8c93', '#eaf8f1', '#2b6875', '#04121d', '#69f0ae', '#5ad1e6', '#c6ffdd'],
  ['#160c2a', '#3d1e56', '#8c4a7c', '#ffe9d6', '#5a3270', '#0f071d', '#ffb86b', '#ff6f91', '#9d8cff'],
];

export const NIGHT_PALETTES = NIGHTS.map(toPalette);
export const PALETTES = [...DAYS.map(toPalette), ...NIGHT_PALETTES];

function toPalette([zenith, middle, horizon, light, far, near, ...accents]: Colours): Palette {
  return { sky: [zenith, middle, horizon], light, far, near, accents, isNight: accents.length > 0 };
}

/** Mixes two colors. `fraction` 0 is `from` and 1 is `to`. */
export function blend(from: string, to: string, fraction: number): string {
  const mixed = [1, 3, 5].map((at) => {
    const channel = (color: string) => Number.parseInt(color.slice(at, at + 2), 16);
    const value = Math.round(channel(from) * (1 - fraction) + channel(to) * fraction);
    return value.toString(16).padStart(2, '0');
  });
  return `#${mixed.join('')}`;
}
