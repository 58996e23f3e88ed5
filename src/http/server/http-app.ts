import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import { type Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import { NotFound, RateLimited } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type ClientAddressOf } from '../../core/access/client-address.js';
import { type Access } from '../../services/access/access.js';
import { type Addresses } from '../../services/access/signed-links.js';
import { type Generation } from '../../services/tasks/generation.js';
import { type Health } from '../../services/health.js';
import { type PictureServing } from '../../services/images/image-serving.js';
import { type TokenSigning } from '../../services/access/token-signing.js';
import { type RateLimits } from '../../services/limits/rate-limits.js';
import { type Uploading } from '../../services/images/uploads.js';
import { toAppError } from './app-error.js';
import { type Usage } from '../../services/billing/usage.js';
import { callbackRoutes } from '../callbacks/callback-routes.js';
import { type EventStreams } from '../events/event-streams.js';
import { healthRoutes } from './health-routes.js';
import { openapiRoutes } from '../flux-api/openapi-routes.js';
import { pictureRoutes } from '../images/image-routes.js';
import { signingKeyRoutes } from '../access/jwks-routes.js';
import { EXPOSED_HEADERS, retryHeaders } from '../limits/rate-limit-headers.js';
import { secured } from './security-headers.js';
import { uploadRoutes } from '../images/upload-routes.js';
import { usageRoutes } from '../billing/usage-routes.js';

export interface HttpServices {
  access: Access;
  tokenSigning: TokenSigning;
  addressOf: ClientAddressOf;
  addresses: Addresses;
  generation: Generation;
  health: Health;
  pictures: PictureServing;
  rateLimits: RateLimits;
  uploading: Uploading;
  usage: Usage;
  /** Of an uploaded picture. */
  maxImageBytes: number;
  eventStreams: EventStreams;
  /** Null: any origin. */
  allowedOrigins: readonly string[] | null;
  /** Answers everything below /flux. */
  flux: RequestHandler;
  /** Routes that only some installations have, such as the sandbox. */
  extra: { path: string; handler: RequestHandler }[];
  log: Logger;
}

/** Chromium's own upper bound for remembering a preflight. */
const PREFLIGHT_SECONDS = 7_200;

/** The HTTP door for everything but /graphql (graphql-mount.ts): gives every request an id. Without the role `api`, health only. */
export function makeHttpApp(services: HttpServices, roles: { api: boolean }): Express {
  const { allowedOrigins, log } = services;
  const app = express();
  app.disable('x-powered-by');
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
        req: ({ method, url }: { method: string; url: string }) => ({ method, url: withoutToken(url) }),
        res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
      },
    }),
  );
  app.use(healthRoutes(services.health));
  if (roles.api) {
    // No browser calls back: nothing is between the upstream's one attempt and its commit.
    app.use(callbackRoutes(services.generation, services.addresses));
    // By default any origin may ask: keys are sent by the page itself, never by the browser on its own as cookies are.
    const exposedHeaders = EXPOSED_HEADERS;
    app.use(
      cors({ maxAge: PREFLIGHT_SECONDS, origin: allowedOrigins ? [...allowedOrigins] : '*', exposedHeaders }),
    );
    // Before helmet, whose dozen headers are for pages: pictures are asked for by the hundred and bring their own.
    app.use(pictureRoutes(services.pictures));
  }
  app.use(secured);
  if (roles.api) serveApi(app, services);
  for (const { path, handler } of services.extra) app.use(path, handler);
  app.use((_request, _response, next) =>
    next(new NotFound('There is nothing at this address. GraphQL is at /graphql.')),
  );
  app.use(answerError);
  return app;
}

function serveApi(app: Express, services: HttpServices): void {
  const { access, addressOf, addresses, eventStreams } = services;
  app.use(signingKeyRoutes(services.tokenSigning));
  app.use(uploadRoutes(services.uploading, addresses, services.maxImageBytes));
  app.use(usageRoutes({ access, addressOf, rateLimits: services.rateLimits }, services.usage));
  app.use(eventStreams.router);
  app.use('/flux', neverCached);
  app.use(services.flux);
  app.use(openapiRoutes());
}

/** Callback links are capabilities: whoever reads one in a log could forge a result. Routes match in any case. */
export function withoutToken(url: string): string {
  return url.replace(/^\/callbacks\/.*/i, '/callbacks/[redacted]').replace(/\?.*/, '');
}

const neverCached: RequestHandler = (_request, response, next) => {
  response.setHeader('cache-control', 'no-store');
  next();
};

const answerError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
  const known = toAppError(error);
  if (!known?.expected) request.log.error({ err: error }, 'a request failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const requestId = String(response.getHeader('x-request-id'));
  const code = known?.code ?? 'INTERNAL_SERVER_ERROR';
  const message = known?.message ?? `Something went wrong on our side. The log knows it as ${requestId}.`;
  if (known instanceof RateLimited) response.setHeaders(new Map(retryHeaders(known)));
  if (known?.httpStatus === 401) response.setHeader('www-authenticate', 'Bearer');
  response.status(known?.httpStatus ?? 500).json({ error: { code, message } });
};
