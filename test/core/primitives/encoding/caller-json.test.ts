import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readCallerJson } from '../../../../src/core/primitives/encoding/caller-json.js';
import { jsonEnd } from '../../../../src/core/primitives/encoding/json-scanner.js';

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const bytesOf = (...parts: (string | number[] | Buffer)[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)));
const refusalOf = (bytes: Buffer): unknown => {
  try {
    return { value: readCallerJson(bytes) };
  } catch (error) {
    return error;
  }
};
const expectRefusal = (bytes: Buffer, message: RegExp) =>
  expect(refusalOf(bytes)).toMatchObject({
    code: 'BAD_REQUEST',
    message: expect.stringMatching(message) as unknown,
  });

describe('the JSON of a caller', () => {
  test.each<[string, Buffer, number]>([
    ['Latin-1', bytesOf('{"a":"M', [0xfc], 'nchen"}'), 7],
    ['Windows-1252 quotes', bytesOf('{"a":"', [0x93], 'x"}'), 6],
    ['a character that was cut off', bytesOf('"', [0xe7, 0x8c]), 1],
    ['an encoded surrogate (CESU-8)', bytesOf('"', [0xed, 0xa0, 0xbd], '"'), 1],
    ['an overlong slash', bytesOf('"', [0xc0, 0xaf], '"'), 1],
    ['a byte behind a real replacement character', bytesOf('"\uFFFD ü', [0xff], '"'), 7],
    ['a byte behind a byte order mark', bytesOf(BOM, '"', [0xff], '"'), 4],
  ])('is refused with the offset of the first byte that is not UTF-8: %s', (_what, bytes, offset) => {
    expectRefusal(bytes, new RegExp(`^The request body is not valid UTF-8 at byte ${offset} \\(0x`));
  });

  test.each<[string, Buffer]>([
    ['little-endian with a mark', Buffer.from('\uFEFF{"a":1}', 'utf16le')],
    ['big-endian with a mark', Buffer.from('\uFEFF{"a":1}', 'utf16le').swap16()],
    ['without a mark', Buffer.from('{"a":1}', 'utf16le')],
  ])('is refused with the word UTF-16 if it is UTF-16 %s', (_what, bytes) => {
    expectRefusal(bytes, /UTF-16/);
  });

  test.each<[string, string, number]>([
    ['a high surrogate', '{"ü":"\\ud83d"}', 7],
    ['a low surrogate', '["\\ude00"]', 2],
    ['a pair in the wrong order', '["\\ude00\\ud83d"]', 2],
    ['two high ones and a low one', '["\\ud83d\\ud83d\\ude00"]', 2],
    ['a half before another escape', '["\\ud83d\\n"]', 2],
    ['a half as a name', '{"\\uDBFF":1}', 2],
    ['a half behind an escaped backslash', '["\\\\\\ud83d"]', 4],
  ])('is refused with the offset of a lone surrogate: %s', (_what, json, offset) => {
    expectRefusal(Buffer.from(json), new RegExp(`lone surrogate \\(\\\\u\\w{4}\\) at byte ${offset}\\.`));
  });

  test('may have surrogate pairs, and backslashes before letters that look like a surrogate', () => {
    expect(readCallerJson(Buffer.from('["\\ud83d\\ude00","\\\\ud83d"]'))).toEqual(['😀', '\\ud83d']);
  });

  test.each([
    ...['9007199254740992', '9007199254740993', '-9007199254740993', '12345678901234567890'],
    ...['1e16', '1E400', '-1e400', '9007199254740993.0', '1e-400', `1${'0'.repeat(400)}`],
  ])('is refused if it has the number %s, which cannot be kept', (literal) => {
    expectRefusal(Buffer.from(`{"a":[${literal}]}`), /at byte 6, which cannot be kept exactly/);
  });

  test.each([
    ...['9007199254740991', '-9007199254740991', '0.1', '-0.5e-7', '1e15', '0e999', '0.0', '5e-324'],
    '3.14159265358979',
  ])('may have the number %s', (literal) => {
    expect(readCallerJson(Buffer.from(`{"a":${literal}}`))).toEqual({ a: Number(literal) });
  });

  test.each<[string, string, string]>([
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('may have 200 levels, and is refused with the place of the next one: %s', (_what, open, close) => {
    const nested = (levels: number) => Buffer.from(`${open.repeat(levels)}1${close.repeat(levels)}`);
    expect(refusalOf(nested(200))).toHaveProperty('value');
    const message = new RegExp(`has more than 200 levels at byte ${200 * open.length}\\.`);
    expectRefusal(nested(201), message);
    expectRefusal(nested(100_000), message);
    expectRefusal(Buffer.from(open.repeat(100_000)), message);
  });

  test.each<[string, string]>([
    ['numbers', '1'],
    ['lists', '[]'],
    ['objects', '{}'],
  ])('may have 50,000 values, and is refused with the place of the next one: %s', (_what, value) => {
    const has = value === '1' ? 1 : 2;
    const listOf = (count: number) => Buffer.from(`[${Array<string>(count).fill(value).join(',')}]`);
    const most = Math.floor((50_000 - 1) / has);
    expect(refusalOf(listOf(most))).toHaveProperty('value');
    expectRefusal(listOf(most + 1), /has more than 50000 values at byte \d+\./);
    expectRefusal(listOf(300_000), /has more than 50000 values at byte \d+\./);
  });

  test('may have brackets in strings, whatever their number', () => {
    const value = [`${'['.repeat(300)}\\"${'{'.repeat(300)}`];
    expect(readCallerJson(Buffer.from(JSON.stringify(value)))).toEqual(value);
  });

  test('may have digits in strings, whatever their number', () => {
    const value = { '12345678901234567890': '1e999 \\" 9007199254740993' };
    expect(readCallerJson(Buffer.from(JSON.stringify(value)))).toEqual(value);
  });

  test.each<[string, string]>([
    ['{"a":1,"b":{"a":1},"a":2}', 'a'],
    ['[{"a":{"é":1,"\\u00e9":2}}]', 'é'],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ])('is refused if an object has a field twice: %s', (json, name) => {
    expectRefusal(
      Buffer.from(json),
      new RegExp(`has the field "${name}" twice in one object at byte \\d+\\.`),
    );
  });

  test('may have the same name in different objects, as a value, and as an own field `__proto__`', () => {
    const json = '{"a":{"a":"a"},"b":[{"a":1},{"a":1}],"__proto__":1}';
    expect(JSON.stringify(readCallerJson(Buffer.from(json)))).toBe(json);
  });

  test('loses its byte order mark, but none inside', () => {
    expect(readCallerJson(bytesOf(BOM, '"\uFEFFa"'))).toBe('\uFEFFa');
    expectRefusal(bytesOf(BOM, BOM, '1'), /not valid JSON/);
  });

  test('is what JSON.parse makes of it, for any value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.nat(4), (value, indent) => {
        const json = JSON.stringify(value, null, indent);
        const result = refusalOf(Buffer.from(json));
        if (result instanceof Error) expect(json).toMatch(/\d{16}|e[+-]?\d/i);
        else expect(result).toEqual({ value: JSON.parse(json) as unknown });
      }),
    );
  });

  test.each([
    ['', 0],
    ['{"query":"{tasks(first:1', 24],
    ['{"a":1', 6],
    ["{'prompt':'x'}", 1],
    ['{"prompt":"x",}', 14],
    ['[1,]', 3],
    ['{"a" 1}', 5],
    ['{"a":1 "b":2}', 7],
    ['{"a":tru}', 5],
    ['{"a":01}', 5],
    ['{"a":1.}', 5],
    ['{"a":+1}', 5],
    ['{"a":NaN}', 5],
    ['{"a":"\\x"}', 6],
    ['{"a":"\\\\\\u12"}', 8],
    ['{"a":"line\nbreak"}', 10],
    ['{}}', 2],
    ['[}', 1],
    ['{"猫":é}', 7],
    ['1 2', 2],
  ])('that is none is refused with the byte at which it stops being any: %s', (text, byte) => {
    expect(() => readCallerJson(Buffer.from(text))).toThrow(`is not valid JSON at byte ${byte}.`);
  });

  test('ends at its end, for any value, and where a character is put in that never belongs there', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (json, at) => {
        expect(jsonEnd(json)).toBe(json.length);
        const index = at % json.length;
        // Within a number, a word or an escape, the whole of it is wrong.
        const end = jsonEnd(`${json.slice(0, index)}\u0001${json.slice(index)}`);
        expect(end).toBeLessThanOrEqual(index);
        expect(json.slice(end, index)).toMatch(/^\\?[\w.+-]*$/);
      }),
      { numRuns: 1_000 },
    );
  });
});
