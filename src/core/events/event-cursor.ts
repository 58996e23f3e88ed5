import { createCipheriv, createDecipheriv } from 'node:crypto';
import { CursorInvalid } from '../errors.js';
import { type Signer } from '../access/signer.js';

/**
 * Half of the block is the position, the other half is the log's mark. A forged cursor passes with a chance of 2^-64.
 */
const HALF_BLOCK_BYTES = 8;
/** One AES block of 16 bytes in base64url. */
const CURSOR_PATTERN = /^[\w-]{22}$/;

/**
 * Turns positions of the event log into the opaque cursors that clients hold, and back. A position would reveal how
 * busy an installation is. A cursor is therefore one AES-256 block over the position and a mark derived from the
 * log's ID, so clients can neither read nor forge one. A cursor of another installation or database is always
 * rejected.
 */
export class EventCursorCodec {
  /** One entry for each configured secret, the current one first. */
  private readonly cursorKeys: { key: Buffer; mark: Buffer }[];

  constructor(signer: Signer, logId: string) {
    const marks = signer.deriveAll('event-cursor', logId);
    this.cursorKeys = signer
      .deriveAll('event-cursor', 'key')
      .map((key, index) => ({ key, mark: (marks[index] ?? key).subarray(0, HALF_BLOCK_BYTES) }));
  }

  encode(position: bigint): string {
    const [current] = this.cursorKeys;
    if (!current) throw new Error('The signer has no secret.');
    const block = Buffer.alloc(2 * HALF_BLOCK_BYTES);
    block.writeBigUInt64BE(position);
    current.mark.copy(block, HALF_BLOCK_BYTES);
    return createCipheriv('aes-256-ecb', current.key, null)
      .setAutoPadding(false)
      .update(block)
      .toString('base64url');
  }

  /** Position of a cursor. Throws CursorInvalid when the cursor does not belong to this log. */
  decode(cursor: string): bigint {
    const bytes = Buffer.from(cursor, 'base64url');
    if (!CURSOR_PATTERN.test(cursor) || bytes.toString('base64url') !== cursor) throw new CursorInvalid();
    for (const { key, mark } of this.cursorKeys) {
      const block = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(bytes);
      if (block.subarray(HALF_BLOCK_BYTES).equals(mark)) return block.readBigUInt64BE();
    }
    throw new CursorInvalid();
  }
}
