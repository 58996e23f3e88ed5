/**
 * Every error code of the Flux API with its HTTP status and a default message. Source: the error table of the
 * provider's documentation.
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
