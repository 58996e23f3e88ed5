import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseUpstreamJson } from '../../../../src/core/primitives/encoding/upstream-json.js';
import { decodeLeniently } from '../../../../src/core/primitives/encoding/utf8.js';

const read = (bytes: Buffer) => parseUpstreamJson(decodeLeniently(bytes));

describe('the JSON of an upstream', () => {
  test.each<[string, Buffer]>([
    ['a byte order mark', Buffer.from('\uFEFF{"a":"ü"}')],
    ['UTF-16', Buffer.from('\uFEFF{"a":"ü"}', 'utf16le')],
    ['big-endian UTF-16', Buffer.from('\uFEFF{"a":"ü"}', 'utf16le').swap16()],
  ])('is read with %s', (_what, bytes) => {
    expect(read(bytes)).toEqual({ a: 'ü' });
  });

  test('is read with bytes that are not UTF-8', () => {
    expect(read(Buffer.from('{"prompt":"M\xfcnchen","seed":1}', 'latin1'))).toEqual({
      prompt: 'M\uFFFDnchen',
      seed: 1,
    });
  });

  test('keeps numbers that would be rounded as text with the same digits', () => {
    const json = '{"seed":12345678901234567890,"b":[-9007199254740993,1e400],"c":9007199254740991,"d":0.1}';
    expect(parseUpstreamJson(json)).toEqual({
      seed: '12345678901234567890',
      b: ['-9007199254740993', '1e400'],
      c: 9007199254740991,
      d: 0.1,
    });
    expect(parseUpstreamJson('{"a":"12345678901234567890 \\"9007199254740993"}')).toEqual({
      a: '12345678901234567890 "9007199254740993',
    });
  });

  test.each<[string, string, unknown]>([
    ['floats that JSON does not have', '[NaN,-Infinity,Infinity,"NaN",-1]', [null, null, null, 'NaN', -1]],
    ['a line break in a string', '{"a":"x\ny\t"}', { a: 'x\ny\t' }],
    ['an unknown escape', String.raw`{"a":"it\'s \\ \x \u12"}`, { a: String.raw`it\'s \ \x \u12` }],
    ['commas at the end', '{"a":[1,2, ],"b":", ]",}', { a: [1, 2], b: ', ]' }],
  ])('is read with %s', (_what, json, value) => {
    expect(parseUpstreamJson(json)).toEqual(value);
  });

  test.each(['', '<html>', '{"a":"x', '{"data":[{"image_url":"https://x/y.png"', '{"a":1}{"b":2}', 'nul'])(
    'is undefined if it is %j',
    (text) => {
      expect(parseUpstreamJson(text)).toBeUndefined();
    },
  );

  test('is what JSON.parse makes of it, for any value with exact numbers, and never fails for any text', () => {
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(value, (one) => {
        const json = JSON.stringify(one);
        fc.pre(!/\d{16}|e[+-]?\d/i.test(json));
        expect(parseUpstreamJson(json)).toEqual(JSON.parse(json));
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void read(Buffer.from(bytes))));
  });
});
