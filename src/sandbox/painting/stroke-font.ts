/**
 * A glyph of a small single-stroke font, drawn as SVG paths, because a minimal server has no fonts and would render SVG text
 * as boxes. In font units, the baseline is at y 14, capitals reach up to 0, small letters to 4.5, and descenders down to 19.
 */
export interface Glyph {
  /** Width in font units, without the gap to the next glyph. */
  width: number;
  /** SVG path data to be stroked, never filled. */
  path: string;
}

/** From the top of a capital to the baseline. */
export const CAP_HEIGHT = 14;
/** How far descenders reach below the baseline. */
export const DESCENDER_DEPTH = 5;

/** Gap between two glyphs, and width of a space. Chosen by eye. */
const LETTER_GAP = 3.5;
const SPACE_WIDTH = 3.4;

const BOWL = 'M4.2 4.5A4.2 4.75 0 1 0 4.2 14A4.2 4.75 0 1 0 4.2 4.5Z';
const ROUND = 'M6 0A6 7 0 1 0 6 14A6 7 0 1 0 6 0Z';

/** `character: [width, path]`. A dot is a line of almost no length with round caps. */
const GLYPHS: Readonly<Record<string, readonly [number, string]>> = {
  A: [10, 'M0 14L5 0L10 14M1.6 9.5H8.4'],
  B: [8.8, 'M0 6.5H5A3.75 3.75 0 0 1 5 14H0V0H4.5A3.25 3.25 0 0 1 4.5 6.5'],
  C: [10.4, 'M10.5 2.4A6 7 0 1 0 10.5 11.6'],
  D: [10, 'M0 0V14H3.5A6.5 7 0 0 0 3.5 0Z'],
  E: [7.8, 'M7.8 0H0V14H7.8M0 6.8H6.4'],
  F: [7.4, 'M7.6 0H0V14M0 6.8H6.4'],
  G: [11.6, 'M10.5 2.4A6 7 0 1 0 11.6 9.5V7.4H7'],
  H: [9.5, 'M0 0V14M9.5 0V14M0 6.8H9.5'],
  I: [0, 'M0 0V14'],
  J: [6, 'M6 0V10.5A3.2 3.5 0 0 1 0 11.4'],
  K: [8.6, 'M0 0V14M8.4 0L0 8.6M3.2 5.4L8.8 14'],
  L: [7.2, 'M0 0V14H7.2'],
  M: [12, 'M0 14V0L6 10L12 0V14'],
  N: [10, 'M0 14V0L10 14V0'],
  O: [12, ROUND],
  P: [8.4, 'M0 14V0H4.5A3.9 3.9 0 0 1 4.5 7.8H0'],
  Q: [12, `${ROUND}M7.6 10.4L11.6 15`],
  R: [8.8, 'M0 14V0H4.5A3.9 3.9 0 0 1 4.5 7.8H0M4.5 7.8L8.8 14'],
  S: [
    8.6,
    'M8.2 2.4C7.4.8 6 0 4.3 0C2 0 .4 1.4 .4 3.5C.4 5.6 2 6.3 4.4 6.9C6.9 7.5 8.6 8.2 8.6 10.4C8.6 12.6 6.8 14 4.4 14C2.3 14 .8 13 0 11.2',
  ],
  T: [10, 'M0 0H10M5 0V14'],
  U: [9.5, 'M0 0V9.2A4.75 4.8 0 0 0 9.5 9.2V0'],
  V: [10, 'M0 0L5 14L10 0'],
  W: [14, 'M0 0L3.5 14L7 2L10.5 14L14 0'],
  X: [9, 'M0 0L9 14M9 0L0 14'],
  Y: [9, 'M0 0L4.5 7L9 0M4.5 7V14'],
  Z: [9, 'M0 0H9L0 14H9'],
  a: [8.4, `${BOWL}M8.4 4.5V14`],
  b: [8.4, `${BOWL}M0 0V14`],
  c: [7.5, 'M7.6 6.5A4.2 4.75 0 1 0 7.6 12'],
  d: [8.4, `${BOWL}M8.4 0V14`],
  e: [8.4, 'M.1 9.25H8.4A4.2 4.75 0 1 0 7.5 12.2'],
  f: [5, 'M5.6 .2C3.2 -.5 2 .8 2 3V14M0 4.7H5'],
  g: [8.4, `${BOWL}M8.4 4.5V15A4.2 3.8 0 0 1 .6 17`],
  h: [7.8, 'M0 0V14M0 8.6A3.9 4.1 0 0 1 7.8 8.6V14'],
  i: [0, 'M0 4.5V14M0 .8h.01'],
  j: [2.8, 'M2.8 4.5V16C2.8 18 1.8 18.8 0 18.6M2.8 .8h.01'],
  k: [7, 'M0 0V14M6.6 4.5L0 10.4M2.6 8.2L7 14'],
  l: [1.8, 'M0 0V11.8C0 13.4 .8 14.2 2.2 13.9'],
  m: [12.4, 'M0 4.5V14M0 7.9A3.1 3.4 0 0 1 6.2 7.9V14M6.2 7.9A3.1 3.4 0 0 1 12.4 7.9V14'],
  n: [7.8, 'M0 4.5V14M0 8.6A3.9 4.1 0 0 1 7.8 8.6V14'],
  o: [8.4, BOWL],
  p: [8.4, `${BOWL}M0 4.5V18.8`],
  q: [8.4, `${BOWL}M8.4 4.5V18.8`],
  r: [4.4, 'M0 4.5V14M0 8.8C.2 6 2 4.3 4.6 4.7'],
  s: [
    6.9,
    'M6.5 6.2C6 5.1 4.9 4.5 3.5 4.5C1.7 4.5 .4 5.4 .4 6.9C.4 8.4 1.7 8.8 3.5 9.2C5.4 9.6 6.9 10.1 6.9 11.6C6.9 13.1 5.4 14 3.5 14C1.8 14 .5 13.3 0 12',
  ],
  t: [5, 'M2 1.2V11.4C2 13.5 3.2 14.4 5.2 13.8M0 4.7H5'],
  u: [7.8, 'M7.8 4.5V14M0 4.5V9.9A3.9 4.1 0 0 0 7.8 9.9'],
  v: [8, 'M0 4.5L4 14L8 4.5'],
  w: [12, 'M0 4.5L3 14L6 5.5L9 14L12 4.5'],
  x: [7.5, 'M0 4.5L7.5 14M7.5 4.5L0 14'],
  y: [8.2, 'M0 4.5L4.1 14M8.2 4.5L4.1 14L3 16.6C2.4 18.1 1.6 18.8 0 18.6'],
  z: [7.5, 'M0 4.5H7.5L0 14H7.5'],
  '0': [8.6, 'M4.3 0A4.3 7 0 1 0 4.3 14A4.3 7 0 1 0 4.3 0Z'],
  '1': [5, 'M.8 2.8L4.6 0V14'],
  '2': [8.6, 'M.5 3.6A4 3.8 0 0 1 8.3 4.2C8.3 7 4 9.6 .3 14H8.6'],
  '3': [
    8.6,
    'M.6 2.6C1.3 .9 2.7 0 4.4 0C6.6 0 8 1.4 8 3.4C8 5.4 6.4 6.6 4 6.6C6.7 6.6 8.6 8 8.6 10.3C8.6 12.6 6.8 14 4.3 14C2.2 14 .7 13 0 11.2M4 6.6H3.2',
  ],
  '4': [8.8, 'M6.4 14V0L0 10H8.8'],
  '5': [
    8.6,
    'M7.8 0H1.6L.9 6.2C1.9 5.5 3 5.1 4.2 5.1C6.8 5.1 8.6 6.9 8.6 9.5C8.6 12.2 6.7 14 4.1 14C2.2 14 .8 13.1 0 11.5',
  ],
  '6': [
    8.6,
    'M7.6 1.6C6.8 .6 5.8 0 4.6 0C1.8 0 .2 3.4 .2 9.6M4.4 5.2A4.2 4.4 0 1 0 4.4 14A4.2 4.4 0 1 0 4.4 5.2Z',
  ],
  '7': [8.6, 'M0 0H8.6L3 14'],
  '8': [
    8.6,
    'M4.3 0A3.7 3.3 0 1 0 4.3 6.6A3.7 3.3 0 1 0 4.3 0ZM4.3 6.6A4.3 3.7 0 1 0 4.3 14A4.3 3.7 0 1 0 4.3 6.6Z',
  ],
  '9': [
    8.6,
    'M1.2 12.4C2 13.4 3 14 4.2 14C7 14 8.6 10.6 8.6 4.4M4.4 0A4.2 4.4 0 1 0 4.4 8.8A4.2 4.4 0 1 0 4.4 0Z',
  ],
  '.': [0.6, 'M.2 13.8h.01'],
  ',': [1, 'M.9 13.4L0 16.4'],
  ':': [0.4, 'M.2 6h.01M.2 13.8h.01'],
  ';': [1, 'M.8 6h.01M.9 13.4L0 16.4'],
  '!': [0.4, 'M.2 0V9.4M.2 13.8h.01'],
  '?': [7, 'M0 2.8A3.5 3.2 0 1 1 5.4 6C4 7 3.4 7.8 3.4 9.6M3.4 13.8h.01'],
  "'": [0.4, 'M.2 0V3.6'],
  '"': [3.2, 'M.2 0V3.6M3 0V3.6'],
  '`': [2.4, 'M0 0L2.2 2.6'],
  '(': [3.4, 'M3.4 -1C-.9 4 -.9 12 3.4 17'],
  ')': [3.4, 'M0 -1C4.3 4 4.3 12 0 17'],
  '[': [3.2, 'M3.2 -1H0V17H3.2'],
  ']': [3.2, 'M0 -1H3.2V17H0'],
  '{': [4.2, 'M4.2 -1C1.4 -1 3 7.6 0 8C3 8.4 1.4 17 4.2 17'],
  '}': [4.2, 'M0 -1C2.8 -1 1.2 7.6 4.2 8C1.2 8.4 2.8 17 0 17'],
  '<': [7.5, 'M7.5 3L0 8L7.5 13'],
  '>': [7.5, 'M0 3L7.5 8L0 13'],
  '-': [4.6, 'M0 8.4H4.6'],
  '–': [7, 'M0 8.4H7'],
  '—': [11, 'M0 8.4H11'],
  _: [8, 'M0 16H8'],
  '+': [8, 'M0 8.4H8M4 4.4V12.4'],
  '=': [8, 'M0 6.4H8M0 10.4H8'],
  '~': [8.4, 'M0 9.4C1.4 5.6 3.6 7.6 4.4 8.4C5.4 9.4 7.2 10.6 8.4 7.2'],
  '^': [7, 'M0 4L3.5 0L7 4'],
  '*': [6.4, 'M3.2 0V7M.2 1.8L6.2 5.2M6.2 1.8L.2 5.2'],
  '/': [6.4, 'M0 15.4L6.4 -1'],
  '\\': [6.4, 'M0 -1L6.4 15.4'],
  '|': [0.4, 'M.2 -1V17'],
  '#': [9.4, 'M3.2 0L1.6 14M7.8 0L6.2 14M.6 4.6H9.4M0 9.4H8.8'],
  $: [
    8.6,
    'M8.2 3.2C7.4 2 6 1.4 4.3 1.4C2 1.4 .6 2.4 .6 4.1C.6 6 2.2 6.5 4.4 7C6.8 7.5 8.4 8.2 8.4 10C8.4 11.8 6.8 12.8 4.4 12.8C2.3 12.8 .8 12 0 10.6M4.4 -.8V15',
  ],
  '%': [
    11,
    'M9.8 0L1.2 14M2.6 .2A2.4 3 0 1 0 2.6 6.2A2.4 3 0 1 0 2.6 .2ZM8.4 7.8A2.4 3 0 1 0 8.4 13.8A2.4 3 0 1 0 8.4 7.8Z',
  ],
  '&': [
    10.4,
    'M10.2 14L2.6 5.2C.6 2.8 2 0 4.4 0C6.8 0 8 2.8 5.8 4.8L2.4 7.2C-1 9.6 .2 14 4 14C7 14 9.2 11.6 9.8 8',
  ],
  '@': [13, 'M9.4 5V9.6C9.4 12 13 12 13 8A6.5 7 0 1 0 9.6 13.9M9.4 7.4A2.9 3 0 1 0 9.4 7.5'],
  '°': [4, 'M2 0A2 2 0 1 0 2 4A2 2 0 1 0 2 0Z'],
  '·': [1, 'M.5 8h.01'],
  '×': [5.6, 'M0 5.6L5.6 11.2M5.6 5.6L0 11.2'],
  '…': [8.4, 'M.2 13.8h.01M4.2 13.8h.01M8.2 13.8h.01'],
};

/** Characters that are drawn like a simpler one. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  '‘': "'",
  '’': "'",
  '“': '"',
  '”': '"',
  ß: 'B',
  ø: 'o',
  Ø: 'O',
};

/** Drawn for characters that are not in the font. */
const UNKNOWN: Glyph = {
  width: 9,
  path: 'M1.4 3H7.6A1.4 1.4 0 0 1 9 4.4V12.6A1.4 1.4 0 0 1 7.6 14H1.4A1.4 1.4 0 0 1 0 12.6V4.4A1.4 1.4 0 0 1 1.4 3Z',
};

/** Removes accents, so that é is drawn as e. */
export function plainText(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{Mark}/gu, '')
    .normalize('NFC');
}

/** Width of the text in font units. */
export function textWidth(text: string): number {
  const advances = [...text].map((character) => glyph(character).width + LETTER_GAP);
  return advances.reduce((sum, advance) => sum + advance, 0);
}

/** The text as SVG paths in font units, starting at x 0 with the top of capitals at y 0. Never outputs text from the caller. */
export function textPaths(text: string): string {
  let x = 0;
  const paths: string[] = [];
  for (const character of text) {
    const { width, path } = glyph(character);
    if (path !== '') paths.push(`<path transform="translate(${x.toFixed(2)} 0)" d="${path}"/>`);
    x += width + LETTER_GAP;
  }
  return paths.join('');
}

function glyph(character: string): Glyph {
  if (/\s/.test(character)) return { width: SPACE_WIDTH, path: '' };
  const [width, path] = GLYPHS[LOOKALIKES[character] ?? character] ?? [UNKNOWN.width, UNKNOWN.path];
  return { width, path };
}
