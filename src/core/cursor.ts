import { BadRequest } from './errors.js';
import { type Signer } from './signature.js';

/** Bytes of signature in a cursor: enough that nobody guesses one, short enough for a URL. */
const SIGNATURE_BYTES = 8;

/**
 * A place in the event log, as a client holds it: opaque, and refused when it was not made here. Positions tell how much
 * happens on an installation, so a client never reads or invents one.
 */
export class EventCursors {
  constructor(private readonly signer: Signer) {}

  encode(position: bigint): string {
    const text = position.toString(36);
    return `${text}.${this.signer.sign('event-cursor', text, SIGNATURE_BYTES)}`;
  }

  /** Throws BadRequest for a cursor that is not ours. */
  decode(cursor: string): bigint {
    const [text = '', signature = '', ...rest] = cursor.split('.');
    const isOurs =
      rest.length === 0 &&
      /^[0-9a-z]{1,13}$/.test(text) &&
      this.signer.verify('event-cursor', text, signature, SIGNATURE_BYTES);
    if (!isOurs) {
      throw new BadRequest(
        'This cursor was not made by this installation. Leave `after` out to start from now.',
      );
    }
    return [...text].reduce((sum, digit) => sum * 36n + BigInt(parseInt(digit, 36)), 0n);
  }
}
