import { expect, test } from '@jest/globals';
import { hashRequest, validateImageRequest } from '../../../src/services/tasks/request-validation.js';

const REQUEST = validateImageRequest('GENERATE', {
  prompt: 'a fox',
  idempotencyKey: 'key',
  priority: 'HIGH',
});

test('the hash of a request stays the same, because tasks with idempotency keys store it', () => {
  expect(hashRequest(REQUEST, null, null).toString('hex')).toBe(
    'ebfe1fb37602e724030d7bd732bb2cd7b80e40baacdd6178c32dc1849a5a16ad',
  );
});

test('a field that this version does not know leaves the hash of a request without it unchanged', () => {
  const later = { note: null, ...REQUEST, a: null };
  expect(hashRequest(later, null, null)).toEqual(hashRequest(REQUEST, null, null));
});

test('the order of names in the metadata, and the letter case of an ID, do not change the hash', () => {
  const hashOf = (metadata: object, sourceImageId: string) =>
    hashRequest(
      validateImageRequest('EDIT', { prompt: 'a fox', sourceImageId, metadata }),
      null,
      null,
    ).toString('hex');
  const id = '0190a5b0-7a3c-7b6e-9f00-0123456789ab';
  const one = JSON.parse('{"a":{"x":1,"y":[{"p":1,"q":2}]},"b":2,"__proto__":{"s":1,"t":2}}') as object;
  const other = JSON.parse('{"__proto__":{"t":2,"s":1},"b":2,"a":{"y":[{"q":2,"p":1}],"x":1}}') as object;
  expect(hashOf(other, id.toUpperCase())).toBe(hashOf(one, id));
  const different = [
    '{"a":{"x":1,"y":[{"p":1,"q":2}]},"b":2}',
    '{"a":[1,2]}',
    '{"a":[2,1]}',
    '{"a":{"0":1,"1":2}}',
  ];
  const hashes = [one, ...different.map((text) => JSON.parse(text) as object)].map((metadata) =>
    hashOf(metadata, id),
  );
  expect(new Set(hashes).size).toBe(hashes.length);
});

test('a field with a value changes the hash', () => {
  const later = { ...REQUEST, note: 'with love' };
  expect(hashRequest(later, null, null)).not.toEqual(hashRequest(REQUEST, null, null));
  expect(hashRequest(REQUEST, null, 'user')).not.toEqual(hashRequest(REQUEST, null, null));
  expect(hashRequest(REQUEST, 'user', null)).not.toEqual(hashRequest(REQUEST, null, 'user'));
});
