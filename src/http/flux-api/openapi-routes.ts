import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import express, { type Router } from 'express';
import { DAY_MS } from '../../core/primitives/clock.js';
import { openapiDocument } from './openapi-document.js';

/** The files of the Swagger UI package that the page needs. */
const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];
/** Swagger UI uses inline styles and data URLs for its icons. Nothing is loaded from another origin. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Links are relative, because a proxy may serve Darkroom below a path. */
const PAGE_HTML = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Darkroom Flux API</title>
    <link rel="stylesheet" href="openapi/swagger-ui.css" />
    <link rel="icon" type="image/png" href="openapi/favicon-32x32.png" />
  </head>
  <body>
    <div id="page"></div>
    <script src="openapi/swagger-ui-bundle.js"></script>
    <script src="openapi/start.js"></script>
  </body>
</html>
`;
/**
 * A separate file, because the content security policy forbids inline scripts. `validatorUrl` is null because the
 * default validator is a third party's.
 */
const START_SCRIPT = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#page', validatorUrl: null });
`;

/** Serves `/openapi.json`, and Swagger UI for it at `/openapi`. */
export function openapiRoutes(): Router {
  const router = express.Router({ strict: true });
  // Prepared, because anyone may request it.
  const document = Buffer.from(JSON.stringify(openapiDocument()));
  const etag = `"${hash('sha256', document, 'base64url')}"`;
  const root = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

  router.get('/openapi.json', (_request, response) => {
    response.type('json').set({ etag }).send(document);
  });
  router.get('/openapi', (_request, response) => {
    response.set('content-security-policy', CONTENT_SECURITY_POLICY).type('html').send(PAGE_HTML);
  });
  router.get('/openapi/', (_request, response) => response.redirect(308, '../openapi'));
  router.get('/openapi/start.js', (_request, response) => {
    response.type('text/javascript').send(START_SCRIPT);
  });
  for (const name of ASSETS) {
    router.get(`/openapi/${name}`, (_request, response) => {
      response.sendFile(name, { root, maxAge: DAY_MS });
    });
  }
  return router;
}
