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
const HTTP_GONE = 410;

/** The response to one attempt. */
export interface AttemptResponse extends Pick<WebhookAttempt, 'at' | 'latencyMs' | 'responseBody'> {
  /** Null when the endpoint did not respond. */
  statusCode: number | null;
  /** Why the endpoint did not respond. */
  errorMessage: string | null;
  headers: Record<string, string | string[] | undefined>;
}

/**
 * Decides what follows an attempt. Any 2xx response delivers the webhook. A 410 response, or a failure of the last attempt,
 * abandons it. Every other failure schedules another attempt.
 */
export function attemptOutcomeOf(
  delivery: Pick<WebhookDelivery, 'id' | 'attemptNumber' | 'failures'>,
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
      event: { type: 'WEBHOOK_DELIVERED', actor, data },
    };
  }
  const delayMs = statusCode === HTTP_GONE ? undefined : retryDelaysMs[delivery.failures];
  if (delayMs === undefined) {
    const reason = attempt.errorMessage ?? '';
    const data = { webhookId: delivery.id, attempt: attemptNumber, reason };
    return {
      status: 'ABANDONED',
      attempt,
      retryDelayMs: null,
      event: { type: 'WEBHOOK_ABANDONED', actor, data },
    };
  }
  const requestedDelayMs = parseRetryAfter(response.headers['retry-after'], MAX_RETRY_AFTER_MS) ?? 0;
  const retryDelayMs = Math.max(requestedDelayMs, delayMs) * (1 + Math.random() * JITTER_RATIO);
  return { status: 'PENDING', attempt, retryDelayMs, event: null };
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
