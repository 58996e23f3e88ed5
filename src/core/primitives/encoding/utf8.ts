import { isUtf8 } from 'node:buffer';
import { BadRequest } from '../../errors.js';

const BYTE_ORDER_MARK = '\uFEFF';
const REPLACEMENT = '\uFFFD';
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT);
/** How an upstream can begin a text that is not UTF-8. Node names the encodings like this. */
const UTF_16_MARKS = [
  { encoding: 'utf-16le', bytes: Buffer.from([0xff, 0xfe]) },
  { encoding: 'utf-16be', bytes: Buffer.from([0xfe, 0xff]) },
] as const;

/**
 * Decodes what a caller sends. Throws BadRequest with the offset of the first byte that is not UTF-8: a replacement character
 * would be painted and paid for. `subject` begins the message: "The request body".
 */
export function decodeUtf8(bytes: Uint8Array, subject: string): string {
  const buffer = toBuffer(bytes);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  const offset = firstInvalidByte(buffer);
  const hex = (buffer[offset] ?? 0).toString(16).padStart(2, '0').toUpperCase();
  const isUtf16 = UTF_16_MARKS.some((mark) => buffer.subarray(0, 2).equals(mark.bytes));
  const advice = isUtf16 ? 'It looks like UTF-16. Encode it as UTF-8.' : 'Encode it as UTF-8.';
  throw new BadRequest(`${subject} is not valid UTF-8 at byte ${offset} (0x${hex}). ${advice}`);
}

/** Decodes what an upstream sends, and never fails. Bytes that are not UTF-8 become replacement characters. */
export function decodeLeniently(bytes: Uint8Array): string {
  const buffer = toBuffer(bytes);
  const mark = UTF_16_MARKS.find((one) => buffer.subarray(0, 2).equals(one.bytes));
  // The decoder removes the byte order mark as well.
  if (mark) return new TextDecoder(mark.encoding).decode(buffer);
  return withoutByteOrderMark(buffer.toString('utf8'));
}

/** Some editors and shells begin a text with this mark, which is no part of it. */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The decoder puts a replacement character where the first invalid byte is. The sender may have sent such characters as well. */
function firstInvalidByte(buffer: Buffer): number {
  const text = buffer.toString('utf8');
  let [index, offset] = [0, 0];
  for (;;) {
    const next = text.indexOf(REPLACEMENT, index);
    if (next < 0) return offset;
    offset += Buffer.byteLength(text.slice(index, next));
    if (!buffer.subarray(offset, offset + REPLACEMENT_BYTES.length).equals(REPLACEMENT_BYTES)) return offset;
    offset += REPLACEMENT_BYTES.length;
    index = next + 1;
  }
}
