import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  parseQueryString,
  requireKnownParameters,
  singleParameter,
} from '../../../../src/core/primitives/encoding/query-string.js';

describe('a query string', () => {
  test('is read as URLSearchParams reads it, if it is UTF-8', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab=&+%20ü猫😀?_[]') });
    fc.assert(
      fc.property(text, (search) => {
        const ascii = encodeURI(search);
        const expected: Record<string, string | string[]> = {};
        for (const name of new URLSearchParams(ascii).keys()) {
          const all = new URLSearchParams(ascii).getAll(name);
          expected[name] = all.length > 1 ? all : (all[0] ?? '');
        }
        fc.pre(!JSON.stringify(expected).includes('\uFFFD'));
        expect({ ...parseQueryString(ascii) }).toEqual(expected);
      }),
    );
  });

  test.each([
    ['?a=M%FCnchen', /^The parameter `a` is not valid UTF-8 at byte 1 \(0xFC\)\./],
    ['b=1&a=%ED%A0%BD', /^The parameter `a` is not valid UTF-8 at byte 0 \(0xED\)\./],
    ['a%FF=1', /^A name of a parameter is not valid UTF-8 at byte 1 \(0xFF\)\./],
  ])('with bytes that are not UTF-8 is refused with their offset: %s', (search, message) => {
    expect(() => parseQueryString(search)).toThrow(message);
  });

  test('can have a parameter once, several times or under a name that objects inherit', () => {
    const parameters = parseQueryString('?a=1&b=2&b=3&b=&__proto__=4&toString');
    expect(singleParameter(parameters, 'a')).toBe('1');
    expect(singleParameter(parameters, '__proto__')).toBe('4');
    expect(singleParameter(parameters, 'hasOwnProperty')).toBeUndefined();
    expect(parameters['b']).toEqual(['2', '3', '']);
    expect(() => singleParameter(parameters, 'b')).toThrow('The parameter `b` occurs 3 times. Send it once.');
    expect(() => requireKnownParameters(parameters, ['a', 'b'])).toThrow(
      /^Unknown query parameter `__proto__`\./,
    );
  });
});
