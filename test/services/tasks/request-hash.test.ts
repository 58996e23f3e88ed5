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

test('a field with a value changes the hash', () => {
  const later = { ...REQUEST, note: 'with love' };
  expect(hashRequest(later, null, null)).not.toEqual(hashRequest(REQUEST, null, null));
  expect(hashRequest(REQUEST, null, 'user')).not.toEqual(hashRequest(REQUEST, null, null));
  expect(hashRequest(REQUEST, 'user', null)).not.toEqual(hashRequest(REQUEST, null, 'user'));
});
