import { LRUCache } from 'lru-cache';

/** An endpoint that responds within 100 ms receives 80 webhooks a second. */
const MAX_ATTEMPTS_PER_ENDPOINT = 8;
/** An endpoint beyond this number is forgotten and starts again with one attempt at a time. */
const MAX_REMEMBERED_ENDPOINTS = 1_000;

/**
 * Limits the concurrent attempts of each endpoint. The limit is one until the endpoint responds, whatever the status, and
 * eight from then on until an attempt gets no response. A silent endpoint therefore occupies only one socket, also at the
 * start and after a restart.
 */
export class WebhookEndpoints {
  private readonly attemptsInProgress = new Map<string, number>();
  private readonly responsive = new LRUCache<string, true>({ max: MAX_REMEMBERED_ENDPOINTS });

  attemptStarted(endpoint: string): void {
    this.attemptsInProgress.set(endpoint, (this.attemptsInProgress.get(endpoint) ?? 0) + 1);
  }

  /** `hasResponse` is null when the attempt was not made or its outcome is unknown. */
  attemptEnded(endpoint: string, hasResponse: boolean | null): void {
    const remaining = (this.attemptsInProgress.get(endpoint) ?? 1) - 1;
    if (remaining > 0) this.attemptsInProgress.set(endpoint, remaining);
    else this.attemptsInProgress.delete(endpoint);
    if (hasResponse === true) this.responsive.set(endpoint, true);
    if (hasResponse === false) this.responsive.delete(endpoint);
  }

  /** The number of attempts that each endpoint may start now. An endpoint that is not listed may start one. */
  get capacity(): Record<string, number> {
    const capacity: Record<string, number> = {};
    for (const endpoint of this.responsive.keys()) capacity[endpoint] = MAX_ATTEMPTS_PER_ENDPOINT;
    for (const [endpoint, count] of this.attemptsInProgress) {
      capacity[endpoint] = Math.max(
        0,
        (this.responsive.has(endpoint) ? MAX_ATTEMPTS_PER_ENDPOINT : 1) - count,
      );
    }
    return capacity;
  }
}
