import { AppError, BadRequest, PayloadTooLarge } from '../../core/errors.js';

/** Converts errors of Express and its body parsers into AppErrors. Null for unexpected errors. */
export function toAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  const { type, limit, status } = Object(error) as { type?: unknown; limit?: unknown; status?: unknown };
  if (type === 'entity.too.large') return new PayloadTooLarge(Number(limit));
  if (type === 'entity.parse.failed')
    return new BadRequest('The request body is not valid JSON. Correct it and send it again.', {
      cause: error,
    });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new BadRequest('The request is malformed. Check its path, headers and body.', {
      cause: error,
    });
  }
  return null;
}
