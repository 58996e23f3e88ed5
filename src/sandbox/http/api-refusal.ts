import { FLUX_ERRORS, type FluxErrorCode, fluxError } from '../../core/flux-api/flux-errors.js';
import { newId } from '../../core/primitives/ids.js';

/**
 * A refused request or a failed generation. It becomes the API's error envelope with the status of its code. A refused request
 * produces nothing.
 */
export class ApiRefusal extends Error {
  readonly status: number;
  readonly error;

  constructor(code: FluxErrorCode, message?: string, options?: { cause?: unknown }) {
    super(message ?? FLUX_ERRORS[code].message, options);
    this.name = 'ApiRefusal';
    this.status = FLUX_ERRORS[code].status;
    this.error = fluxError(code, message);
  }

  get reply(): object {
    return { success: false, error: this.error, trace_id: newId() };
  }
}

/** The real API's gateway occasionally returns an error as a plain string. */
export class PlainStringRefusal extends Error {
  readonly status = 500;
  readonly reply = { error: 'upstream unavailable' };
}
