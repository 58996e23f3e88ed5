import {
  FLUX_ERRORS,
  type FluxErrorBody,
  type FluxErrorCode,
  fluxError,
} from '../../core/flux-api/flux-errors.js';

/**
 * A refused request or a failed generation. It becomes the API's error envelope with the status of its code. A refused request
 * produces nothing.
 */
export class ApiRefusal extends Error {
  readonly body: FluxErrorBody;
  readonly status: number;

  constructor(code: FluxErrorCode, message?: string, options?: { cause?: unknown }) {
    super(message ?? FLUX_ERRORS[code].message, options);
    this.name = 'ApiRefusal';
    this.body = fluxError(code, message);
    this.status = FLUX_ERRORS[code].status;
  }
}
