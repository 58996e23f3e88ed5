import { type ErrorRequestHandler } from 'express';
import { type AppError, RateLimited, Unauthenticated, WaitEnded } from '../../core/errors.js';
import { API_ERRORS, type ApiErrorCode, apiError } from '../../core/flux-api/flux-error.js';
import { toAppError } from '../server/app-error.js';
import { retryHeaders } from '../limits/rate-limit-headers.js';

/** What the Flux API calls each of our errors that a request to it can end with. All others are `api_error`. */
export const FLUX_CODES: Readonly<Record<string, ApiErrorCode>> = {
  UNAUTHENTICATED: 'invalid_token',
  FORBIDDEN: 'forbidden',
  UNKNOWN_ACTION: 'api_not_implemented',
  BAD_REQUEST: 'bad_request',
  INPUT_REJECTED: 'bad_request',
  PAYLOAD_TOO_LARGE: 'bad_request',
  NOT_FOUND: 'no_api',
  TOO_MANY_WATCHERS: 'too_many_requests',
  RATE_LIMITED: 'too_many_requests',
  WAIT_ENDED: 'timeout',
  WRITE_UNCONFIRMED: 'timeout',
};

/** The Flux API's code of an error, and the status: the code's own, but for a body that is too large. */
export function fluxErrorOf(code: string): { code: ApiErrorCode; status: number } {
  const fluxCode = (Object.hasOwn(FLUX_CODES, code) && FLUX_CODES[code]) || 'api_error';
  return { code: fluxCode, status: code === 'PAYLOAD_TOO_LARGE' ? 413 : API_ERRORS[fluxCode].status };
}

/** Answers in the envelope of the Flux API. What nobody expected is logged, and masked. */
export const answerFluxError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
  const known: AppError | null = toAppError(error);
  if (!known?.expected) request.log.error({ err: error }, 'a request to the Flux API failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  // A wait that ran out is a 504, and no fault of ours: the log of requests warns of the others.
  response.locals.isExpected = known?.expected ?? false;
  const traceId = String(response.getHeader('x-request-id'));
  const message = known?.message ?? `Something went wrong on our side. The log knows it as ${traceId}.`;
  const { code, status } = fluxErrorOf(known?.code ?? '');
  if (known instanceof RateLimited) response.setHeaders(new Map(retryHeaders(known)));
  if (known instanceof Unauthenticated) response.setHeader('www-authenticate', 'Bearer');
  // The listener closes: what stays connected is cut after a moment.
  if (known instanceof WaitEnded && known.reason === 'going-away') response.setHeader('connection', 'close');
  response.status(status).json({
    success: false,
    ...(known instanceof WaitEnded && { task_id: known.taskId }),
    error: apiError(code, message),
    trace_id: traceId,
  });
};
