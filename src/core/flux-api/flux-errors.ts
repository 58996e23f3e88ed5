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
} from '../errors.js';
import { type TaskErrorCode, type TaskFailure } from '../tasks/task-failure.js';

/**
 * Every error code of the Flux API with its default message, and the HTTP status that the hosted API sends with it. Source:
 * the error table of the provider's documentation. Rejected requests have the status of FLUX_REQUEST_ERRORS instead.
 */
export const FLUX_ERRORS = {
  token_mismatched: { status: 400, message: 'The token does not belong to this API.' },
  api_not_implemented: { status: 400, message: 'Unknown action.' },
  bad_request: { status: 400, message: 'Bad request, possibly due to missing or invalid parameters.' },
  no_token: { status: 400, message: 'The token is missing. Send it as "authorization: Bearer <token>".' },
  invalid_token: { status: 401, message: 'Unauthorized, invalid or missing authorization token.' },
  token_expired: { status: 401, message: 'The token has expired.' },
  used_up: { status: 403, message: 'The balance is used up.' },
  disabled: { status: 403, message: 'The application is disabled.' },
  forbidden: { status: 403, message: 'The content was rejected by moderation.' },
  no_api: { status: 404, message: 'Unknown API.' },
  too_many_requests: { status: 429, message: 'Too many requests, you have exceeded the rate limit.' },
  api_error: { status: 500, message: 'Internal server error, something went wrong on the server.' },
  timeout: { status: 504, message: 'The gateway timed out waiting for the response.' },
} as const;

export type FluxErrorCode = keyof typeof FLUX_ERRORS;

/** All error codes, in the order of the table. */
export const FLUX_ERROR_CODES = Object.keys(FLUX_ERRORS) as FluxErrorCode[];

/** The `error` object in an error response of the Flux API. */
export interface FluxErrorBody {
  code: FluxErrorCode;
  message: string;
}

/** The `error` object of a code, with the code's default message unless another one is given. */
export function fluxError(code: FluxErrorCode, message: string = FLUX_ERRORS[code].message): FluxErrorBody {
  return { code, message };
}

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

/**
 * The Flux API's code for each task error. Clients of the Flux API retry by code: `api_error` invites a retry,
 * `timeout` does not.
 */
export const FLUX_CODE_BY_TASK_ERROR: Readonly<Record<TaskErrorCode, FluxErrorCode>> = {
  CONTENT_REJECTED: 'forbidden',
  UPSTREAM_OUT_OF_CREDIT: 'used_up',
  // The token is the operator's. `invalid_token` would make callers look for a mistake in their own.
  UPSTREAM_CREDENTIALS: 'api_error',
  UPSTREAM_DISABLED: 'disabled',
  UPSTREAM_BAD_REQUEST: 'bad_request',
  UPSTREAM_RATE_LIMITED: 'too_many_requests',
  UPSTREAM_FAILED: 'api_error',
  UPSTREAM_UNREACHABLE: 'api_error',
  SUBMIT_UNCONFIRMED: 'timeout',
  DEADLINE_EXCEEDED: 'timeout',
};

/** Clients of the Flux API send a request again by themselves after these codes. */
const RETRIED_FLUX_CODES: readonly FluxErrorCode[] = ['api_error', 'too_many_requests'];

/** The Flux API's code for the failure of a task. It invites no retry that could be paid for twice. */
export function fluxCodeOf({ code, retryable }: Pick<TaskFailure, 'code' | 'retryable'>): FluxErrorCode {
  const fluxCode = FLUX_CODE_BY_TASK_ERROR[code];
  return !retryable && RETRIED_FLUX_CODES.includes(fluxCode) ? 'timeout' : fluxCode;
}
