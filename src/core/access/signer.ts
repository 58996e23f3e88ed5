import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Signs what we hand out and get back: callback URLs and cursors. Each purpose has its own domain, so that a signature
 * made for one is worth nothing for another.
 */
export type SignaturePurpose =
  'flux-callback' | 'event-cursor' | 'image-link' | 'upload-link' | 'webhook-secret' | 'client-token';

export class Signer {
  constructor(
    private readonly secret: Buffer,
    /** Earlier secrets: nothing new is signed with them, and what they signed holds. */
    private readonly oldSecrets: readonly Buffer[] = [],
  ) {}

  /** URL-safe HMAC-SHA-256 of `text`, cut to `bytes` bytes (32: the whole of it). */
  sign(purpose: SignaturePurpose, text: string, bytes = 32): string {
    return this.derive(purpose, text).subarray(0, bytes).toString('base64url');
  }

  /** Compares in constant time. False for anything that `sign` with the same arguments would not have returned. */
  verify(purpose: SignaturePurpose, text: string, signature: string, bytes = 32): boolean {
    const given = Buffer.from(signature);
    return this.deriveAll(purpose, text).some((mac) => {
      const expected = Buffer.from(mac.subarray(0, bytes).toString('base64url'));
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }

  /** 32 bytes that only who has the secret can make: the HMAC itself, also used as a key. */
  derive(purpose: SignaturePurpose, text: string): Buffer {
    return macOf(this.secret, purpose, text);
  }

  /** The same of every secret, the present one first. */
  deriveAll(purpose: SignaturePurpose, text: string): Buffer[] {
    return [this.secret, ...this.oldSecrets].map((secret) => macOf(secret, purpose, text));
  }
}

function macOf(secret: Buffer, purpose: SignaturePurpose, text: string): Buffer {
  return createHmac('sha256', secret).update(`${purpose}\n${text}`).digest();
}
