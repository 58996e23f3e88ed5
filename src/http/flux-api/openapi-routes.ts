import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import express, { type Router } from 'express';
import { openapiDocument } from './openapi-document.js';

/** The files of Swagger UI that a page needs; the package has many more. */
const FILES = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];
/** Swagger UI sets styles on its elements and draws its icons as data; nothing is fetched from anywhere else. */
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
const DAY_MS = 24 * 3_600 * 1_000;

/** Links are relative: the service may be below a path of its proxy. */
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Darkroom: the Flux API door</title>
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
/** A file of its own: the policy allows no script inside a page. `validatorUrl` would be a stranger's. */
const START = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#page', validatorUrl: null });
`;

/** `/openapi.json`, and `/openapi`, where a person reads it and tries it out. */
export function openapiRoutes(): Router {
  const router = express.Router({ strict: true });
  const document = openapiDocument();
  const root = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

  router.get('/openapi.json', (_request, response) => {
    response.json(document);
  });
  router.get('/openapi', (_request, response) => {
    response.set('content-security-policy', CONTENT_SECURITY_POLICY).type('html').send(PAGE);
  });
  router.get('/openapi/', (_request, response) => response.redirect(308, '../openapi'));
  router.get('/openapi/start.js', (_request, response) => {
    response.type('text/javascript').send(START);
  });
  for (const name of FILES) {
    router.get(`/openapi/${name}`, (_request, response) => {
      response.sendFile(name, { root, maxAge: DAY_MS });
    });
  }
  return router;
}
