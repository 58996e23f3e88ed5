import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';

const ORIGIN = 'https://frontend.example';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

async function preflight(path: string, headers: string): Promise<{ status: number; headers: Headers }> {
  return fetch(app.url + path, {
    method: 'OPTIONS',
    headers: {
      origin: ORIGIN,
      'access-control-request-method': 'POST',
      'access-control-request-headers': headers,
    },
  });
}

describe('a page of another origin', () => {
  test('may send GraphQL with an API key and an idempotency key, and caches the preflight for two hours', async () => {
    const requested = ['authorization', 'content-type', 'idempotency-key'];
    const { status, headers } = await preflight('/graphql', requested.join(','));
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe('*');
    expect(headers.get('access-control-allow-headers')?.toLowerCase().split(/, */).sort()).toEqual(requested);
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    expect(headers.get('access-control-max-age')).toBe('7200');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
  });

  test('may read responses, also errors', async () => {
    const body = { query: '{ viewer { keyName } }' };
    const success = await app.postBody('/graphql', body, {
      origin: ORIGIN,
      authorization: `Bearer ${app.apiKey}`,
    });
    const failure = await app.postBody('/graphql', body, { origin: ORIGIN });
    expect([success.status, failure.status]).toEqual([200, 401]);
    for (const { headers } of [success, failure]) expect(headers['access-control-allow-origin']).toBe('*');
  });

  test('may read an image', async () => {
    const { id } = await app.generate({ prompt: 'read from another origin', size: '256x256' });
    const [image] = (await app.waitUntilSettled(id)).images;
    const { status, headers } = await app.get(pathAndQuery(image?.url), { origin: ORIGIN });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
    });
  });
});

test.each(['/healthz', '/readyz'])('%s does not allow other origins', async (path) => {
  const { status, headers } = await app.get(path, { origin: ORIGIN });
  expect(status).toBe(200);
  expect(headers).not.toHaveProperty('access-control-allow-origin');
});
