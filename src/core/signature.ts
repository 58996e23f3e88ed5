import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Signs what we hand out and get back: callback URLs and cursors. Each purpose has its own domain, so that a signature
 * made for one is worth nothing for another.
 */
export type SignaturePurpose = 'flux-callback' | 'event-cursor';

export class Signer {
  constructor(private readonly secret: Buffer) {}

  /** URL-safe HMAC-SHA-256 of `text`, cut to `bytes` bytes (32: the whole of it). */
  sign(purpose: SignaturePurpose, text: string, bytes = 32): string {
    return this.derive(purpose, text).subarray(0, bytes).toString('base64url');
  }

  /** Compares in constant time. False for anything that `sign` with the same arguments would not have returned. */
  verify(purpose: SignaturePurpose, text: string, signature: string, bytes = 32): boolean {
    const expected = Buffer.from(this.sign(purpose, text, bytes));
    const given = Buffer.from(signature);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  /** 32 bytes that only who has the secret can make: the HMAC itself, also used as a key. */
  derive(purpose: SignaturePurpose, text: string): Buffer {
    return createHmac('sha256', this.secret).update(`${purpose}\n${text}`).digest();
  }
}
