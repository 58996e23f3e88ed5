import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

test('the result of an introspection query takes one byte for each character', () => {
  // One character beyond Latin-1 makes V8 keep the whole result with two bytes for each.
  const schema = readFileSync(new URL('../../../schema.graphql', import.meta.url), 'utf8');
  expect(schema.match(/[\u{100}-\u{10ffff}]/gu)).toBeNull();
});
