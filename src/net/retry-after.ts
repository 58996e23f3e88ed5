import { databaseTimeMs } from '../core/primitives/clock.js';
/**
 * The delay of a `Retry-After` header in milliseconds, at most `maxMs`. The header holds seconds or an HTTP date, which is
 * compared with `now` (Unix milliseconds). Null when the header is absent or invalid, or when the delay is not positive.
 */
export function parseRetryAfter(
  header: string | string[] | undefined,
  maxMs: number,
  now = databaseTimeMs(),
): number | null {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  const waitMs = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : parseHttpDate(text) - now;
  return waitMs > 0 ? Math.min(waitMs, maxMs) : null;
}

/** NaN unless the text begins with the name of a day, as HTTP dates do. `Date.parse` alone also accepts "-5" and "soon 1". */
function parseHttpDate(text: string): number {
  return /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : NaN;
}
