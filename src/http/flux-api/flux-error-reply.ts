import { type ErrorRequestHandler } from 'express';
import { type AppError, RateLimited, Unauthenticated, ResultNotReady } from '../../core/errors.js';
import { FLUX_ERRORS, type FluxErrorCode, fluxError } from '../../core/flux-api/flux-error-codes.js';
import { toAppError } from '../server/to-app-error.js';
import { retryAfterHeaders } from '../limits/rate-limit-headers.js';

/** The Flux API's code for each error that a request can end with. All others become `api_error`. */
export const FLUX_CODE_BY_APP_ERROR: Readonly<Record<string, FluxErrorCode>> = {
  UNAUTHENTICATED: 'invalid_token',
  FORBIDDEN: 'forbidden',
  UNKNOWN_ACTION: 'api_not_implemented',
  BAD_REQUEST: 'bad_request',
  INPUT_REJECTED: 'bad_request',
  PAYLOAD_TOO_LARGE: 'bad_request',
  NOT_FOUND: 'no_api',
  TOO_MANY_CONNECTIONS: 'too_many_requests',
  RATE_LIMITED: 'too_many_requests',
  RESULT_NOT_READY: 'timeout',
  WRITE_UNCONFIRMED: 'timeout',
};

/** The Flux API's code and status for one of our error codes. A body that is too large keeps its status 413. */
export function toFluxError(code: string): { code: FluxErrorCode; status: number } {
  const fluxCode =
    (Object.hasOwn(FLUX_CODE_BY_APP_ERROR, code) && FLUX_CODE_BY_APP_ERROR[code]) || 'api_error';
  return { code: fluxCode, status: code === 'PAYLOAD_TOO_LARGE' ? 413 : FLUX_ERRORS[fluxCode].status };
}

/** Sends an error in the envelope of the Flux API. Unexpected errors are logged and masked. */
export const handleFluxError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
  const appError: AppError | null = toAppError(error);
  if (!appError?.expected) request.log.error({ err: error }, 'a request to the Flux API failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  // The request log warns of a 5xx status unless it is expected, such as the 504 of a held request that timed out.
  response.locals.isExpected = appError?.expected ?? false;
  const traceId = String(response.getHeader('x-request-id'));
  const message =
    appError?.message ?? `An unexpected error occurred. Report the trace ID ${traceId} to the operator.`;
  const { code, status } = toFluxError(appError?.code ?? '');
  if (appError instanceof RateLimited) response.setHeaders(new Map(retryAfterHeaders(appError)));
  if (appError instanceof Unauthenticated) response.setHeader('www-authenticate', 'Bearer');
  // The listener is closing, and connections that stay open are cut after a moment.
  if (appError instanceof ResultNotReady && appError.reason === 'going-away')
    response.setHeader('connection', 'close');
  response.status(status).json({
    success: false,
    ...(appError instanceof ResultNotReady && { task_id: appError.taskId }),
    error: fluxError(code, message),
    trace_id: traceId,
  });
};
