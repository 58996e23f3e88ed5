import { CAP_HEIGHT, DESCENDER_DEPTH, plainText, textPaths, textWidth } from './stroke-font.js';

/** Laid-out text for an image: the prompt in several lines and a small line of details below it. */
export interface Caption {
  lines: string[];
  detail: string;
  /** Pixels per font unit, for the lines and for the detail. */
  scale: number;
  detailScale: number;
  /** Pixels from the top of the first line to the bottom of the detail. */
  height: number;
}

/** On a shorter side than this no text is legible. */
const MIN_SIDE = 128;
/** Chosen by eye: capitals are 27 pixels high for a side of 1024 pixels. */
const SCALE_PER_PIXEL = 1.9 / 1024;
/** Capitals of 10 and 8 pixels, the smallest legible sizes. */
const MIN_SCALE = 0.72;
const MIN_DETAIL_SCALE = 0.58;
const DETAIL_TO_LINE = 0.56;
/** Distance from the bottom of a line to the top of the next, in font units. */
const LEADING = 11;
const DETAIL_LEADING = 13;
/** A text that needs more lines than `large` is set smaller, in at most `small` lines. */
const MAX_LINES = { large: 2, small: 4 } as const;
const SMALL_SCALE = 0.78;

/** Lays out the text for an image of this size, at most `maxWidth` pixels wide. Null when the image is too small for text. */
export function layOutCaption(
  prompt: string,
  detail: string,
  imageSize: { width: number; height: number },
  maxWidth: number,
): Caption | null {
  const side = Math.min(imageSize.width, imageSize.height);
  if (side < MIN_SIDE) return null;
  const large = Math.max(MIN_SCALE, side * SCALE_PER_PIXEL);
  const small = Math.max(MIN_SCALE, large * SMALL_SCALE);
  const text = plainText(prompt) || 'untitled';
  const fits = wrap(text, maxWidth / large).length <= MAX_LINES.large;
  const scale = fits ? large : small;
  const lines = truncateLines(
    wrap(text, maxWidth / scale),
    fits ? MAX_LINES.large : MAX_LINES.small,
    maxWidth / scale,
  );
  const detailScale = Math.max(MIN_DETAIL_SCALE, large * DETAIL_TO_LINE);
  const [detailLine = ''] = truncateLines(
    wrap(plainText(detail), maxWidth / detailScale),
    1,
    maxWidth / detailScale,
  );
  const height = linesHeight(lines.length) * scale + (DETAIL_LEADING + CAP_HEIGHT) * detailScale;
  return { lines, detail: detailLine, scale, detailScale, height };
}

/** The caption as SVG with its upper left corner at (x, y) in pixels. The detail is fainter. */
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
  return count * CAP_HEIGHT + (count - 1) * LEADING + DESCENDER_DEPTH;
}

function wrap(text: string, maxWidth: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).flatMap((long) => splitWord(long, maxWidth))) {
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

/** Splits a word that is wider than a line, such as a long link or text in a script without spaces. */
function splitWord(word: string, maxWidth: number): string[] {
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

function truncateLines(lines: string[], maxLines: number, maxWidth: number): string[] {
  if (lines.length <= maxLines) return lines;
  const visible = lines.slice(0, maxLines);
  let last = visible[maxLines - 1] ?? '';
  while (last !== '' && textWidth(`${last}…`) > maxWidth) last = last.slice(0, -1);
  return [...visible.slice(0, -1), `${last.replace(/[\s,.;:–-]+$/, '')}…`];
}
