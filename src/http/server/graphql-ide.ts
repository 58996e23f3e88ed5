import { readFileSync } from 'node:fs';
import { type IncomingMessage, type RequestListener } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import express, { type Router } from 'express';
import { securityHeaders } from './security-headers.js';

/** Everything comes from here and goes to here: what Altair has besides, a cloud and plugins of a CDN, finds no way out. */
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
const DAY_MS = 24 * 3_600 * 1_000;

/**
 * A file of its own: the policy allows no script inside a page. Subscriptions come as server-sent events, so that they have the
 * headers that queries have: a key is entered once.
 */
const START = `const graphql = new URL('../../graphql', import.meta.url).href;
AltairGraphQL.init({
  endpointURL: graphql,
  subscriptionsEndpoint: graphql + '/stream',
  initialSubscriptionRequestHandlerId: 'graphql-sse',
  initialHeaders: { Authorization: 'Bearer dk_' },
  initialQuery: '{ viewer { workspaceName keyName scopes } }',
  disableAccount: true,
});
`;

/** The files of the GraphQL IDE, without its frame for scripts that people write into it. */
export function ideFiles(): Router {
  const router = express.Router();
  const root = filesOfAltair();
  router.get('/ide/start.js', (_request, response) => {
    response.type('text/javascript').send(START);
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

/** Whether a person opens `/graphql`, and no program asks it. */
export function isForIde({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && /^\/graphql\/?$/.test(url) && headers.accept?.includes('text/html') === true;
}

/** The page at `/graphql`. It needs no key: whoever uses it enters theirs. */
export function mountIde(): RequestListener {
  const page = readFileSync(join(filesOfAltair(), 'index.html'), 'utf8')
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
    // Relative: the service may be below a path of its proxy.
    const base = url?.endsWith('/') ? '../ide/' : 'ide/';
    response.writeHead(200, headers).end(page.replace(/<base [^>]*>/, `<base href="${base}" />`));
  };
}

function filesOfAltair(): string {
  const root = dirname(createRequire(import.meta.url).resolve('altair-static/package.json'));
  return join(root, 'build', 'dist');
}
