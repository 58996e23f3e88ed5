import { expect, test } from '@jest/globals';
import { linkExpiry } from '../../../src/core/images/link-expiry.js';

test.each([
  [
    'S3 (version 4)',
    'X-Amz-Date=20261129T080000Z&X-Amz-Expires=3600&X-Amz-Signature=ab',
    '2026-11-29T09:00:00.000Z',
  ],
  ['S3 (version 2), OSS', 'Expires=1796025600&OSSAccessKeyId=a&Signature=b', '2026-11-30T08:00:00.000Z'],
  ['CloudFront', 'Expires=1796025600&Key-Pair-Id=K&Signature=b', '2026-11-30T08:00:00.000Z'],
  [
    'Google Cloud Storage',
    'X-Goog-Date=20261129T080000Z&X-Goog-Expires=60&X-Goog-Signature=b',
    '2026-11-29T08:01:00.000Z',
  ],
  ['Azure', 'sv=2024-11-04&se=2026-11-29T08%3A00%3A00Z&sr=b&sig=x', '2026-11-29T08:00:00.000Z'],
  ['a number of milliseconds', 'token=a&expires=1796025600000', '2026-11-30T08:00:00.000Z'],
])('a signed link of %s says until when it works', (_host, query, expected) => {
  expect(linkExpiry(`https://images.example/a.png?${query}`)?.toISOString()).toBe(expected);
});

test.each([
  null,
  'https://images.example/a.png',
  'https://images.example/a.png?e=1',
  'https://images.example/a.png?expires=3600',
  'https://images.example/a.png?Expires=soon',
  'https://images.example/a.png?Expires=99999999999999999999',
  'https://images.example/a.png?X-Amz-Date=20269999T999999Z&X-Amz-Expires=3600',
  'https://images.example/a.png?se=2026-11-29&sr=b',
  'https://images.example/a.png?sig=x&se=later',
])('%s does not say so', (url) => {
  expect(linkExpiry(url)).toBeNull();
});
