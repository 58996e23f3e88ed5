import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Signer } from '../../../src/core/access/signer.js';
import { CursorInvalid } from '../../../src/core/errors.js';
import { EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { oneCharacterChanged } from '../../support/arbitrary-text.js';

const signer = new Signer(Buffer.alloc(32, 1));

describe('an event cursor', () => {
  const LOG_ID = newId();
  const cursors = new EventCursorCodec(signer, LOG_ID);

  test('decodes to the position that it was made from', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (position) => {
        expect(cursors.decode(cursors.encode(position))).toBe(position);
      }),
    );
  });

  test('with a changed character is rejected, and so is any other text', () => {
    const cursor = cursors.encode(123_456_789n);
    fc.assert(
      fc.property(oneCharacterChanged(cursor), (other) =>
        expect(() => cursors.decode(other)).toThrow(CursorInvalid),
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => expect(() => cursors.decode(text)).toThrow(CursorInvalid)));
  });

  test('with trailing characters is rejected', () => {
    expect(() => cursors.decode(`${cursors.encode(1n)}.more`)).toThrow(CursorInvalid);
  });

  test('of another installation is rejected', () => {
    const otherCursors = new EventCursorCodec(new Signer(Buffer.alloc(32, 2)), LOG_ID);
    expect(() => cursors.decode(otherCursors.encode(1n))).toThrow(CursorInvalid);
  });

  test('of another database of the same installation is rejected', () => {
    const otherCursors = new EventCursorCodec(signer, newId());
    expect(() => cursors.decode(otherCursors.encode(1n))).toThrow(CursorInvalid);
  });

  test('does not reveal its position: the cursors of neighbours have nothing in common', () => {
    const [one, other] = [Buffer.from(cursors.encode(1_000n)), Buffer.from(cursors.encode(1_001n))];
    expect(one.subarray(0, 10)).not.toEqual(other.subarray(0, 10));
    expect(one.subarray(-8)).not.toEqual(other.subarray(-8));
  });
});
