import { Transform, type TransformCallback } from 'node:stream';

/** A stream had more or fewer bytes than were announced to its reader. */
export class WrongLength extends Error {
  override readonly name = 'WrongLength';
}

/**
 * Passes a stream on that must have exactly `bytes` bytes, and fails with WrongLength otherwise. The last chunk is held back until
 * the source has ended, so that a part of a longer file never looks complete. (`strictContentLength` of Node.js would throw in the
 * middle of an event, where nothing catches it.)
 */
export class ExactLength extends Transform {
  private heldBack: Buffer | null = null;
  private received = 0;

  constructor(private readonly bytes: number) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.received += chunk.length;
    if (this.received > this.bytes) return done(new WrongLength(`More than ${this.bytes} bytes were read.`));
    const { heldBack } = this;
    this.heldBack = chunk;
    done(null, heldBack);
  }

  override _flush(done: TransformCallback): void {
    if (this.received === this.bytes) return done(null, this.heldBack);
    done(new WrongLength(`${this.received} of ${this.bytes} bytes were read.`));
  }
}
