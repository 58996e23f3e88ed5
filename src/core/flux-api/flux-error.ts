/**
 * Every error code of the Flux API with its HTTP status and the message that goes with it where there is no better one. Source: the error table of the
 * provider's documentation.
 */
export const API_ERRORS = {
  token_mismatched: { status: 400, message: 'The token is not for this API.' },
  api_not_implemented: { status: 400, message: 'There is no such action.' },
  bad_request: { status: 400, message: 'Bad request, possibly due to missing or invalid parameters.' },
  no_token: { status: 400, message: 'No token was sent. Send it as "authorization: Bearer <token>".' },
  invalid_token: { status: 401, message: 'Unauthorized, invalid or missing authorization token.' },
  token_expired: { status: 401, message: 'The token has expired.' },
  used_up: { status: 403, message: 'No balance is left.' },
  disabled: { status: 403, message: 'The application is switched off.' },
  forbidden: { status: 403, message: 'The content was rejected by moderation.' },
  no_api: { status: 404, message: 'There is no such API.' },
  too_many_requests: { status: 429, message: 'Too many requests, you have exceeded the rate limit.' },
  api_error: { status: 500, message: 'Internal server error, something went wrong on the server.' },
  timeout: { status: 504, message: 'The gateway gave up waiting for the answer.' },
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

/** Every error code, in the order of the table. */
export const API_ERROR_CODES = Object.keys(API_ERRORS) as ApiErrorCode[];

/** Whether the text is one of the API's error codes. */
export function isApiErrorCode(text: string): text is ApiErrorCode {
  return Object.hasOwn(API_ERRORS, text);
}

/** The inner object of every error that the API answers with. */
export interface ApiErrorBody {
  code: ApiErrorCode;
  message: string;
}

/** The error object of `code`, with the code's own message unless another one is given. */
export function apiError(code: ApiErrorCode, message: string = API_ERRORS[code].message): ApiErrorBody {
  return { code, message };
}
