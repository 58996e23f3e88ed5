import { LRUCache } from 'lru-cache';
import { type ClaimedWebhookDelivery, type EndpointCapacity } from '../../db/webhooks/webhook-claims.js';

/** An endpoint that responds within 100 ms receives 80 webhooks a second. */
const MAX_ATTEMPTS_PER_ENDPOINT = 8;
/** An endpoint beyond this number is forgotten and starts again with one attempt at a time. */
const MAX_REMEMBERED_ENDPOINTS = 1_000;

type Endpoint = Pick<ClaimedWebhookDelivery, 'workspaceId' | 'endpoint'>;

/**
 * Limits the concurrent attempts of each endpoint of a workspace. The limit is one until the endpoint responds, whatever the
 * status, and eight from then on until an attempt gets no response. A silent endpoint therefore occupies only one socket, also
 * at the start and after a restart. Workspaces do not share a limit, because one of them could use up that of another.
 */
export class WebhookEndpoints {
  private readonly attemptsInProgress = new Map<string, Endpoint & { count: number }>();
  private readonly responsive = new LRUCache<string, Endpoint>({ max: MAX_REMEMBERED_ENDPOINTS });

  attemptStarted({ workspaceId, endpoint }: Endpoint): void {
    const key = keyOf({ workspaceId, endpoint });
    const count = (this.attemptsInProgress.get(key)?.count ?? 0) + 1;
    this.attemptsInProgress.set(key, { workspaceId, endpoint, count });
  }

  /** `hasResponse` is null when the attempt was not made or its outcome is unknown. */
  attemptEnded({ workspaceId, endpoint }: Endpoint, hasResponse: boolean | null): void {
    const key = keyOf({ workspaceId, endpoint });
    const remaining = (this.attemptsInProgress.get(key)?.count ?? 1) - 1;
    if (remaining > 0) this.attemptsInProgress.set(key, { workspaceId, endpoint, count: remaining });
    else this.attemptsInProgress.delete(key);
    if (hasResponse === true) this.responsive.set(key, { workspaceId, endpoint });
    if (hasResponse === false) this.responsive.delete(key);
  }

  /** The number of attempts that each endpoint may start now. An endpoint that is not listed may start one. */
  get capacities(): EndpointCapacity[] {
    const known = new Map<string, Endpoint>([...this.responsive.entries(), ...this.attemptsInProgress]);
    return [...known].map(([key, { workspaceId, endpoint }]) => {
      const limit = this.responsive.has(key) ? MAX_ATTEMPTS_PER_ENDPOINT : 1;
      const count = this.attemptsInProgress.get(key)?.count ?? 0;
      return { workspaceId, endpoint, capacity: Math.max(0, limit - count) };
    });
  }

  /** The number of attempts in progress of each workspace. */
  get attemptsByWorkspace(): Record<string, number> {
    const attempts: Record<string, number> = {};
    for (const { workspaceId, count } of this.attemptsInProgress.values())
      attempts[workspaceId] = (attempts[workspaceId] ?? 0) + count;
    return attempts;
  }
}

function keyOf({ workspaceId, endpoint }: Endpoint): string {
  return `${workspaceId} ${endpoint}`;
}
