import { createHash } from 'node:crypto';
import sharp, { type Matrix3x3, type Sharp } from 'sharp';
import { drawCaption, layOutCaption } from './caption.js';
import { round } from './landscape.js';
import { EDIT_MAX_SIDE, type Sides } from './picture-size.js';

/** Everything that decides an edit, beside the source's bytes. */
export interface EditFacts {
  /** The prompt without directives: it chooses the grade. */
  caption: string;
  seed: number;
  model: string;
  /** Pixels of the result; null keeps the source's own, at most 1440 a side. */
  size: Sides | null;
}

/** Colour grades: how much of each channel goes into each, row by row. Put together by eye. */
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

/** The border of the print and the ink on it. */
const PAPER = '#f5f1e8';
const INK = '#26231f';
/** The most pixels a source may have: 25 MB of a compressed picture can unfold into a great deal more. */
const MAX_SOURCE_PIXELS = 64_000_000;

/**
 * The source with another colour grade, as a print on white paper with the prompt below it. The same source and facts
 * give the same bytes.
 * @throws Error when the source is not a picture that can be read.
 */
export async function editPicture(source: Buffer, facts: EditFacts): Promise<Buffer> {
  const { width, height } = facts.size ?? (await sidesOf(source));
  const hash = createHash('sha256').update(facts.caption).digest().readUInt32LE(0);
  const grade = GRADES[hash % GRADES.length] ?? {
    name: 'plain',
    matrix: [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  };
  const border = Math.round(Math.min(width, height) * 0.045);
  const detail = `${facts.model} · ${width}×${height} · ${grade.name} · seed ${facts.seed}`;
  const caption = layOutCaption(facts.caption, detail, { width, height }, width - border * 2);
  const foot = caption ? Math.round(border * 1.9 + caption.height) : border;
  const window = { width: Math.max(1, width - border * 2), height: Math.max(1, height - border - foot) };
  const graded = await open(source)
    .rotate()
    .resize({ ...window, fit: 'cover' })
    .flatten({ background: PAPER })
    .toColourspace('srgb')
    .recomb(grade.matrix)
    .png({ compressionLevel: 0 })
    .toBuffer();
  const overlay = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
      `<rect x="${border - 0.5}" y="${border - 0.5}" width="${window.width + 1}" height="${window.height + 1}" ` +
      `fill="none" stroke="${INK}" stroke-opacity=".35"/>` +
      (caption ? drawCaption(caption, border, round(height - foot + border * 0.85), INK) : '') +
      '</svg>',
  );
  return sharp({ create: { width, height, channels: 3, background: PAPER } })
    .composite([
      { input: graded, left: border, top: border },
      { input: overlay, left: 0, top: 0 },
    ])
    .removeAlpha()
    .png({ compressionLevel: 4 })
    .toBuffer();
}

async function sidesOf(source: Buffer): Promise<Sides> {
  const { autoOrient } = await open(source).metadata();
  const scale = Math.min(1, EDIT_MAX_SIDE / Math.max(autoOrient.width, autoOrient.height));
  const fit = (side: number) => Math.max(1, Math.round(side * scale));
  return { width: fit(autoOrient.width), height: fit(autoOrient.height) };
}

function open(source: Buffer): Sharp {
  return sharp(source, { limitInputPixels: MAX_SOURCE_PIXELS });
}
