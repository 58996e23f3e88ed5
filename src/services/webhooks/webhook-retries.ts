import { newId } from '../../core/primitives/ids.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type WebhookAttempt, type WebhookDelivery } from '../../core/webhooks/webhook-delivery.js';
import { type WebhookAttemptResult } from '../../db/webhooks/webhook-repository.js';
import { parseRetryAfter } from '../../net/retry-after.js';

/** Milliseconds between one attempt and the next. A delivery is abandoned when the attempt after the last delay fails. */
export type RetryDelays = readonly number[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** The example schedule of Standard Webhooks: 5 s to 10 h, more than 27 h in total. */
export const DEFAULT_RETRY_DELAYS_MS: RetryDelays = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  10 * HOUR_MS,
];
/** A delay grows by up to a fifth, so that deliveries that failed together are not retried together. */
const JITTER_RATIO = 0.2;
/** The longest delay that an endpoint can request. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;
/** The longest delay after an attempt that our side of the network may have failed. */
const MAX_UNCOUNTED_DELAY_MS = HOUR_MS;
/** A week of such attempts, so that the delivery to an endpoint that only looks like that ends too. */
const MAX_UNCOUNTED_ATTEMPTS = 7 * 24;
const HTTP_GONE = 410;

/** The response to one attempt. */
export interface AttemptResponse extends Pick<WebhookAttempt, 'at' | 'latencyMs' | 'responseBody'> {
  /** Null when the endpoint did not respond. */
  statusCode: number | null;
  /** Why the endpoint did not respond. */
  errorMessage: string | null;
  /** Whether the endpoint was not reached for a reason that may be on our side. */
  mayBeOurs: boolean;
  headers: Record<string, string | string[] | undefined>;
}

/**
 * Decides what follows an attempt. Any 2xx response delivers the webhook. A 410 response, or a failure of the last attempt,
 * abandons it. Every other failure schedules another attempt, and one that may be on our side is not counted for a week.
 */
export function attemptOutcomeOf(
  delivery: Pick<WebhookDelivery, 'id' | 'attemptNumber' | 'attemptSinceRedelivery' | 'failures'>,
  response: AttemptResponse,
  retryDelaysMs: RetryDelays,
): WebhookAttemptResult {
  const { at, statusCode, latencyMs } = response;
  const { attemptNumber } = delivery;
  // PostgreSQL cannot store NUL in text.
  const responseBody = response.responseBody?.replaceAll('\0', '\uFFFD') ?? null;
  const attempt = {
    id: newId(),
    attemptNumber,
    at,
    statusCode,
    latencyMs,
    responseBody,
    errorMessage: errorMessageOf(response),
  };
  const actor = EVENT_ACTORS.webhook;
  if (statusCode !== null && isSuccessStatus(statusCode)) {
    const data = { webhookId: delivery.id, attempt: attemptNumber, statusCode };
    return {
      status: 'DELIVERED',
      attempt,
      retryDelayMs: null,
      countsAsFailure: false,
      event: { type: 'WEBHOOK_DELIVERED', actor, data },
    };
  }
  const uncountedDelayMs = response.mayBeOurs ? delayOfUncounted(delivery, retryDelaysMs) : undefined;
  if (uncountedDelayMs !== undefined) {
    const retryDelayMs = uncountedDelayMs * (1 + Math.random() * JITTER_RATIO);
    return { status: 'PENDING', attempt, retryDelayMs, countsAsFailure: false, event: null };
  }
  const delayMs = statusCode === HTTP_GONE ? undefined : retryDelaysMs[delivery.failures];
  if (delayMs === undefined) {
    const reason = attempt.errorMessage ?? '';
    const data = { webhookId: delivery.id, attempt: attemptNumber, reason };
    return {
      status: 'ABANDONED',
      attempt,
      retryDelayMs: null,
      countsAsFailure: true,
      event: { type: 'WEBHOOK_ABANDONED', actor, data },
    };
  }
  const requestedDelayMs = parseRetryAfter(response.headers['retry-after'], MAX_RETRY_AFTER_MS) ?? 0;
  const retryDelayMs = Math.max(requestedDelayMs, delayMs) * (1 + Math.random() * JITTER_RATIO);
  return { status: 'PENDING', attempt, retryDelayMs, countsAsFailure: true, event: null };
}

/** Undefined when there were too many. Attempts that were interrupted are not counted either, and are few. */
function delayOfUncounted(
  { attemptSinceRedelivery, failures }: Pick<WebhookDelivery, 'attemptSinceRedelivery' | 'failures'>,
  retryDelaysMs: RetryDelays,
): number | undefined {
  const uncounted = attemptSinceRedelivery - 1 - failures;
  if (uncounted >= MAX_UNCOUNTED_ATTEMPTS) return undefined;
  const delayMs = retryDelaysMs[Math.min(uncounted, retryDelaysMs.length - 1)];
  return delayMs === undefined ? undefined : Math.min(delayMs, MAX_UNCOUNTED_DELAY_MS);
}

function isSuccessStatus(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function errorMessageOf({ statusCode, errorMessage }: AttemptResponse): string | null {
  if (statusCode === null) return errorMessage;
  if (isSuccessStatus(statusCode)) return null;
  if (statusCode >= 300 && statusCode < 400)
    return `The endpoint responded with status ${statusCode}. Redirects are not followed.`;
  if (statusCode === HTTP_GONE) return 'The endpoint responded with status 410, which ends the delivery.';
  return `The endpoint responded with status ${statusCode}.`;
}
