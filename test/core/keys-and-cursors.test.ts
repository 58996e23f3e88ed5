import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { hashApiKey, isWellFormedApiKey, newApiKey } from '../../src/core/access/api-key.js';
import { EventCursors } from '../../src/core/events/event-cursor.js';
import { CursorInvalid } from '../../src/core/errors.js';
import { isId, newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';

const signer = new Signer(Buffer.alloc(32, 1));
/** A text and another one that differs from it in one character. */
const changed = (text: string) =>
  fc
    .tuple(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
    .map(([at, character]) => text.slice(0, at) + character + text.slice(at + 1))
    .filter((other) => other !== text);

describe('an API key', () => {
  test('is well formed when it is made, and no two are alike', () => {
    const keys = Array.from({ length: 1_000 }, newApiKey);
    expect(new Set(keys).size).toBe(1_000);
    for (const key of keys) {
      expect(key).toMatch(/^dk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
      expect(isWellFormedApiKey(key)).toBe(true);
    }
  });

  test('with one wrong character is recognised as malformed', () => {
    const key = newApiKey();
    fc.assert(fc.property(changed(key), (other) => !isWellFormedApiKey(other)));
  });

  test('of any other text is malformed, and hashing it is a SHA-256', () => {
    fc.assert(fc.property(fc.string(), (text) => !isWellFormedApiKey(text)));
    expect(hashApiKey('abc').toString('hex')).toMatch(/^ba7816bf8f01cfea414140de5dae2223/);
  });
});

describe('a signature', () => {
  test('is verified for its own purpose, text and length only', () => {
    const texts = fc.tuple(fc.string(), fc.string(), fc.integer({ min: 8, max: 32 }));
    fc.assert(
      fc.property(texts, ([text, other, bytes]) => {
        const signature = signer.sign('flux-callback', text, bytes);
        expect(signature).toMatch(/^[\w-]+$/);
        expect(signer.verify('flux-callback', text, signature, bytes)).toBe(true);
        expect(signer.verify('event-cursor', text, signature, bytes)).toBe(false);
        expect(signer.verify('flux-callback', other, signature, bytes)).toBe(other === text);
        if (bytes < 32) expect(signer.verify('flux-callback', text, signature, bytes + 1)).toBe(false);
      }),
    );
  });

  test('of another secret is refused, and so is any other text', () => {
    const other = new Signer(Buffer.alloc(32, 2));
    expect(signer.verify('flux-callback', 'x', other.sign('flux-callback', 'x'))).toBe(false);
    fc.assert(fc.property(fc.string(), (text) => !signer.verify('flux-callback', 'x', text)));
  });
});

describe('an event cursor', () => {
  const LOG_ID = newId();
  const cursors = new EventCursors(signer, LOG_ID);

  test('gives back the position that it was made from', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (position) => {
        expect(cursors.decode(cursors.encode(position))).toBe(position);
      }),
    );
  });

  test('with any character changed, or of any other text, is refused', () => {
    const cursor = cursors.encode(123_456_789n);
    fc.assert(
      fc.property(changed(cursor), (other) => expect(() => cursors.decode(other)).toThrow(CursorInvalid)),
    );
    fc.assert(fc.property(fc.string(), (text) => expect(() => cursors.decode(text)).toThrow(CursorInvalid)));
  });

  test('with something after it is refused', () => {
    expect(() => cursors.decode(`${cursors.encode(1n)}.more`)).toThrow(CursorInvalid);
  });

  test('of another installation is refused', () => {
    const theirs = new EventCursors(new Signer(Buffer.alloc(32, 2)), LOG_ID);
    expect(() => cursors.decode(theirs.encode(1n))).toThrow(CursorInvalid);
  });

  test('of another database of the same installation is refused', () => {
    const theirs = new EventCursors(signer, newId());
    expect(() => cursors.decode(theirs.encode(1n))).toThrow(CursorInvalid);
  });

  test('does not show its position: neighbours have nothing in common', () => {
    const [one, other] = [Buffer.from(cursors.encode(1_000n)), Buffer.from(cursors.encode(1_001n))];
    expect(one.subarray(0, 10)).not.toEqual(other.subarray(0, 10));
    expect(one.subarray(-8)).not.toEqual(other.subarray(-8));
  });
});

test('an id is recognised, sorts by time, and nothing else is one', () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect([...ids].sort()).toEqual(ids);
  expect(ids.every(isId)).toBe(true);
  fc.assert(fc.property(fc.string(), (text) => !isId(text)));
  expect(isId(`${newId()}\n`)).toBe(false);
});
