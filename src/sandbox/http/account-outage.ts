import { z } from 'zod';
import { type FluxErrorCode } from '../../core/flux-api/flux-errors.js';
import { ApiRefusal } from './api-refusal.js';

/** An hour, far longer than a test needs. */
const MAX_SECONDS = 3_600;

/** The body of `PUT /outage`. */
export const outageSchema = z.object({
  error: z.enum(['invalid_token', 'token_expired', 'used_up', 'disabled', 'too_many_requests']),
  /** From now. 0 ends the present outage. */
  seconds: z.number().min(0).max(MAX_SECONDS),
});

/** An account without credit cannot create images, but it can read its tasks. */
const REFUSES_SUBMISSIONS_ONLY: readonly FluxErrorCode[] = ['used_up'];

/**
 * Refuses all requests for some time because of the account: its token, its credit or its rate limit. Ends by itself, also when
 * the test that began it has died. A refused request produces nothing.
 */
export class AccountOutage {
  private error: FluxErrorCode = 'used_up';
  private endsAtMs = 0;

  begin({ error, seconds }: z.output<typeof outageSchema>): void {
    this.error = error;
    this.endsAtMs = performance.now() + seconds * 1000;
  }

  /** @throws ApiRefusal during an outage. */
  throwIfRefused(request: 'submission' | 'read'): void {
    if (performance.now() >= this.endsAtMs) return;
    if (request === 'submission' || !REFUSES_SUBMISSIONS_ONLY.includes(this.error))
      throw new ApiRefusal(this.error);
  }
}
