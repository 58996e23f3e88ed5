import { readFileSync } from 'node:fs';
import { type IncomingMessage, type RequestListener } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import express, { type Router } from 'express';
import { DAY_MS } from '../../core/primitives/clock.js';
import { securityHeaders } from './security-headers.js';

/** Allows requests to this origin only, so that Altair's cloud service and its CDN plugins are unreachable. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Served as a file, because the policy allows no inline scripts. Subscriptions use server-sent events, which send the same
 * headers as queries, so that people enter their API key once.
 */
const START_SCRIPT = `const graphqlUrl = new URL('../../graphql', import.meta.url).href;
AltairGraphQL.init({
  endpointURL: graphqlUrl,
  subscriptionsEndpoint: graphqlUrl + '/stream',
  initialSubscriptionRequestHandlerId: 'graphql-sse',
  initialHeaders: { Authorization: 'Bearer dk_' },
  initialQuery: '{ viewer { workspaceName keyName scopes } }',
  disableAccount: true,
});
`;

/** Serves the files of the GraphQL IDE, except for its sandbox frame, which runs scripts that people enter. */
export function ideAssetRoutes(): Router {
  const router = express.Router();
  const root = altairRoot();
  router.get('/ide/start.js', (_request, response) => {
    response.type('text/javascript').send(START_SCRIPT);
  });
  router.get('/ide/*file', (request, response, next) => {
    const name = request.path.slice('/ide/'.length);
    if (name === 'index.html' || name.startsWith('iframe-sandbox')) return next();
    response.sendFile(name, { root, maxAge: DAY_MS }, (error) => {
      if (error && !response.headersSent) next();
    });
  });
  return router;
}

/** Whether a browser opens `/graphql` as a page, in contrast to a GraphQL request. */
export function isIdeRequest({ method, url = '', headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    /^\/graphql\/?$/.test(url) &&
    headers.accept?.toLowerCase().includes('text/html') === true
  );
}

/** Serves the IDE's page at `/graphql`. The page needs no authentication, because people enter their API key in it. */
export function createIdeHandler(): RequestListener {
  const page = readFileSync(join(altairRoot(), 'index.html'), 'utf8')
    .replace('<title>Altair</title>', '<title>Darkroom: GraphQL</title>')
    .replace('</body>', '<script type="module" src="start.js"></script></body>');
  const headers = {
    ...securityHeaders(),
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    vary: 'Accept',
  };
  return ({ url }, response) => {
    // Relative, because a proxy may serve Darkroom below a path.
    const base = url?.endsWith('/') ? '../ide/' : 'ide/';
    response.writeHead(200, headers).end(page.replace(/<base [^>]*>/, `<base href="${base}" />`));
  };
}

function altairRoot(): string {
  const root = dirname(createRequire(import.meta.url).resolve('altair-static/package.json'));
  return join(root, 'build', 'dist');
}
