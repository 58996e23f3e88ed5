import { expect, test } from '@jest/globals';
import { parseUrl } from '../../../src/core/primitives/url.js';

test('a URL with letters outside ASCII is parsed, however often it is parsed', () => {
  // Far more runs than V8 needs before it compiles a function.
  for (let run = 0; run < 50_000; run += 1) {
    if (parseUrl('http://bücher.example/é.png') === null) throw new Error(`Not parsed in run ${run}.`);
  }
  expect(parseUrl('http://bücher.example/é.png')?.href).toBe('http://xn--bcher-kva.example/%C3%A9.png');
});

test('a text that is not a URL gives null, and a relative URL needs a base', () => {
  expect([parseUrl(''), parseUrl('http://'), parseUrl('/a')]).toEqual([null, null, null]);
  expect(parseUrl('/a', 'http://a.example/b')?.href).toBe('http://a.example/a');
});
