import { type TaskFailure } from '../core/tasks/task-failure.js';
import { failureFromResult, refusesAccount } from './acedata-errors.js';
import { type UpstreamImage, type WireReply, type WireTask } from './acedata-wire.js';

/** The meaning of a reply, a callback or a task that was read. `running` is only reported by a read. */
export type UpstreamResult = { upstreamTaskId: string | null; upstreamTraceId: string | null } & (
  | { kind: 'accepted'; upstreamTaskId: string }
  | { kind: 'running' }
  // At least one image, possibly fewer than requested.
  | { kind: 'succeeded'; images: UpstreamImage[] }
  // `refusesAccount`: because of our account, so that every submission would be refused.
  | { kind: 'failed'; failure: TaskFailure; refusesAccount?: true }
);
export type SubmitResult = Extract<UpstreamResult, { kind: 'accepted' | 'succeeded' }>;

/**
 * Interprets the upstream's replies. Images always take precedence over an error beside them, because they are paid for.
 */

/**
 * Interprets the response to a submission. Null when it has no images, and also no task ID, or an error code or a status that
 * reports an error.
 */
export function toSubmitResult(reply: WireReply, { isOk }: { isOk: boolean }): SubmitResult | null {
  return toSucceeded(reply) ?? (isOk && !hasErrorCode(reply) ? toAccepted(reply) : null);
}

/**
 * Interprets a callback. The upstream sends it once, at the end, so any kind of error is a failure, and so is a `data` without
 * images. Null when nothing is recognizable.
 */
export function toCallbackResult(reply: WireReply): UpstreamResult | null {
  const isFinal = reply.error !== null || reply.success === false || reply.data !== null;
  return toSucceeded(reply) ?? (isFinal ? toFailed(reply) : toAccepted(reply));
}

/** Interprets a task that was read. It has no status, so it is finished when it has images, an error code or `finished_at`. */
export function toTaskResult(task: WireTask): UpstreamResult {
  // Without `finished_at`, an error that is a plain string can be temporary, even beside `success: false`.
  const hasFailed = task.isFinished || hasErrorCode(task);
  return toSucceeded(task) ?? (hasFailed ? toFailed(task) : { kind: 'running', ...idsOf(task) });
}

function toSucceeded(reply: WireReply) {
  const images = reply.data ?? [];
  return images.length === 0 ? null : { kind: 'succeeded' as const, ...idsOf(reply), images };
}

function toFailed(reply: WireReply) {
  const failure = failureFromResult(reply);
  return {
    kind: 'failed' as const,
    ...idsOf(reply),
    failure,
    ...(refusesAccount(reply) && { refusesAccount: true as const }),
  };
}

function toAccepted(reply: WireReply) {
  const { task_id: upstreamTaskId } = reply;
  return upstreamTaskId === null ? null : { kind: 'accepted' as const, ...idsOf(reply), upstreamTaskId };
}

function idsOf({ task_id: upstreamTaskId, trace_id: upstreamTraceId }: WireReply) {
  return { upstreamTaskId, upstreamTraceId };
}

function hasErrorCode({ error }: WireReply): boolean {
  return error !== null && error.code !== null;
}
