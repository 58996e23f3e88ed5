import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { type ClientAddressOf } from '../../core/access/client-address.js';
import { AppError } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type Access } from '../../services/access/access.js';
import { type RateStanding } from '../../services/limits/rate-limits.js';
import { readJson } from './json-body.js';
import { EXPOSED_HEADERS, rateHeaders } from '../limits/rate-limit-headers.js';
import { securityHeaders } from './security-headers.js';

/** Answers a request of a known caller; see graphql/apollo.ts. */
export type AnswerGraphql = (
  request: { method: string; headers: IncomingHttpHeaders; search: string; body: unknown; traceId: string },
  caller: Caller,
) => Promise<Answer>;

interface Answer {
  status: number;
  headers: Iterable<[string, string]>;
  body: string;
  rate?: RateStanding | null;
}

export interface GraphqlMountServices {
  access: Access;
  addressOf: ClientAddressOf;
  graphql: AnswerGraphql;
  /** Null: any origin. */
  allowedOrigins: readonly string[] | null;
  log: Logger;
}

const MAX_BODY_BYTES = 1024 * 1024;

/** Whether a request is for `mountGraphql`; preflights are not, as all of them are answered alike. */
export function isForGraphql({ method, url = '' }: IncomingMessage): boolean {
  return method !== 'OPTIONS' && /^\/graphql\/?(\?|$)/i.test(url);
}

/**
 * `/graphql` on the bare server, beside express: what express and its middleware do for each request costs more than a cheap query
 * does. Here stands what they did: an id, a line in the log, security headers, CORS, a caller, a body.
 */
export function mountGraphql({
  access,
  addressOf,
  graphql,
  allowedOrigins,
  log,
}: GraphqlMountServices): RequestListener {
  const fixed = {
    ...securityHeaders(),
    'cache-control': 'no-store',
    'access-control-expose-headers': EXPOSED_HEADERS.join(','),
  };

  const run = async (request: IncomingMessage, traceId: string): Promise<Answer> => {
    try {
      const { method = 'GET', url = '', headers } = request;
      const caller = await access.authenticate(headers.authorization, addressOf(request));
      const body = method === 'GET' ? {} : await readJson(request, MAX_BODY_BYTES);
      const search = url.replace(/^[^?]*/, '');
      return await graphql({ method, headers, search, body, traceId }, caller);
    } catch (error) {
      return refusal(error, traceId, log);
    }
  };
  const serve = async (request: IncomingMessage, response: ServerResponse, traceId: string) => {
    const { status, headers, body, rate } = await run(request, traceId);
    if (response.destroyed) return;
    response.writeHead(status, {
      ...fixed,
      ...originHeaders(request.headers.origin, allowedOrigins),
      'x-request-id': traceId,
      'content-length': Buffer.byteLength(body),
      ...(rate && rateHeaders(rate)),
      ...Object.fromEntries(headers),
    });
    response.end(body);
  };
  return (request, response) => {
    const traceId = newId();
    response.once('close', logged(log, request, response, traceId));
    serve(request, response, traceId).catch((error: unknown) => {
      log.error({ err: error, reqId: traceId }, 'a GraphQL answer could not be sent');
      response.destroy();
    });
  };
}

/** As the middleware `cors` does it for everything else. */
function originHeaders(
  origin: string | undefined,
  allowed: readonly string[] | null,
): Record<string, string> {
  if (!allowed) return { 'access-control-allow-origin': '*' };
  if (!origin || !allowed.includes(origin)) return { vary: 'Origin' };
  return { vary: 'Origin', 'access-control-allow-origin': origin };
}

function refusal(error: unknown, traceId: string, log: Logger): Answer {
  const known = error instanceof AppError ? error : null;
  if (!known?.expected) log.error({ err: error, reqId: traceId }, 'a request failed');
  const code = known?.code ?? 'INTERNAL_SERVER_ERROR';
  const message = known?.message ?? `Something went wrong on our side. The log knows it as ${traceId}.`;
  const headers: [string, string][] = [['content-type', 'application/json; charset=utf-8']];
  const status = known?.httpStatus ?? 500;
  if (status === 401) headers.push(['www-authenticate', 'Bearer']);
  return { status, headers, body: JSON.stringify({ errors: [{ message, extensions: { code } }] }) };
}

/** Writes the line that pino-http writes for everything else. */
function logged(log: Logger, request: IncomingMessage, response: ServerResponse, reqId: string): () => void {
  const start = performance.now();
  return () => {
    const { statusCode, writableFinished } = response;
    const level = statusCode >= 500 ? 'warn' : 'debug';
    if (!log.isLevelEnabled(level)) return;
    const req = { method: request.method, url: request.url?.replace(/\?.*/, '') };
    const responseTime = Math.round(performance.now() - start);
    log[level](
      { reqId, req, res: { statusCode }, responseTime },
      writableFinished ? 'request completed' : 'request aborted',
    );
  };
}
