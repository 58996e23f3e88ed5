import { AppError, BadRequest, PayloadTooLarge } from '../../core/errors.js';

/** Errors of express's body parsers, in our words; null for what nobody expected. */
export function toAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  const { type, limit, status } = Object(error) as { type?: unknown; limit?: unknown; status?: unknown };
  if (type === 'entity.too.large') return new PayloadTooLarge(`${Number(limit) / (1024 * 1024)} MB`);
  if (type === 'entity.parse.failed') return new BadRequest('The body is not JSON.', { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new BadRequest('The request cannot be read: its path, its headers or its body is malformed.', {
      cause: error,
    });
  }
  return null;
}
