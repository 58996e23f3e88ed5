import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../../support/app/test-app.js';
import { startWithRoutes } from '../../support/app/routes.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

/** How a route authorizes a request. */
type Authorization =
  /** Public: the response reveals nothing about any workspace. */
  | { kind: 'public' }
  /** A signed link. `refusalStatus` answers requests without a valid signature. */
  | { kind: 'signed-link'; refusalStatus: number }
  /** An API key or client token with this scope. */
  | { kind: 'scope'; scope: string }
  /** An API key or client token. The fields of the GraphQL operation require their own scopes. */
  | { kind: 'operation' };

const ROUTES: Readonly<Record<string, Authorization>> = {
  'GET /healthz': { kind: 'public' },
  'GET /readyz': { kind: 'public' },
  'GET /.well-known/jwks.json': { kind: 'public' },
  'POST /callbacks/flux/:taskId/:token': { kind: 'signed-link', refusalStatus: 401 },
  'GET /images/:id': { kind: 'signed-link', refusalStatus: 403 },
  'PUT /uploads/:id': { kind: 'signed-link', refusalStatus: 403 },
  'POST /uploads/:id': { kind: 'signed-link', refusalStatus: 403 },
  'POST /flux/images': { kind: 'scope', scope: 'tasks:write' },
  'POST /flux/tasks': { kind: 'scope', scope: 'tasks:read' },
  'GET /openapi.json': { kind: 'public' },
  'GET /openapi': { kind: 'public' },
  'GET /openapi/': { kind: 'public' },
  'GET /openapi/start.js': { kind: 'public' },
  'GET /openapi/swagger-ui.css': { kind: 'public' },
  'GET /openapi/swagger-ui-bundle.js': { kind: 'public' },
  'GET /openapi/favicon-32x32.png': { kind: 'public' },
  'GET /ide/start.js': { kind: 'public' },
  'GET /ide/*file': { kind: 'public' },
  'GET /usage.csv': { kind: 'scope', scope: 'audit:read' },
  'GET /events': { kind: 'scope', scope: 'tasks:read' },
  'GET /tasks/:id/events': { kind: 'scope', scope: 'tasks:read' },
  'GET /graphql/stream': { kind: 'operation' },
  'POST /graphql/stream': { kind: 'operation' },
};

let app: TestApp;
let routes: string[];
let keyWithoutScopes: string;
beforeAll(async () => {
  // With a real upstream the sandbox is not mounted, which leaves the routes of a production installation.
  const environment = {
    ...{ FLUX_API_TOKEN: 'x', FLUX_BASE_URL: 'http://127.0.0.1:9', ROLES: 'api' },
    GRAPHQL_IDE: 'on',
  };
  ({ app, routes } = await startWithRoutes({ environment }));
  keyWithoutScopes = await addWorkspaceWithKey(app, []);
});
afterAll(() => app.stop());

async function send(route: string, headers: Record<string, string>) {
  const [method = '', pattern = ''] = route.split(' ');
  const path = pattern.replace(/:\w+/g, () => newId()).replace('*file', 'main.js');
  const query = '?query={tasks{nodes{id}}}';
  const url = `${app.url}${path}${/^GET .*graphql/.test(route) ? query : ''}`;
  const response = await fetch(url, { method, ...bodyOf(route, headers) });
  return { status: response.status, text: await response.text() };
}

function bodyOf(route: string, headers: Record<string, string>) {
  if (route.startsWith('GET')) return { headers };
  if (route === 'POST /uploads/:id') {
    const body = new FormData();
    body.set('file', new Blob(['x']));
    return { headers, body };
  }
  const body = '{"query":"{tasks{nodes{id}}}"}';
  return { headers: { 'content-type': 'application/json', ...headers }, body };
}

describe('route authorization', () => {
  test('every route is listed with its authorization', () => {
    expect([...routes].sort()).toEqual(Object.keys(ROUTES).sort());
  });

  test.each(Object.entries(ROUTES))('%s requires its authorization', async (route, authorization) => {
    const without = await send(route, {});
    const withoutScopes = await send(route, { authorization: `Bearer ${keyWithoutScopes}` });
    if (authorization.kind === 'public') expect([200, 503]).toContain(without.status);
    if (authorization.kind === 'signed-link') {
      expect(without.status).toBe(authorization.refusalStatus);
      const withKey = await send(route, { authorization: `Bearer ${app.apiKey}` });
      expect(withKey.status).toBe(authorization.refusalStatus);
    }
    if (authorization.kind === 'scope') {
      expect(without.status).toBe(401);
      expect(withoutScopes.status).toBe(403);
      expect(withoutScopes.text).toContain(authorization.scope);
    }
    if (authorization.kind === 'operation') {
      expect(without.status).toBe(401);
      expect(withoutScopes.text).toContain('FORBIDDEN');
    }
  });

  test('/graphql authenticates every method before it reads the body', async () => {
    for (const method of ['GET', 'POST', 'PUT']) {
      const { status } = await fetch(`${app.url}/graphql?query={viewer{keyId}}`, { method });
      expect(status).toBe(401);
    }
  });
});
