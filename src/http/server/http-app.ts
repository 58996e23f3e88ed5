import { type RequestListener } from 'node:http';
import cors from 'cors';
import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import { type Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import { type OriginRule } from '../../core/access/origins.js';
import { parseQueryString } from '../../core/primitives/encoding/query-string.js';
import { NotFound } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type ReceivedCallbacks } from '../../services/callbacks/received-callbacks.js';
import { type Health } from '../../services/operations/health.js';
import { type ImageServing } from '../../services/images/image-serving.js';
import { type TokenSigning } from '../../services/access/token-signing.js';
import { type Uploads } from '../../services/images/uploads.js';
import { type Usage } from '../../services/billing/usage.js';
import { type AuthServices } from '../access/authorize.js';
import { callbackRoutes } from '../callbacks/callback-routes.js';
import { type EventStreamRoutes } from '../events/event-stream-routes.js';
import { openapiRoutes } from '../flux-api/openapi-routes.js';
import { imageRoutes } from '../images/image-routes.js';
import { EXPOSED_HEADERS } from '../limits/rate-limit-headers.js';
import { replyWithError } from './reply-with-error.js';
import { helmetMiddleware } from './security-headers.js';
import { uploadRoutes } from '../images/upload-routes.js';
import { usageRoutes } from '../billing/usage-routes.js';

export interface HttpServices extends AuthServices {
  tokenSigning: TokenSigning;
  signedLinks: SignedLinks;
  receivedCallbacks: ReceivedCallbacks;
  health: Health;
  imageServing: ImageServing;
  uploads: Uploads;
  usage: Usage;
  /** The maximum size of an uploaded image. */
  maxImageBytes: number;
  eventStreams: EventStreamRoutes;
  /** Null: any origin. */
  allowedOrigins: readonly OriginRule[] | null;
  /** Handles everything below `/flux`. */
  flux: RequestHandler;
  /** Optional routes, such as the sandbox's. */
  extraRoutes: { path: string; handler: RequestHandler }[];
  log: Logger;
}

/** Chromium's maximum for caching a preflight. */
const PREFLIGHT_MAX_AGE_SECONDS = 7_200;
/** Clients that cache the keys see a new SECRET_KEY this late. The previous key verifies for longer than that. */
const JWKS_MAX_AGE_SECONDS = 300;

/**
 * Creates the Express app for every path but `/graphql`, which graphql-handler.ts serves. Every response has a request ID.
 * Without the role `api` it serves health checks and the optional routes only.
 */
export function createHttpApp(services: HttpServices, roles: { api: boolean }): RequestListener {
  const { allowedOrigins, log } = services;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', parseQueryString);
  app.use(
    pinoHttp({
      logger: log,
      quietReqLogger: true,
      genReqId: (_request, response) => {
        const id = newId();
        response.setHeader('x-request-id', id);
        return id;
      },
      customLogLevel: (_request, response, error) => {
        const isExpected = (response as Partial<Response>).locals?.isExpected === true;
        return !isExpected && (error || response.statusCode >= 500) ? 'warn' : 'debug';
      },
      serializers: {
        req: ({ method, url }: { method: string; url: string }) => ({ method, url: redactUrl(url) }),
        res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
      },
    }),
  );
  app.get('/healthz', (_request, response) => void response.json({ ok: true }));
  app.get('/readyz', async (_request, response) => {
    const readiness = await services.health.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  });
  if (roles.api) {
    // Before CORS and helmet: only the upstream posts callbacks, and nothing may fail before its single attempt is committed.
    app.use(callbackRoutes(services));
    // Any origin is safe by default, because pages send credentials explicitly. Browsers never add them as they do cookies.
    app.use(
      cors({
        maxAge: PREFLIGHT_MAX_AGE_SECONDS,
        origin: allowedOrigins ? [...allowedOrigins] : '*',
        exposedHeaders: EXPOSED_HEADERS,
      }),
    );
    // Before helmet: images are requested by the hundred and set their own security headers.
    app.use(imageRoutes(services.imageServing));
  }
  app.use(helmetMiddleware);
  if (roles.api) mountApiRoutes(app, services);
  for (const { path, handler } of services.extraRoutes) app.use(path, handler);
  return (request, response) => {
    const [expressRequest, expressResponse] = [request as Request, response as Response];
    app(expressRequest, expressResponse, (error: unknown) => {
      // Express runs no middleware, not even the request log, for a URL that it cannot parse, such as "http://".
      expressRequest.log ??= log;
      if (!response.hasHeader('x-request-id')) response.setHeader('x-request-id', newId());
      const notFound = new NotFound('Nothing exists at this path. The GraphQL endpoint is /graphql.');
      replyWithError(error ?? notFound, expressRequest, expressResponse);
    });
  };
}

function mountApiRoutes(app: Express, services: HttpServices): void {
  // The public keys of client tokens (RFC 7517, RFC 8615).
  app.get('/.well-known/jwks.json', (_request, response) => {
    response.setHeader('cache-control', `public, max-age=${JWKS_MAX_AGE_SECONDS}`);
    response.type('application/jwk-set+json').json({ keys: services.tokenSigning.publicJwks });
  });
  app.use(uploadRoutes(services.uploads, services.signedLinks, services.maxImageBytes));
  app.use(usageRoutes(services, services.usage));
  app.use(services.eventStreams.router);
  app.use('/flux', noStore);
  app.use(services.flux);
  app.use(openapiRoutes());
}

/** Removes secrets from a logged URL. A callback link in a log would let its reader forge a result. Routes are case-insensitive. */
export function redactUrl(url: string): string {
  return url.replace(/\/callbacks\/.*/i, '/callbacks/[redacted]').replace(/\?.*/, '');
}

const noStore: RequestHandler = (_request, response, next) => {
  response.setHeader('cache-control', 'no-store');
  next();
};
