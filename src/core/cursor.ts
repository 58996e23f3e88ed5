import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CursorInvalid } from './errors.js';
import { type Signer } from './signature.js';

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
  private readonly key: Buffer;
  private readonly mark: Buffer;

  constructor(signer: Signer, logId: string) {
    this.key = signer.derive('event-cursor', 'key');
    this.mark = signer.derive('event-cursor', logId).subarray(0, HALF_BLOCK);
  }

  encode(position: bigint): string {
    const block = Buffer.alloc(2 * HALF_BLOCK);
    block.writeBigUInt64BE(position);
    this.mark.copy(block, HALF_BLOCK);
    return createCipheriv('aes-256-ecb', this.key, null)
      .setAutoPadding(false)
      .update(block)
      .toString('base64url');
  }

  /** Throws CursorInvalid for a cursor that is not of this log. */
  decode(cursor: string): bigint {
    const bytes = Buffer.from(cursor, 'base64url');
    if (!CURSOR_FORM.test(cursor) || bytes.toString('base64url') !== cursor) throw new CursorInvalid();
    const block = createDecipheriv('aes-256-ecb', this.key, null).setAutoPadding(false).update(bytes);
    if (!block.subarray(HALF_BLOCK).equals(this.mark)) throw new CursorInvalid();
    return block.readBigUInt64BE();
  }
}
