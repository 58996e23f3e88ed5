import { expect, test } from '@jest/globals';
import { parseUrl } from '../../../src/core/primitives/url.js';

test('an address with letters that are not ASCII is one however often it is asked about', () => {
  // Far more than the engine runs before it compiles a function.
  for (let time = 0; time < 50_000; time += 1) {
    if (parseUrl('http://bücher.example/é.png') === null) throw new Error(`No URL at time ${time}.`);
  }
  expect(parseUrl('http://bücher.example/é.png')?.href).toBe('http://xn--bcher-kva.example/%C3%A9.png');
});

test('what is no address is null, and what is relative needs a base', () => {
  expect([parseUrl(''), parseUrl('http://'), parseUrl('/a')]).toEqual([null, null, null]);
  expect(parseUrl('/a', 'http://a.example/b')?.href).toBe('http://a.example/a');
});
