/**
 * Milliseconds that a `Retry-After` header asks to wait, from its two forms: seconds, or an HTTP date seen from `now`
 * (Unix milliseconds). Never more than `maxMs`. Null when there is no such header, when it cannot be understood, and
 * when it asks for no wait at all.
 */
export function parseRetryAfter(
  header: string | string[] | undefined,
  maxMs: number,
  now = Date.now(),
): number | null {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  const waitMs = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : dateOf(text) - now;
  return waitMs > 0 ? Math.min(waitMs, maxMs) : null;
}

/** NaN unless the text begins with the name of a day, as an HTTP date does: `Date.parse` also takes "-5" and "soon 1". */
function dateOf(text: string): number {
  return /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : NaN;
}
