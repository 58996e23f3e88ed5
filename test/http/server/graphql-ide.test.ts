import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';

/** The header that a browser sends when a person enters a URL. */
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
});
afterAll(() => app.stop());

describe('a browser that opens /graphql', () => {
  test.each(['/graphql', '/graphql/'])('gets a page at %s whose files are all served here', async (path) => {
    const { status, headers, bytes } = await app.get(path, BROWSER);
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    const page = bytes.toString();
    const [, base = ''] = /<base href="([^"]+)"/.exec(page) ?? [];
    const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(5);
    for (const link of links.filter((link) => link !== base)) {
      const { origin, pathname } = new URL(link, new URL(base, `${app.url}${path}`));
      const file = await app.get(pathname);
      expect([link, origin, file.status]).toEqual([link, app.url, 200]);
      expect(file.headers['content-type']).toMatch(/^(text\/(css|javascript)|image\/)/);
    }
  });

  test('gets a policy that limits the page to this origin', async () => {
    const policy = (await app.get('/graphql', BROWSER)).headers['content-security-policy'] ?? '';
    const sources = policy.split(';').flatMap((directive) => directive.trim().split(' ').slice(1));
    expect([...new Set(sources)].sort()).toEqual(["'none'", "'self'", "'unsafe-inline'", 'data:']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("connect-src 'self';");
  });

  test('gets no page when it sends a query', async () => {
    const { status, json } = await app.get('/graphql?query={__typename}', {
      ...BROWSER,
      authorization: `Bearer ${app.apiKey}`,
      'apollo-require-preflight': 'yes',
    });
    expect([status, json]).toEqual([200, { data: { __typename: 'Query' } }]);
  });
});

test.each([
  '/ide/index.html',
  '/ide/iframe-sandbox/index.html',
  '/ide/..%2f..%2findex.js',
  '/ide/nothing.js',
])('%s does not exist', async (path) => {
  expect((await app.get(path)).status).toBe(404);
});

test('a program that requests /graphql needs an API key', async () => {
  for (const accept of ['*/*', 'application/json', 'application/graphql-response+json'])
    expect((await app.get('/graphql', { accept })).status).toBe(401);
});

test('GRAPHQL_IDE=off disables the page and its files', async () => {
  const off = await TestApp.start({ environment: { ROLES: 'api', GRAPHQL_IDE: 'off' } });
  try {
    expect((await off.get('/graphql', BROWSER)).status).toBe(401);
    expect((await off.get('/ide/main.js')).status).toBe(404);
  } finally {
    await off.stop();
  }
});
