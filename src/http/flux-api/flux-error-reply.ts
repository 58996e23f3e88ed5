import {
  BadRequest,
  DatabaseUnavailable,
  Forbidden,
  InputRejected,
  NotFound,
  PayloadTooLarge,
  RateLimited,
  ResultNotReady,
  TooManyConnections,
  Unauthenticated,
  UnknownAction,
  WriteUnconfirmed,
} from '../../core/errors.js';
import { type FluxErrorCode, fluxError } from '../../core/flux-api/flux-error-codes.js';
import { type ErrorBody } from '../server/reply-with-error.js';

interface FluxErrorStatus {
  code: FluxErrorCode;
  status: number;
}

/** Our codes of the errors that a request can end with, each with the Flux API's code and the HTTP status. */
export const FLUX_REQUEST_ERRORS: Readonly<Record<string, FluxErrorStatus>> = Object.fromEntries(
  (
    [
      [Unauthenticated, 'invalid_token'],
      [Forbidden, 'forbidden'],
      [UnknownAction, 'api_not_implemented'],
      [BadRequest, 'bad_request'],
      [InputRejected, 'bad_request'],
      [PayloadTooLarge, 'bad_request'],
      [NotFound, 'no_api'],
      [TooManyConnections, 'too_many_requests'],
      [RateLimited, 'too_many_requests'],
      [ResultNotReady, 'timeout'],
      [WriteUnconfirmed, 'timeout'],
      [DatabaseUnavailable, 'api_error'],
    ] as const
  ).map(([{ code, httpStatus }, fluxCode]) => [code, { code: fluxCode, status: httpStatus }]),
);
/** Every other error. */
export const OTHER_FLUX_ERROR: FluxErrorStatus = { code: 'api_error', status: 500 };

/** The error envelope of the Flux API. */
export const fluxErrorBody: ErrorBody = ({ code, message }, { error, requestId }) => ({
  success: false,
  ...(error instanceof ResultNotReady && { task_id: error.taskId }),
  error: fluxError((FLUX_REQUEST_ERRORS[code] ?? OTHER_FLUX_ERROR).code, message),
  trace_id: requestId,
});
