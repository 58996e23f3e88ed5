import { type RateLimited } from '../../core/errors.js';
import { type RateStanding } from '../../services/limits/rate-limits.js';

/** What pages of other origins may read besides the body. */
export const EXPOSED_HEADERS = ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After'];

/** How the caller's limit stands, as draft-ietf-httpapi-ratelimit-headers has it. */
export function rateHeaders({ limit, remaining, leftMs, windowMs }: RateStanding): Record<string, string> {
  return {
    ratelimit: `"requests";r=${remaining};t=${Math.ceil(leftMs / 1_000)}`,
    'ratelimit-policy': `"requests";q=${limit};w=${windowMs / 1_000}`,
  };
}

/** When a request that was refused by a limit is worth trying again. */
export function retryHeaders(error: RateLimited): [string, string][] {
  return [['retry-after', String(error.retryAfterSeconds)]];
}
