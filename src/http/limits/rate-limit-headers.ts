import { type RateLimitStatus } from '../../services/limits/rate-limits.js';

/** The response headers that pages of other origins may read. */
export const EXPOSED_HEADERS = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After'];

/** Returns the headers of draft-ietf-httpapi-ratelimit-headers for the caller's request limit. */
export function rateLimitHeaders({
  limit,
  remaining,
  resetsInMs,
  windowMs,
}: RateLimitStatus): Record<string, string> {
  return {
    ratelimit: `"requests";r=${remaining};t=${Math.ceil(resetsInMs / 1_000)}`,
    'ratelimit-policy': `"requests";q=${limit};w=${windowMs / 1_000}`,
  };
}
