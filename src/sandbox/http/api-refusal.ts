import {
  API_ERRORS,
  type ApiErrorBody,
  type ApiErrorCode,
  apiError,
} from '../../core/flux-api/flux-error.js';

/**
 * Thrown where a request is refused or a generation fails; it becomes the error envelope with the status of its code.
 * A refused request has made nothing.
 */
export class ApiRefusal extends Error {
  readonly body: ApiErrorBody;
  readonly status: number;

  constructor(code: ApiErrorCode, message?: string, options?: { cause?: unknown }) {
    super(message ?? API_ERRORS[code].message, options);
    this.name = 'ApiRefusal';
    this.body = apiError(code, message);
    this.status = API_ERRORS[code].status;
  }
}
