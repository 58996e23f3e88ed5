import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Signer } from '../../../src/core/access/signer.js';

const signer = new Signer(Buffer.alloc(32, 1));

describe('a signature', () => {
  test('is valid only for its own purpose, text and length', () => {
    const texts = fc.tuple(fc.string(), fc.string(), fc.integer({ min: 8, max: 32 }));
    fc.assert(
      fc.property(texts, ([text, other, bytes]) => {
        const signature = signer.sign('flux-callback', text, bytes);
        expect(signature).toMatch(/^[\w-]+$/);
        expect(signer.verify('flux-callback', text, { signature, bytes })).toBe(true);
        expect(signer.verify('event-cursor', text, { signature, bytes })).toBe(false);
        expect(signer.verify('flux-callback', other, { signature, bytes })).toBe(other === text);
        if (bytes < 32)
          expect(signer.verify('flux-callback', text, { signature, bytes: bytes + 1 })).toBe(false);
      }),
    );
  });

  test('of another secret is invalid, and so is any other text', () => {
    const other = new Signer(Buffer.alloc(32, 2));
    expect(signer.verify('flux-callback', 'x', { signature: other.sign('flux-callback', 'x') })).toBe(false);
    fc.assert(fc.property(fc.string(), (text) => !signer.verify('flux-callback', 'x', { signature: text })));
  });
});
