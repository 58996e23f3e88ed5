import { AppError, BadRequest, PayloadTooLarge, RateLimited, ResultNotReady } from './errors.js';
import { newId } from './primitives/ids.js';

/** What a caller learns of an error. It is the same on every transport, which only wraps it. */
export interface PublicError {
  status: number;
  code: string;
  message: string;
  /** Headers of an HTTP response that reports the error, in lower case. */
  headers: Record<string, string>;
  /** For the `extensions` of a GraphQL error: when to try again, and the ID that the log has. */
  details: { retryAfterMs?: number; errorId?: string };
  /** False for errors that the operator has to look into. */
  expected: boolean;
}

/** The part of a logger that reporting an error needs. */
interface ErrorLog {
  error(fields: object, message: string): void;
}

/** Apollo Server uses the same code. */
export const UNKNOWN_ERROR_CODE = 'INTERNAL_SERVER_ERROR';
/** For components that are down. Most outages end within seconds, and a client that waits longer gains nothing. */
const UNAVAILABLE_RETRY_AFTER_MS = 5_000;
const CONNECTION_CLOSED = 'The connection was closed before the request body was complete. Send it again.';

/** The errors of the body parser by their `type`, and those of busboy, which upload-routes.ts marks. */
const BAD_REQUEST_MESSAGES = new Map([
  ['encoding.unsupported', 'The content-encoding is not supported. Use gzip, deflate, br or none.'],
  ['request.aborted', CONNECTION_CLOSED],
  ['request.size.invalid', CONNECTION_CLOSED],
  ['form.boundary.missing', 'The content type has no valid boundary. Let the HTTP client set it.'],
  ['form.malformed', 'The form is malformed. Send multipart/form-data with one file.'],
]);

/**
 * Translates any error to what the caller learns of it. An AppError keeps its code and message, and so do the errors of
 * the HTTP libraries about a malformed request. Everything else is masked, with `errorId` in its message.
 */
export function toPublicError(error: unknown, errorId: string = newId()): PublicError {
  const appError = toAppError(error);
  if (!appError) {
    return {
      status: 500,
      code: UNKNOWN_ERROR_CODE,
      message: `Internal server error. Quote the error ID ${errorId} to the operator, whose log has the cause.`,
      headers: { 'cache-control': 'no-store' },
      details: { errorId },
      expected: false,
    };
  }
  const { httpStatus: status, code, message, expected } = appError;
  const retryAfterMs = retryAfterMsOf(appError);
  const details = retryAfterMs === null ? {} : { retryAfterMs };
  return { status, code, message, headers: headersOf(appError, retryAfterMs), details, expected };
}

/** Translates an error for a response, and logs it with `errorId` unless it belongs to normal operation. */
export function reportError(error: unknown, log: ErrorLog, errorId: string = newId()): PublicError {
  const publicError = toPublicError(error, errorId);
  if (!publicError.expected) log.error({ err: error, errorId }, 'a request failed');
  return publicError;
}

/** Converts the errors of HTTP libraries to ours. Null for unknown errors. */
function toAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  const { type, limit, status } = Object(error) as { type?: unknown; limit?: unknown; status?: unknown };
  if (type === 'entity.too.large') return new PayloadTooLarge(Number(limit));
  const message = BAD_REQUEST_MESSAGES.get(String(type));
  if (message) return new BadRequest(message, { cause: error });
  if (typeof status !== 'number' || status < 400 || status >= 500) return null;
  return new BadRequest('The request is malformed. Check its path, headers and body.', { cause: error });
}

function retryAfterMsOf(error: AppError): number | null {
  if (error instanceof RateLimited) return error.retryAfterMs;
  return error.httpStatus === 503 ? UNAVAILABLE_RETRY_AFTER_MS : null;
}

function headersOf(error: AppError, retryAfterMs: number | null): Record<string, string> {
  return {
    'cache-control': 'no-store',
    ...(error.httpStatus === 401 && { 'www-authenticate': 'Bearer' }),
    ...(retryAfterMs !== null && { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
    // The listener is closing, and connections that stay open are cut after a moment.
    // RFC 9110, 15.5.14. The client has to connect for each body that is too large.
    ...(error instanceof PayloadTooLarge && { connection: 'close' }),
    ...(error instanceof ResultNotReady && error.reason === 'going-away' && { connection: 'close' }),
  };
}
