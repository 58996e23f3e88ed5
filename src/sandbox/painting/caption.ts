import { CAP_HEIGHT, TAIL_DEPTH, plainText, textPaths, textWidth } from './stroke-font.js';

/** Text that was laid out for a picture: the prompt in some lines and one small line of details below them. */
export interface Caption {
  lines: string[];
  detail: string;
  /** Pixels to a font unit, for the lines and for the detail. */
  scale: number;
  detailScale: number;
  /** Pixels from the top of the first line to the foot of the detail. */
  height: number;
}

/** A side below which no text is legible. */
const MIN_SIDE = 128;
/** Chosen by eye for a side of 1024 pixels: capitals 27 pixels high. */
const SCALE_PER_PIXEL = 1.9 / 1024;
/** Capitals of 10 and 8 pixels: the smallest that can be read. */
const MIN_SCALE = 0.72;
const MIN_DETAIL_SCALE = 0.58;
const DETAIL_TO_LINE = 0.56;
/** From the foot of a line to the top of the next, in font units. */
const LEADING = 11;
const DETAIL_LEADING = 13;
/** A text that needs more lines than the first allows is set smaller, in up to the second number of lines. */
const MAX_LINES = { large: 2, small: 4 } as const;
const SMALL = 0.78;

/** Lays the text out for a picture of these pixels and a text width of `maxWidth` pixels; null when it is too small. */
export function layOutCaption(
  prompt: string,
  detail: string,
  sides: { width: number; height: number },
  maxWidth: number,
): Caption | null {
  const side = Math.min(sides.width, sides.height);
  if (side < MIN_SIDE) return null;
  const large = Math.max(MIN_SCALE, side * SCALE_PER_PIXEL);
  const small = Math.max(MIN_SCALE, large * SMALL);
  const text = plainText(prompt) || 'untitled';
  const fits = wrap(text, maxWidth / large).length <= MAX_LINES.large;
  const scale = fits ? large : small;
  const lines = cut(wrap(text, maxWidth / scale), fits ? MAX_LINES.large : MAX_LINES.small, maxWidth / scale);
  const detailScale = Math.max(MIN_DETAIL_SCALE, large * DETAIL_TO_LINE);
  const [detailLine = ''] = cut(wrap(plainText(detail), maxWidth / detailScale), 1, maxWidth / detailScale);
  const height = linesHeight(lines.length) * scale + (DETAIL_LEADING + CAP_HEIGHT) * detailScale;
  return { lines, detail: detailLine, scale, detailScale, height };
}

/** The caption as SVG, its upper left corner at (x, y) in pixels, the detail in a fainter ink. */
export function drawCaption(caption: Caption, x: number, y: number, ink: string): string {
  const pitch = CAP_HEIGHT + LEADING;
  const lines = caption.lines.map(
    (line, index) => `<g transform="translate(0 ${index * pitch})">${textPaths(line)}</g>`,
  );
  const detailY =
    y + linesHeight(caption.lines.length) * caption.scale + DETAIL_LEADING * caption.detailScale;
  const stroke = `fill="none" stroke="${ink}" stroke-linecap="round" stroke-linejoin="round"`;
  return (
    `<g ${stroke} stroke-width="1.9" transform="translate(${x} ${y}) scale(${caption.scale})">${lines.join('')}</g>` +
    `<g ${stroke} stroke-width="1.8" stroke-opacity=".68" transform="translate(${x} ${detailY}) ` +
    `scale(${caption.detailScale})">${textPaths(caption.detail)}</g>`
  );
}

function linesHeight(count: number): number {
  return count * CAP_HEIGHT + (count - 1) * LEADING + TAIL_DEPTH;
}

function wrap(text: string, maxWidth: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).flatMap((long) => chop(long, maxWidth))) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (textWidth(longer) <= maxWidth) {
      line = longer;
    } else {
      if (line !== '') lines.push(line);
      line = word;
    }
  }
  return line === '' ? lines : [...lines, line];
}

/** A word wider than a line, in pieces that fit: long links, and scripts that set no spaces. */
function chop(word: string, maxWidth: number): string[] {
  if (textWidth(word) <= maxWidth) return [word];
  const pieces: string[] = [];
  let piece = '';
  for (const character of word) {
    if (piece !== '' && textWidth(piece + character) > maxWidth) {
      pieces.push(piece);
      piece = '';
    }
    piece += character;
  }
  return [...pieces, piece];
}

function cut(lines: string[], maxLines: number, maxWidth: number): string[] {
  if (lines.length <= maxLines) return lines;
  const kept = lines.slice(0, maxLines);
  let last = kept[maxLines - 1] ?? '';
  while (last !== '' && textWidth(`${last}…`) > maxWidth) last = last.slice(0, -1);
  return [...kept.slice(0, -1), `${last.replace(/[\s,.;:–-]+$/, '')}…`];
}
