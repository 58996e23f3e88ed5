import { createReadStream } from 'node:fs';
import { type Sharp, type SharpOptions } from 'sharp';
import { type DecodableFormat } from './image-format.js';

/** Which faults make libvips give up. */
export type FailOn = NonNullable<SharpOptions['failOn']>;

/**
 * Settings under which libvips decodes only what browsers show whole. It takes a wrong checksum of a PNG's pixels for an error,
 * and missing pixels of a GIF for a warning.
 */
export const STRICT_FAIL_ON: Record<DecodableFormat, FailOn> = {
  png: 'error',
  jpeg: 'error',
  webp: 'error',
  gif: 'warning',
  avif: 'error',
};

type OpenImage = (path: string, options: { failOn: FailOn; autoOrient?: boolean }) => Sharp;

/**
 * Whether viewers show all or most of an image that cannot be decoded strictly. JPEG files often lack their end: half of the
 * rows are enough, or the first scan of a progressive one. GIF files often lack their last bytes.
 */
export async function isShownWhole(
  path: string,
  format: DecodableFormat,
  openImage: OpenImage,
): Promise<boolean> {
  try {
    if (format === 'jpeg') return (await hasSeveralScans(path)) || (await hasUpperHalf(path, openImage));
    return format === 'gif' && (await hasLastRows(path, openImage));
  } catch {
    return false;
  }
}

/** Throws when it has not. */
async function hasUpperHalf(path: string, openImage: OpenImage): Promise<boolean> {
  const image = openImage(path, { failOn: 'error', autoOrient: false });
  const { width, height } = await image.metadata();
  const region = { left: 0, top: 0, width, height: Math.ceil(height / 2) };
  // Rows are decoded from top to bottom, and none below the region.
  await image.extract(region).resize(8, 8, { fit: 'fill' }).raw().toBuffer();
  return true;
}

/**
 * Whether a pixel of the last rows was decoded. Missing ones are transparent. Without the last bytes, libvips decodes two rows less
 * than browsers.
 */
async function hasLastRows(path: string, openImage: OpenImage): Promise<boolean> {
  const image = openImage(path, { failOn: 'none' });
  const { width, height } = await image.metadata();
  const rows = Math.min(height, Math.max(3, Math.floor(height / 50)));
  const lastRows = image.extract({ left: 0, top: height - rows, width, height: rows }).ensureAlpha();
  const pixels = await lastRows.raw().toBuffer();
  return pixels.some((value, at) => at % 4 === 3 && value > 0);
}

/**
 * Whether a second scan of a JPEG begins, so that the first one is complete and covers all of the image. Segments before the
 * first scan are skipped, because they may contain a preview. In a scan, FF DA is always the start of the next one.
 */
async function hasSeveralScans(path: string): Promise<boolean> {
  let [skip, scans, previous] = [2, 0, 0];
  /** The bytes of a segment's marker and length that were read so far. */
  let head: number[] = [];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += 1) {
      if (skip > 0) {
        const skipped = Math.min(skip, chunk.length - at);
        skip -= skipped;
        at += skipped - 1;
        continue;
      }
      const byte = chunk.readUInt8(at);
      if (scans > 0) {
        if (previous === 0xff && byte === 0xda) return true;
        previous = byte;
        continue;
      }
      // Fill bytes may precede a marker.
      if (head.length === 1 && byte === 0xff) continue;
      head.push(byte);
      if (head.length < 4) continue;
      const [marker, type, high = 0, low = 0] = head;
      if (marker !== 0xff) return false;
      if (type === 0xda) scans = 1;
      skip = high * 256 + low - 2;
      head = [];
    }
  }
  return false;
}
