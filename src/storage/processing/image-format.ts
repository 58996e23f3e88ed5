import { open } from 'node:fs/promises';

/**
 * What we read. All the others that the decoder knows are refused before it sees them: SVG can hold scripts and fetch
 * files, and a TIFF of one pixel may need 200 MB, because its tiles are as large as it likes.
 */
export const PICTURE_KINDS = ['png', 'jpeg', 'webp', 'gif', 'avif'] as const;
export type PictureKind = (typeof PICTURE_KINDS)[number];

/** Enough for every signature, and for the brands that an AVIF file begins with. */
const HEAD_BYTES = 64;

/**
 * Tells by its first bytes what a file claims to be, whatever it is called; null for everything that is none of ours. A
 * file that cannot be read gives the error of the file system.
 */
export async function kindOfFile(path: string): Promise<PictureKind | null> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(HEAD_BYTES) });
    return kindOf(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function kindOf(head: Buffer): PictureKind | null {
  const hex = head.toString('hex');
  const text = head.toString('latin1');
  if (hex.startsWith('89504e470d0a1a0a')) return 'png';
  if (hex.startsWith('ffd8ff')) return 'jpeg';
  if (text.startsWith('RIFF') && text.startsWith('WEBP', 8)) return 'webp';
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif';
  return isAvif(head, text) ? 'avif' : null;
}

/** AVIF is one of many uses of its container; HEIC, another, cannot be decoded here. The first box names the uses. */
function isAvif(head: Buffer, text: string): boolean {
  if (!text.startsWith('ftyp', 4)) return false;
  const end = Math.min(head.readUInt32BE(0), head.length);
  for (let at = 8; at + 4 <= end; at += 4) {
    if (text.startsWith('avif', at) || text.startsWith('avis', at)) return true;
  }
  return false;
}
