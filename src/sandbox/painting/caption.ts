import { createRequire } from 'node:module';
import sharp, { type OverlayOptions } from 'sharp';
import { type ImageSize } from './image-size.js';

/** What to write on an image: the prompt in at most four lines, and a fainter line of details below it. */
interface CaptionOptions {
  prompt: string;
  detail: string;
  /** As #rrggbb. */
  ink: string;
  imageSize: ImageSize;
  /** In pixels. */
  maxWidth: number;
}

/** Text as a transparent image, to be composited. Its size is in pixels. */
export interface Caption extends ImageSize {
  overlay: OverlayOptions;
}

/** A font from npm, because a minimal server has none. It has Latin, Greek and Cyrillic letters. */
const FONT_FILE = createRequire(import.meta.url).resolve(
  '@expo-google-fonts/didact-gothic/400Regular/DidactGothic_400Regular.ttf',
);
/** On a shorter side than this no text is legible. */
const MIN_SIDE = 128;
/** Font sizes in pixels. Chosen by eye for a side of 1024 pixels, and not legible below the minimum. */
const FONT_SIZE = { perPixel: 38 / 1024, min: 14 };
const DETAIL_TO_PROMPT = 0.56;
const MIN_DETAIL_SIZE = 11;
/** A prompt that needs more lines than `large` is set smaller, in at most `small` lines. */
const MAX_LINES = { large: 2, small: 4 };
const SMALL_SCALE = 0.78;
/** From line to line, in font sizes: measured for this font, and chosen for the detail. */
const LINE_HEIGHT = 1.26;
const DETAIL_LINE_HEIGHT = 1.5;
/** Not even narrow letters fit more often into four lines. */
const MAX_CHARACTERS = 600;

/** Renders the caption for an image of this size. Null when the image is too small for text. */
export async function renderCaption(options: CaptionOptions): Promise<Caption | null> {
  const side = Math.min(options.imageSize.width, options.imageSize.height);
  if (side < MIN_SIDE) return null;
  const large = Math.max(FONT_SIZE.min, Math.round(side * FONT_SIZE.perPixel));
  const small = Math.max(FONT_SIZE.min, Math.round(large * SMALL_SCALE));
  const detailSize = Math.max(MIN_DETAIL_SIZE, Math.round(large * DETAIL_TO_PROMPT));
  const characters = [...printable(options.prompt)];
  const render = async (length: number, size: number, maxLines: number) => {
    const text = characters.slice(0, length).join('').trim() + (length < characters.length ? '…' : '');
    const caption = await renderText({ ...options, prompt: text || 'untitled', size, detailSize });
    const maxHeight = maxLines * LINE_HEIGHT * size + DETAIL_LINE_HEIGHT * detailSize;
    return { caption, excess: caption.height / maxHeight };
  };
  let length = Math.min(characters.length, MAX_CHARACTERS);
  let attempt = await render(length, large, MAX_LINES.large);
  while (attempt.excess > 1 && length > 0) {
    attempt = await render(length, small, MAX_LINES.small);
    length = Math.floor(length / Math.max(attempt.excess, 1.05));
  }
  return attempt.caption;
}

async function renderText(options: CaptionOptions & { size: number; detailSize: number }): Promise<Caption> {
  const { prompt, detail, ink, maxWidth, size, detailSize } = options;
  // Pango's unit is 1/1024 of a pixel at 72 dpi.
  const detailStyle = `size="${detailSize * 1024}" line_height="${DETAIL_LINE_HEIGHT}" alpha="68%"`;
  const text = `<span foreground="${ink}">${escape(prompt)}\n<span ${detailStyle}>${escape(detail)}</span></span>`;
  const font = { font: `Didact Gothic ${size}`, fontfile: FONT_FILE, dpi: 72 };
  const { data, info } = await sharp({
    text: { text, ...font, width: Math.floor(maxWidth), wrap: 'word-char', rgba: true },
  })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, overlay: { input: data, raw: info } };
}

/** Without control characters and lone surrogates, which Pango refuses. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\s]+/gu, ' ').trim();
}

/** The text as Pango markup. */
function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
