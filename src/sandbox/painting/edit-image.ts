import { createHash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import { renderCaption } from './caption.js';
import { EDIT_MAX_SIDE, type ImageSize } from './image-size.js';
import { type PaintingParameters } from './paint-image.js';

/** Everything that determines an edit, in addition to the bytes of the source. The caption determines the color grade. */
export interface EditParameters extends Pick<PaintingParameters, 'caption' | 'seed' | 'model'> {
  /** Size of the result of a source. Null keeps the size of the source, with at most 1440 pixels on a side. */
  sizeFor: (source: ImageSize) => ImageSize | null;
}

/** Colour grades, chosen by eye. `linear` multiplies red, green and blue, and then adds to them. */
const GRADES: readonly [name: string, apply: (image: Sharp) => Sharp][] = [
  ['sepia', (image) => image.tint('#b08a50')],
  ['silver', (image) => image.tint('#8890a0')],
  ['dusk', (image) => image.linear([0.95, 0.75, 1.05], [12, 4, 24])],
  ['glade', (image) => image.modulate({ saturation: 0.7 }).linear([0.85, 1.05, 0.85], [0, 10, 0])],
  ['ember', (image) => image.linear([1.15, 0.85, 0.65], [12, 4, 0])],
  ['glacier', (image) => image.modulate({ saturation: 0.6 }).linear([0.8, 0.98, 1.1], [0, 8, 18])],
];

/** Colours of the border and of the text on it. */
const PAPER_COLOR = '#f5f1e8';
const INK_COLOR = '#26231f';
/** Maximum pixels of a source, because 25 MB of a compressed image can decode to far more. */
const MAX_SOURCE_PIXELS = 64_000_000;

/**
 * Renders the source with another color grade, as a print on white paper with the prompt below it. The same source and
 * parameters produce the same bytes.
 * @throws Error when the source is not a readable image.
 */
export async function editImage(source: Buffer, parameters: EditParameters): Promise<Buffer> {
  const { caption: prompt, model, seed } = parameters;
  const { width, height } = await editedSize(source, parameters.sizeFor);
  const hash = createHash('sha256').update(prompt).digest().readUInt32LE(0);
  const [grade, applyGrade] = GRADES[hash % GRADES.length] as (typeof GRADES)[number];
  const border = Math.round(Math.min(width, height) * 0.045);
  const detail = `${model} · ${width}×${height} · ${grade} · seed ${seed}`;
  const text = { prompt, detail, ink: INK_COLOR, imageSize: { width, height } };
  const caption = await renderCaption({ ...text, maxWidth: width - border * 2 });
  const footer = caption ? Math.round(border * 1.9 + caption.height) : border;
  const print = { width: width - border * 2, height: height - border - footer };
  const upright = open(source)
    .rotate()
    .resize({ ...print, fit: 'cover' });
  const graded = await applyGrade(upright.flatten({ background: PAPER_COLOR }).toColourspace('srgb'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  return sharp(graded.data, { raw: graded.info })
    .extend({ top: border, bottom: footer, left: border, right: border, background: PAPER_COLOR })
    .composite(caption ? [{ ...caption.overlay, left: border, top: height - footer + border }] : [])
    .removeAlpha()
    .png({ compressionLevel: 4 })
    .toBuffer();
}

async function editedSize(source: Buffer, sizeFor: EditParameters['sizeFor']): Promise<ImageSize> {
  const { autoOrient } = await open(source).metadata();
  const scale = Math.min(1, EDIT_MAX_SIDE / Math.max(autoOrient.width, autoOrient.height));
  const fit = (side: number) => Math.max(1, Math.round(side * scale));
  return sizeFor(autoOrient) ?? { width: fit(autoOrient.width), height: fit(autoOrient.height) };
}

function open(source: Buffer): Sharp {
  return sharp(source, { limitInputPixels: MAX_SOURCE_PIXELS });
}
