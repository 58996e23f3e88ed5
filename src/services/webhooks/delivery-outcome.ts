import { ACTORS } from '../../core/events/task-event.js';
import { type OutgoingCallback } from '../../core/webhooks/webhook-delivery.js';
import { type DeliveryEnd } from '../../db/webhooks/webhook-repository.js';
import { parseRetryAfter } from '../../net/retry-after.js';

/** Milliseconds between one attempt and the next; behind the last of them a callback is abandoned. */
export type RetryDelays = readonly number[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Standard Webhooks' own example of a schedule: 5 s to 10 h, over 27 h in all. */
export const RETRY_DELAYS_MS: RetryDelays = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  10 * HOUR_MS,
];
/** Up to a fifth later, so that callbacks which failed together do not come together again. */
const JITTER = 0.2;
/** A receiver may ask for a longer wait, but not for ever. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;
/** The receiver wants no more of it. */
const GONE = 410;

/** What came of one attempt. */
export interface Answered {
  statusCode: number | null;
  /** Why nobody answered. */
  failure: string | null;
  answer: string | null;
  latencyMs: number;
  headers: Record<string, string | string[] | undefined>;
}

/** What an attempt's outcome means: delivered by any 2xx, abandoned by 410 and by the last attempt, else tried again. */
export function endOf(
  callback: Pick<OutgoingCallback, 'id' | 'attempt' | 'attemptOfRound'>,
  { id, at }: { id: string; at: Date },
  answered: Answered,
  delays: RetryDelays,
): DeliveryEnd {
  const { statusCode, latencyMs } = answered;
  const { attempt } = callback;
  // Postgres keeps every character in a text but NUL.
  const answer = answered.answer?.replaceAll('\0', '\uFFFD') ?? null;
  const delivery = {
    id,
    attempt,
    at,
    statusCode,
    latencyMs,
    answer,
    failure: failureOf(answered),
    nextAttemptAt: null,
  };
  const actor = ACTORS.delivery;
  if (statusCode !== null && isDelivered(statusCode)) {
    const data = { webhookId: callback.id, attempt, statusCode };
    return { status: 'DELIVERED', delivery, event: { type: 'CALLBACK_DELIVERED', actor, data } };
  }
  const delayMs = statusCode === GONE ? undefined : delays[callback.attemptOfRound - 1];
  if (delayMs === undefined) {
    const reason = delivery.failure ?? '';
    const data = { webhookId: callback.id, attempt, reason };
    return { status: 'ABANDONED', delivery, event: { type: 'CALLBACK_ABANDONED', actor, data } };
  }
  const asked = parseRetryAfter(answered.headers['retry-after'], MAX_RETRY_AFTER_MS) ?? 0;
  const waitMs = Math.max(asked, delayMs) * (1 + Math.random() * JITTER);
  const nextAttemptAt = new Date(Date.now() + waitMs);
  return { status: 'PENDING', delivery: { ...delivery, nextAttemptAt }, event: null };
}

function isDelivered(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function failureOf({ statusCode, failure }: Answered): string | null {
  if (statusCode === null) return failure;
  if (isDelivered(statusCode)) return null;
  if (statusCode >= 300 && statusCode < 400) return `It answered ${statusCode}; redirects are not followed.`;
  if (statusCode === GONE) return 'It answered 410: it wants no more of this.';
  return `It answered ${statusCode}.`;
}
