import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isId, newId } from '../../../src/core/primitives/ids.js';

test('an ID is recognized and sorts by time, and no other text is an ID', () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect([...ids].sort()).toEqual(ids);
  expect(ids.every(isId)).toBe(true);
  fc.assert(fc.property(fc.string(), (text) => !isId(text)));
  expect(isId(`${newId()}\n`)).toBe(false);
});
