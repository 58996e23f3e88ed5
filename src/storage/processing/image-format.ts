import { open } from 'node:fs/promises';
import { translateDiskErrors } from '../incoming-files.js';

/**
 * The accepted formats. Other formats that the decoder supports are refused before it sees them: SVG can contain scripts and
 * fetch files, and a TIFF of one pixel can take 200 MB, because its tiles may have any size.
 */
export const DECODABLE_FORMATS = ['png', 'jpeg', 'webp', 'gif', 'avif'] as const;
export type DecodableFormat = (typeof DECODABLE_FORMATS)[number];

/** Enough for every signature and for the brands at the start of an AVIF file. */
const SIGNATURE_BYTES = 64;

/**
 * Detects a file's format from its first bytes, whatever its name. Null for formats that are not accepted. Throws StoreUnavailable
 * when the file cannot be read.
 */
export async function detectFileFormat(path: string): Promise<DecodableFormat | null> {
  return translateDiskErrors(async () => {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(SIGNATURE_BYTES) });
      return detectFormat(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  });
}

function detectFormat(head: Buffer): DecodableFormat | null {
  const hex = head.toString('hex');
  const text = head.toString('latin1');
  if (hex.startsWith('89504e470d0a1a0a')) return 'png';
  if (hex.startsWith('ffd8ff')) return 'jpeg';
  if (text.startsWith('RIFF') && text.startsWith('WEBP', 8)) return 'webp';
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif';
  return isAvif(head, text) ? 'avif' : null;
}

/** AVIF shares its container with other formats, such as HEIC, which cannot be decoded here. The first box lists the brands. */
function isAvif(head: Buffer, text: string): boolean {
  if (!text.startsWith('ftyp', 4)) return false;
  const end = Math.min(head.readUInt32BE(0), head.length);
  for (let at = 8; at + 4 <= end; at += 4) {
    if (text.startsWith('avif', at) || text.startsWith('avis', at)) return true;
  }
  return false;
}
