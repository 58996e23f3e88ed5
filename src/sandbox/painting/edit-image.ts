import { createHash } from 'node:crypto';
import sharp, { type Matrix3x3, type Sharp } from 'sharp';
import { drawCaption, layOutCaption } from './caption.js';
import { round } from './landscape.js';
import { EDIT_MAX_SIDE, type ImageSize } from './image-size.js';

/** Everything that determines an edit, in addition to the bytes of the source. */
export interface EditParameters {
  /** The prompt without directives. It determines the colour grade. */
  caption: string;
  seed: number;
  model: string;
  /** Size of the result. Null keeps the size of the source, with at most 1440 pixels on a side. */
  size: ImageSize | null;
}

/** Colour grades as matrices from the source's channels to the result's. Chosen by eye. */
const GRADES: readonly { name: string; matrix: Matrix3x3 }[] = [
  {
    name: 'sepia',
    matrix: [
      [0.45, 0.72, 0.18],
      [0.36, 0.63, 0.16],
      [0.26, 0.48, 0.12],
    ],
  },
  {
    name: 'silver',
    matrix: [
      [0.34, 0.62, 0.12],
      [0.34, 0.62, 0.12],
      [0.36, 0.64, 0.16],
    ],
  },
  {
    name: 'dusk',
    matrix: [
      [0.82, 0.16, 0.22],
      [0.1, 0.62, 0.14],
      [0.22, 0.2, 1],
    ],
  },
  {
    name: 'glade',
    matrix: [
      [0.62, 0.26, 0.02],
      [0.14, 0.98, 0.06],
      [0.1, 0.32, 0.56],
    ],
  },
  {
    name: 'ember',
    matrix: [
      [1.1, 0.22, 0],
      [0.2, 0.72, 0.02],
      [0.12, 0.16, 0.5],
    ],
  },
  {
    name: 'glacier',
    matrix: [
      [0.56, 0.18, 0.12],
      [0.1, 0.78, 0.2],
      [0.1, 0.3, 0.92],
    ],
  },
];

/** Colours of the border and of the text on it. */
const PAPER_COLOR = '#f5f1e8';
const INK_COLOR = '#26231f';
/** Maximum pixels of a source, because 25 MB of a compressed image can decode to far more. */
const MAX_SOURCE_PIXELS = 64_000_000;

/**
 * Renders the source with another colour grade, as a print on white paper with the prompt below it. The same source and
 * parameters produce the same bytes.
 * @throws Error when the source is not a readable image.
 */
export async function editImage(source: Buffer, parameters: EditParameters): Promise<Buffer> {
  const { width, height } = parameters.size ?? (await editedSize(source));
  const hash = createHash('sha256').update(parameters.caption).digest().readUInt32LE(0);
  const grade = GRADES[hash % GRADES.length] ?? {
    name: 'plain',
    matrix: [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  };
  const border = Math.round(Math.min(width, height) * 0.045);
  const detail = `${parameters.model} · ${width}×${height} · ${grade.name} · seed ${parameters.seed}`;
  const caption = layOutCaption(parameters.caption, detail, { width, height }, width - border * 2);
  const footerHeight = caption ? Math.round(border * 1.9 + caption.height) : border;
  const window = {
    width: Math.max(1, width - border * 2),
    height: Math.max(1, height - border - footerHeight),
  };
  const graded = await open(source)
    .rotate()
    .resize({ ...window, fit: 'cover' })
    .flatten({ background: PAPER_COLOR })
    .toColourspace('srgb')
    .recomb(grade.matrix)
    .png({ compressionLevel: 0 })
    .toBuffer();
  const overlay = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
      `<rect x="${border - 0.5}" y="${border - 0.5}" width="${window.width + 1}" height="${window.height + 1}" ` +
      `fill="none" stroke="${INK_COLOR}" stroke-opacity=".35"/>` +
      (caption ? drawCaption(caption, border, round(height - footerHeight + border * 0.85), INK_COLOR) : '') +
      '</svg>',
  );
  return sharp({ create: { width, height, channels: 3, background: PAPER_COLOR } })
    .composite([
      { input: graded, left: border, top: border },
      { input: overlay, left: 0, top: 0 },
    ])
    .removeAlpha()
    .png({ compressionLevel: 4 })
    .toBuffer();
}

async function editedSize(source: Buffer): Promise<ImageSize> {
  const { autoOrient } = await open(source).metadata();
  const scale = Math.min(1, EDIT_MAX_SIDE / Math.max(autoOrient.width, autoOrient.height));
  const fit = (side: number) => Math.max(1, Math.round(side * scale));
  return { width: fit(autoOrient.width), height: fit(autoOrient.height) };
}

function open(source: Buffer): Sharp {
  return sharp(source, { limitInputPixels: MAX_SOURCE_PIXELS });
}
