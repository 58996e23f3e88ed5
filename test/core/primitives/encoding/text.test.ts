import { describe, expect, test } from '@jest/globals';
import { isBlank } from '../../../../src/core/primitives/encoding/blank-text.js';
import { headerText } from '../../../../src/core/primitives/encoding/header-text.js';
import { oneLineJson } from '../../../../src/core/primitives/encoding/one-line-json.js';

/** Where Python's `str.splitlines` and similar splitters end a line. */
// eslint-disable-next-line no-control-regex -- separators of files, records and groups
const LINE_BREAKS = /[\n\r\v\f\u001c-\u001e\u0085\u2028\u2029]/;

test('JSON of one line has no character that ends a line, and the same value', () => {
  const value = { 'a\u2028': 'x\u2028y\u2029z\u0085\n\r\v\f\u001c\u001d\u001e' };
  const json = oneLineJson(value);
  expect(json).not.toMatch(LINE_BREAKS);
  expect(JSON.parse(json)).toEqual(value);
});

describe('blank text', () => {
  test.each([
    '',
    ' \t\n',
    '\u200b',
    '\u200b\u200d\ufeff\u2060',
    '\u3164',
    '\u2800',
    '\u00ad\u061c',
    '\u{e0020}',
    '\0',
  ])('is %j', (text) => {
    expect(isBlank(text)).toBe(true);
  });

  test.each(['a', '.', '猫', '\u200bкот\u200b', '👩‍👩‍👧', '\u0301', '0'])('is not %j', (text) => {
    expect(isBlank(text)).toBe(false);
  });
});

describe('the text of a header', () => {
  const received = (text: string) => Buffer.from(text).toString('latin1');

  test('is what its bytes are in UTF-8', () => {
    expect(headerText([received('größe-猫')], 'Idempotency-Key')).toBe('größe-猫');
    expect(headerText(undefined, 'Idempotency-Key')).toBeUndefined();
  });

  test('is refused if its bytes are not UTF-8, or if it is repeated', () => {
    expect(() => headerText(['gr\xf6\xdfe'], 'Idempotency-Key')).toThrow(
      /^The header `Idempotency-Key` is not valid UTF-8 at byte 2 \(0xF6\)\./,
    );
    expect(() => headerText(['a', 'b'], 'Idempotency-Key')).toThrow(/occurs 2 times/);
  });
});
