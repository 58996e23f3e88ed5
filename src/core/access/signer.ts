import { createHmac, timingSafeEqual } from 'node:crypto';

/** Separates the domains of signatures. A signature made for one purpose is invalid for every other purpose. */
export type SignaturePurpose =
  'flux-callback' | 'event-cursor' | 'image-link' | 'upload-link' | 'webhook-secret' | 'client-token';

/** Signs what Darkroom hands out and later receives back, such as links and cursors, and derives secrets. */
export class Signer {
  constructor(
    private readonly secret: Buffer,
    /** Earlier secrets. They verify existing signatures and create no new ones. */
    private readonly previousSecrets: readonly Buffer[] = [],
  ) {}

  /** Returns the URL-safe HMAC-SHA-256 of `text`, truncated to `bytes` bytes. The full length is 32. */
  sign(purpose: SignaturePurpose, text: string, bytes = 32): string {
    return this.derive(purpose, text).subarray(0, bytes).toString('base64url');
  }

  /** Compares in constant time. Returns true only for what `sign` returned for the same arguments and one of the secrets. */
  verify(
    purpose: SignaturePurpose,
    text: string,
    { signature, bytes = 32 }: { signature: string; bytes?: number },
  ): boolean {
    const received = Buffer.from(signature);
    return this.deriveAll(purpose, text).some((mac) => {
      const expected = Buffer.from(mac.subarray(0, bytes).toString('base64url'));
      return received.length === expected.length && timingSafeEqual(received, expected);
    });
  }

  /** Derives 32 bytes from the current secret, for use as a key. */
  derive(purpose: SignaturePurpose, text: string): Buffer {
    return hmacSha256(this.secret, purpose, text);
  }

  /** Derives 32 bytes from every secret, the current one first. */
  deriveAll(purpose: SignaturePurpose, text: string): Buffer[] {
    return [this.secret, ...this.previousSecrets].map((secret) => hmacSha256(secret, purpose, text));
  }
}

function hmacSha256(secret: Buffer, purpose: SignaturePurpose, text: string): Buffer {
  return createHmac('sha256', secret).update(`${purpose}\n${text}`).digest();
}
