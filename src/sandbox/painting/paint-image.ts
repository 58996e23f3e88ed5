import sharp from 'sharp';
import { drawCaption, layOutCaption } from './caption.js';
import { round, verticalGradient } from './landscape.js';
import { drawScene } from './scene.js';

/** Everything that determines a generated image. The same parameters produce the same bytes. */
export interface PaintingParameters {
  /** The prompt without directives. */
  caption: string;
  seed: number;
  model: string;
  width: number;
  height: number;
  /** Index among the images of one request, from 0. */
  index: number;
}

/** Paints a PNG of exactly `width` x `height` pixels. Takes about 60 ms per million pixels on one core. */
export async function paintImage(parameters: PaintingParameters): Promise<Buffer> {
  const { width, height } = parameters;
  const seedText = [parameters.caption, parameters.seed, parameters.model, parameters.index].join('\n');
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `${drawScene(seedText, width, height)}${drawCaptionBand(parameters)}</svg>`;
  // Measured on ten scenes: level 4 takes 58 ms and 462 kB each, level 1 takes 53 ms and 753 kB, level 9 takes 96 ms and 433 kB.
  return sharp(Buffer.from(svg)).removeAlpha().png({ compressionLevel: 4 }).toBuffer();
}

function drawCaptionBand(parameters: PaintingParameters): string {
  const { width, height } = parameters;
  const margin = Math.min(width, height) * 0.05;
  const detail = `${parameters.model} · ${width}×${height} · seed ${parameters.seed}`;
  const caption = layOutCaption(parameters.caption, detail, parameters, width - margin * 2);
  if (!caption) return '';
  const top = height - margin - caption.height;
  const bandTop = Math.max(0, top - margin * 2.2);
  const gradient = verticalGradient('band', [
    [0, '#07080f', 0],
    [0.3, '#07080f', 0.42],
    [1, '#07080f', 0.82],
  ]);
  return (
    `${gradient}<rect y="${round(bandTop)}" width="100%" height="${round(height - bandTop)}" fill="url(#band)"/>` +
    drawCaption(caption, round(margin), round(top), '#ffffff')
  );
}
