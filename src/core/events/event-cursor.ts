import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CursorInvalid } from '../errors.js';
import { type Signer } from '../access/signer.js';

/** Half of the block is the position, half the log's mark: a forged cursor has one chance in 2^64. */
const HALF_BLOCK = 8;
/** One block of 16 bytes in base64url. */
const CURSOR_FORM = /^[\w-]{22}$/;

/**
 * A place in the event log, as a client holds it. Positions tell how much happens on an installation, so a cursor is one
 * block of AES-256 over the position and the log's mark: nobody reads one, and nobody but us makes one. A cursor of
 * another installation or of another database is refused, never taken for a place in this log.
 */
export class EventCursors {
  /** Of every secret, the present one first. */
  private readonly seals: { key: Buffer; mark: Buffer }[];

  constructor(signer: Signer, logId: string) {
    const marks = signer.deriveAll('event-cursor', logId);
    this.seals = signer
      .deriveAll('event-cursor', 'key')
      .map((key, index) => ({ key, mark: (marks[index] ?? key).subarray(0, HALF_BLOCK) }));
  }

  encode(position: bigint): string {
    const [seal] = this.seals;
    if (!seal) throw new Error('There is no secret.');
    const block = Buffer.alloc(2 * HALF_BLOCK);
    block.writeBigUInt64BE(position);
    seal.mark.copy(block, HALF_BLOCK);
    return createCipheriv('aes-256-ecb', seal.key, null)
      .setAutoPadding(false)
      .update(block)
      .toString('base64url');
  }

  /** Throws CursorInvalid for a cursor that is not of this log. */
  decode(cursor: string): bigint {
    const bytes = Buffer.from(cursor, 'base64url');
    if (!CURSOR_FORM.test(cursor) || bytes.toString('base64url') !== cursor) throw new CursorInvalid();
    for (const { key, mark } of this.seals) {
      const block = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(bytes);
      if (block.subarray(HALF_BLOCK).equals(mark)) return block.readBigUInt64BE();
    }
    throw new CursorInvalid();
  }
}
