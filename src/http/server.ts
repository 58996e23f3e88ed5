import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { type Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import { NotFound } from '../core/errors.js';
import { newId } from '../core/ids.js';
import { type Access } from '../services/access.js';
import { type Addresses } from '../services/addresses.js';
import { type Generation } from '../services/generation.js';
import { type Health } from '../services/health.js';
import { type PictureServing } from '../services/picture-serving.js';
import { type Uploading } from '../services/uploading.js';
import { toAppError } from './app-error.js';
import { callbackRoutes } from './callbacks.js';
import { type EventStreams } from './event-streams.js';
import { healthRoutes } from './health.js';
import { openapiRoutes } from './openapi-page.js';
import { pictureRoutes } from './images.js';
import { uploadRoutes } from './uploads.js';

export interface HttpServices {
  access: Access;
  addresses: Addresses;
  generation: Generation;
  health: Health;
  pictures: PictureServing;
  uploading: Uploading;
  /** Of an uploaded picture. */
  maxImageBytes: number;
  eventStreams: EventStreams;
  /** Null: any origin. */
  allowedOrigins: readonly string[] | null;
  /** Answers everything below /flux. */
  flux: RequestHandler;
  /** Answers /graphql once the caller is known. */
  graphql: RequestHandler;
  /** Routes that only some installations have, such as the sandbox. */
  extra: { path: string; handler: RequestHandler }[];
  log: Logger;
}

const MAX_GRAPHQL_BODY = '1mb';
/** Chromium's own upper bound for remembering a preflight. */
const PREFLIGHT_SECONDS = 7_200;

/** The HTTP door: gives every request an id, and the ones that need it a caller. Without the role `api`, health only. */
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
    app.use(cors({ maxAge: PREFLIGHT_SECONDS, origin: allowedOrigins ? [...allowedOrigins] : '*' }));
    // Before helmet, whose dozen headers are for pages: pictures are asked for by the hundred and bring their own.
    app.use(pictureRoutes(services.pictures));
  }
  app.use(helmet({ crossOriginResourcePolicy: { policy: 'cross-origin' } }));
  if (roles.api) serveApi(app, services);
  for (const { path, handler } of services.extra) app.use(path, handler);
  app.use((_request, _response, next) =>
    next(new NotFound('There is nothing at this address. GraphQL is at /graphql.')),
  );
  app.use(answerError);
  return app;
}

function serveApi(app: Express, services: HttpServices): void {
  const { access, addresses, eventStreams, graphql } = services;
  app.use(uploadRoutes(services.uploading, addresses, services.maxImageBytes));
  app.use(eventStreams.router);
  app.use('/flux', neverCached, services.flux);
  app.use(openapiRoutes());
  app.use(
    '/graphql',
    neverCached,
    identify(access),
    express.json({ limit: MAX_GRAPHQL_BODY }),
    withBody,
    graphql,
  );
}

/** Callback links are capabilities: whoever reads one in a log could forge a result. Routes match in any case. */
export function withoutToken(url: string): string {
  return url.replace(/^\/callbacks\/.*/i, '/callbacks/[redacted]').replace(/\?.*/, '');
}

const neverCached: RequestHandler = (_request, response, next) => {
  response.setHeader('cache-control', 'no-store');
  next();
};

function identify(access: Access): RequestHandler {
  return async (request, response, next) => {
    response.locals.caller = await access.authenticate(request.headers.authorization);
    next();
  };
}

/** Apollo answers a missing body with a sentence of its own, as long as there is an object to look at. */
const withBody: RequestHandler = (request, _response, next) => {
  request.body ??= {};
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
  if (known?.httpStatus === 401) response.setHeader('www-authenticate', 'Bearer');
  const isGraphql = request.originalUrl.split('?')[0] === '/graphql';
  response
    .status(known?.httpStatus ?? 500)
    .json(isGraphql ? { errors: [{ message, extensions: { code } }] } : { error: { code, message } });
};
