import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type Request, type RequestHandler, type Response } from 'express';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { isOriginAllowed, type OriginRule } from '../../core/access/origins.js';
import { newId } from '../../core/primitives/ids.js';
import { reportError } from '../../core/public-error.js';
import { type RateLimitStatus } from '../../services/limits/rate-limits.js';
import { type AuthServices, isRecentlyAuthenticated } from '../access/authorize.js';
import { idempotencyKeyOf } from '../tasks/idempotency-key.js';
import { EXPOSED_HEADERS, rateLimitHeaders } from '../limits/rate-limit-headers.js';
import { graphqlErrorBody } from './reply-with-error.js';
import { closeSignalOf } from './on-close.js';
import { MAX_JSON_BYTES, takeBody } from './request-bodies.js';
import { securityHeaders } from './security-headers.js';

/** Executes the GraphQL request of an authenticated caller. graphql/server/apollo.ts implements it. */
export type ExecuteGraphql = (
  request: {
    method: string;
    headers: IncomingHttpHeaders;
    /** The header `Idempotency-Key`. */
    idempotencyKey: string | undefined;
    search: string;
    /** Waits for the body, and returns it parsed. Rejects with an error that core/public-error.ts translates. */
    readBody: () => Promise<unknown>;
    /** Returns the caller when the request is about to run: its key may have been revoked while the body arrived. */
    authenticateAgain: () => Caller | Promise<Caller>;
    traceId: string;
    /** Makes a signal that is aborted when the response closes. */
    makeLeftSignal: () => AbortSignal;
  },
  caller: Caller,
) => Promise<GraphqlHttpResponse>;

interface GraphqlHttpResponse {
  status: number;
  headers: Iterable<[string, string]>;
  body: string;
  rateLimit?: RateLimitStatus | null;
}

export interface GraphqlHandlerServices extends Omit<AuthServices, 'rateLimits'> {
  executeGraphql: ExecuteGraphql;
  /** Null: any origin. */
  allowedOrigins: readonly OriginRule[] | null;
  log: Logger;
}

const JSON_CONTENT_TYPE = 'application/json; charset=utf-8';

/** Whether `createGraphqlHandler` handles the request. Express answers the preflights of all paths. */
export function isGraphqlRequest({ method, url = '' }: IncomingMessage): boolean {
  return method !== 'OPTIONS' && /^\/graphql\/?(\?|$)/i.test(url);
}

/**
 * Handles `/graphql` without Express, because Express and its middleware cost more than a cheap query. The handler takes
 * over their work: a request ID, a log line, security headers, CORS, authentication and the body.
 */
export function createGraphqlHandler({
  access,
  clientAddressOf,
  bodies,
  executeGraphql,
  allowedOrigins,
  log,
}: GraphqlHandlerServices): RequestListener {
  const parseJson = bodies.json(MAX_JSON_BYTES);
  const commonHeaders = {
    ...securityHeaders(),
    'cache-control': 'no-store',
    'access-control-expose-headers': EXPOSED_HEADERS.join(','),
  };

  const respond = async (
    request: IncomingMessage,
    response: ServerResponse,
    traceId: string,
  ): Promise<GraphqlHttpResponse> => {
    try {
      const { method = 'GET', url = '', headers } = request;
      const authenticate = () => access.authenticate(headers.authorization, clientAddressOf(request));
      const caller = await authenticate();
      const authenticatedAt = performance.now();
      const authenticateAgain = () => (isRecentlyAuthenticated(authenticatedAt) ? caller : authenticate());
      const readBody = async () => (method === 'GET' ? {} : readJsonBody(request, caller, parseJson));
      const search = url.replace(/^[^?]*/, '');
      const idempotencyKey = idempotencyKeyOf(request);
      const makeLeftSignal = () => closeSignalOf(response);
      const details = { method, headers, idempotencyKey, search, readBody, authenticateAgain, traceId };
      return await executeGraphql({ ...details, makeLeftSignal }, caller);
    } catch (error) {
      const publicError = reportError(error, log.child({ reqId: traceId }), traceId);
      return {
        status: publicError.status,
        headers: Object.entries({ 'content-type': JSON_CONTENT_TYPE, ...publicError.headers }),
        body: JSON.stringify(graphqlErrorBody(publicError)),
      };
    }
  };
  const handle = async (request: IncomingMessage, response: ServerResponse, traceId: string) => {
    const { status, headers, body, rateLimit } = await respond(request, response, traceId);
    if (response.destroyed) return;
    response.writeHead(status, {
      ...commonHeaders,
      ...corsHeaders(request.headers.origin, allowedOrigins),
      'x-request-id': traceId,
      'content-length': Buffer.byteLength(body),
      ...(rateLimit && rateLimitHeaders(rateLimit)),
      ...Object.fromEntries(headers),
    });
    response.end(body);
  };
  /** Writes the log line that pino-http writes for all other paths. It costs more than a cheap query, too. */
  const logRequest = ({ method, url }: IncomingMessage, response: ServerResponse, reqId: string) => {
    const start = performance.now();
    response.once('close', () => {
      const { statusCode, writableFinished } = response;
      const level = statusCode >= 500 ? 'warn' : 'debug';
      if (!log.isLevelEnabled(level)) return;
      const req = { method, url: url?.replace(/\?.*/, '') };
      const responseTime = Math.round(performance.now() - start);
      const message = writableFinished ? 'request completed' : 'request aborted';
      log[level]({ reqId, req, res: { statusCode }, responseTime }, message);
    });
  };
  return (request, response) => {
    const traceId = newId();
    logRequest(request, response, traceId);
    handle(request, response, traceId).catch((error: unknown) => {
      log.error({ err: error, reqId: traceId }, 'failed to send a GraphQL response');
      response.destroy();
    });
  };
}

/**
 * Reads a JSON object or list from the body, as Express does on all other paths. Returns an empty object for an empty body
 * and for other content types. Rejects with an error that core/public-error.ts translates.
 */
async function readJsonBody(
  request: IncomingMessage,
  caller: Caller,
  parseJson: RequestHandler,
): Promise<unknown> {
  const expressRequest = request as Request;
  // Not a promise of the body: what listens to the request would keep it.
  await new Promise<void>((resolve, reject) => {
    // The parser uses nothing else of the response.
    void parseJson(
      expressRequest,
      { locals: { caller } } as unknown as Response,
      (error?: Error | string) => {
        if (error === undefined) resolve();
        else reject(error instanceof Error ? error : new Error(error));
      },
    );
  });
  return takeBody(expressRequest) ?? {};
}

/** Must agree with the middleware `cors`, which serves all other paths. */
function corsHeaders(
  origin: string | undefined,
  allowedOrigins: readonly OriginRule[] | null,
): Record<string, string> {
  if (!allowedOrigins) return { 'access-control-allow-origin': '*' };
  if (!origin || !isOriginAllowed(origin, allowedOrigins)) return { vary: 'Origin' };
  return { vary: 'Origin', 'access-control-allow-origin': origin };
}
