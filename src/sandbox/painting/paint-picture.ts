import sharp from 'sharp';
import { drawCaption, layOutCaption } from './caption.js';
import { round, verticalGradient } from './landscape.js';
import { drawScene } from './scene.js';

/** Everything that decides a generated picture: the same facts give the same bytes. */
export interface PictureFacts {
  /** The prompt without directives. */
  caption: string;
  seed: number;
  model: string;
  width: number;
  height: number;
  /** Its place among the pictures of one request, from 0. */
  index: number;
}

/** Paints the picture as a PNG of exactly `width` x `height` pixels. About 60 ms for a million pixels on one core. */
export async function paintPicture(facts: PictureFacts): Promise<Buffer> {
  const { width, height } = facts;
  const seedText = [facts.caption, facts.seed, facts.model, facts.index].join('\n');
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `${drawScene(seedText, width, height)}${captionBand(facts)}</svg>`;
  // Level 4, measured on ten scenes: 58 ms and 462 kB each; level 1 takes 53 ms and 753 kB, level 9 takes 96 ms and 433 kB.
  return sharp(Buffer.from(svg)).removeAlpha().png({ compressionLevel: 4 }).toBuffer();
}

function captionBand(facts: PictureFacts): string {
  const { width, height } = facts;
  const margin = Math.min(width, height) * 0.05;
  const detail = `${facts.model} · ${width}×${height} · seed ${facts.seed}`;
  const caption = layOutCaption(facts.caption, detail, facts, width - margin * 2);
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
