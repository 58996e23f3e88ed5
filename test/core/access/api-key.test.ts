import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { generateApiKey, hashApiKey, isWellFormedApiKey } from '../../../src/core/access/api-key.js';
import { oneCharacterChanged } from '../../support/arbitrary-text.js';

describe('an API key', () => {
  test('is well formed and unique when it is generated', () => {
    const keys = Array.from({ length: 1_000 }, generateApiKey);
    expect(new Set(keys).size).toBe(1_000);
    for (const key of keys) {
      expect(key).toMatch(/^dk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
      expect(isWellFormedApiKey(key)).toBe(true);
    }
  });

  test('with one wrong character is malformed', () => {
    const key = generateApiKey();
    fc.assert(fc.property(oneCharacterChanged(key), (other) => !isWellFormedApiKey(other)));
  });

  test('is hashed with SHA-256, and any other text is malformed', () => {
    fc.assert(fc.property(fc.string(), (text) => !isWellFormedApiKey(text)));
    expect(hashApiKey('abc').toString('hex')).toMatch(/^ba7816bf8f01cfea414140de5dae2223/);
  });
});
