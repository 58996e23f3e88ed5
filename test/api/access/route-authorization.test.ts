import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../../support/app/test-app.js';
import { startWithRoutes } from '../../support/app/routes.js';
import { addWorkspace } from '../../support/access/workspaces.js';

/** What a route asks for, besides what a client sends. */
type Needs =
  /** Nothing: it tells nothing of anybody. */
  | { kind: 'nothing' }
  /** A link that we signed, for whoever was given it. */
  | { kind: 'link'; refused: number }
  /** A key or token with this scope. */
  | { kind: 'scope'; scope: string }
  /** A key or token; the fields of the operation state their scopes. */
  | { kind: 'operation' };

const ROUTES: Readonly<Record<string, Needs>> = {
  'GET /healthz': { kind: 'nothing' },
  'GET /readyz': { kind: 'nothing' },
  'GET /.well-known/jwks.json': { kind: 'nothing' },
  'POST /callbacks/flux/:taskId/:token': { kind: 'link', refused: 401 },
  'GET /images/:id': { kind: 'link', refused: 403 },
  'PUT /uploads/:id': { kind: 'link', refused: 403 },
  'POST /uploads/:id': { kind: 'link', refused: 403 },
  'POST /flux/images': { kind: 'scope', scope: 'tasks:write' },
  'POST /flux/tasks': { kind: 'scope', scope: 'tasks:read' },
  'GET /openapi.json': { kind: 'nothing' },
  'GET /openapi': { kind: 'nothing' },
  'GET /openapi/': { kind: 'nothing' },
  'GET /openapi/start.js': { kind: 'nothing' },
  'GET /openapi/swagger-ui.css': { kind: 'nothing' },
  'GET /openapi/swagger-ui-bundle.js': { kind: 'nothing' },
  'GET /openapi/favicon-32x32.png': { kind: 'nothing' },
  'GET /ide/start.js': { kind: 'nothing' },
  'GET /ide/*file': { kind: 'nothing' },
  'GET /usage.csv': { kind: 'scope', scope: 'audit:read' },
  'GET /events': { kind: 'scope', scope: 'tasks:read' },
  'GET /tasks/:id/events': { kind: 'scope', scope: 'tasks:read' },
  'GET /graphql/stream': { kind: 'operation' },
  'POST /graphql/stream': { kind: 'operation' },
};

let app: TestApp;
let routes: string[];
let powerless: string;
beforeAll(async () => {
  // A real upstream has no sandbox mounted: what is left are the routes of every installation.
  const environment = {
    ...{ FLUX_API_TOKEN: 'x', FLUX_BASE_URL: 'http://127.0.0.1:9', ROLES: 'api' },
    GRAPHQL_IDE: 'on',
  };
  ({ app, routes } = await startWithRoutes({ environment }));
  powerless = await addWorkspace(app, []);
});
afterAll(() => app.stop());

async function ask(route: string, headers: Record<string, string>) {
  const [method = '', pattern = ''] = route.split(' ');
  const path = pattern.replace(/:\w+/g, () => newId()).replace('*file', 'main.js');
  const query = '?query={tasks{nodes{id}}}';
  const url = `${app.url}${path}${path.includes('graphql') ? query : ''}`;
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

describe('the routes', () => {
  test('are all in the table that says what they need', () => {
    expect([...routes].sort()).toEqual(Object.keys(ROUTES).sort());
  });

  test.each(Object.entries(ROUTES))('%s asks for what it needs', async (route, needs) => {
    const without = await ask(route, {});
    const withPowerless = await ask(route, { authorization: `Bearer ${powerless}` });
    if (needs.kind === 'nothing') expect([200, 503]).toContain(without.status);
    if (needs.kind === 'link') {
      expect(without.status).toBe(needs.refused);
      const withKey = await ask(route, { authorization: `Bearer ${app.key}` });
      expect(withKey.status).toBe(needs.refused);
    }
    if (needs.kind === 'scope') {
      expect(without.status).toBe(401);
      expect(withPowerless.status).toBe(403);
      expect(withPowerless.text).toContain(needs.scope);
    }
    if (needs.kind === 'operation') {
      expect(without.status).toBe(401);
      expect(withPowerless.text).toContain('FORBIDDEN');
    }
  });

  test('include GraphQL, which asks for a caller before it reads the body', async () => {
    for (const method of ['GET', 'POST', 'PUT']) {
      const { status } = await fetch(`${app.url}/graphql?query={viewer{keyId}}`, { method });
      expect(status).toBe(401);
    }
  });
});
