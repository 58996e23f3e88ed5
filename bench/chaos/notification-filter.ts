import { Transform, type TransformCallback } from 'node:stream';

/** NotificationResponse of PostgreSQL's protocol 3. */
const NOTIFICATION = 'A'.charCodeAt(0);
/** A message is its type and its length, which counts itself but not the type, and then its content. */
const TYPE_BYTES = 1;
const HEADER_BYTES = 5;

/**
 * Passes what a PostgreSQL server sends on one connection without TLS, and leaves out its notifications while `losesThem`
 * returns true. Follows the messages all the time, because it must know where one starts.
 */
export class NotificationFilter extends Transform {
  /** The start of a message whose header is not complete yet. */
  private header = Buffer.alloc(0);
  /** The bytes of the present message that have not arrived yet. */
  private remaining = 0;
  private isLost = false;

  constructor(private readonly losesThem: () => boolean) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let rest = Buffer.concat([this.header, chunk]);
    const kept: Buffer[] = [];
    this.header = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.remaining === 0) {
        if (rest.length < HEADER_BYTES) {
          this.header = rest;
          break;
        }
        this.remaining = TYPE_BYTES + rest.readUInt32BE(TYPE_BYTES);
        this.isLost = rest[0] === NOTIFICATION && this.losesThem();
      }
      const part = rest.subarray(0, this.remaining);
      if (!this.isLost) kept.push(part);
      this.remaining -= part.length;
      rest = rest.subarray(part.length);
    }
    done(null, Buffer.concat(kept)); // together, because each push would be a packet of its own
  }
}
