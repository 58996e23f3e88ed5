import { failureFromResult } from './acedata-errors.js';
import { type UpstreamAccepted, type UpstreamSucceeded, type UpstreamResult } from './acedata-types.js';
import { type WireReply, type WireTask } from './acedata-wire.js';

/**
 * Interprets the upstream's replies. Images always take precedence over an error beside them, because they are paid for.
 */

/** Interprets the response to a submission. Null when it has neither images nor a task ID, or has an error code. */
export function toSubmitResult(reply: WireReply): UpstreamAccepted | UpstreamSucceeded | null {
  return toSucceeded(reply, reply.taskId) ?? (hasErrorCode(reply) ? null : toAccepted(reply));
}

/**
 * Interprets a callback. The upstream sends it once, at the end, so any kind of error is a failure, and so is a `data` without
 * images. Null when nothing is recognisable.
 */
export function toCallbackResult(reply: WireReply): UpstreamResult | null {
  const isFinal = reply.error !== null || reply.success === false || reply.images !== null;
  return toSucceeded(reply, reply.taskId) ?? (isFinal ? toFailed(reply, reply.taskId) : toAccepted(reply));
}

/** Interprets a task that was read. It has no status, so it is finished when it has images, an error code or `finished_at`. */
export function toTaskResult(task: WireTask): UpstreamResult {
  const reply = { ...task.response, traceId: task.traceId };
  const success = toSucceeded(reply, task.id);
  if (success) return success;
  // Without `finished_at`, an error that is a plain string can be temporary, even beside `success: false`.
  if (task.isFinished || hasErrorCode(reply)) return toFailed(reply, task.id);
  return { kind: 'running', upstreamTaskId: task.id, upstreamTraceId: reply.traceId };
}

function toSucceeded(reply: WireReply, upstreamTaskId: string | null): UpstreamSucceeded | null {
  const images = reply.images ?? [];
  if (images.length === 0) return null;
  return { kind: 'succeeded', upstreamTaskId, upstreamTraceId: reply.traceId, images };
}

function toFailed(reply: WireReply, upstreamTaskId: string | null): UpstreamResult {
  const failure = failureFromResult(reply.error, reply.traceId);
  return { kind: 'failed', upstreamTaskId, upstreamTraceId: reply.traceId, failure };
}

function toAccepted(reply: WireReply): UpstreamAccepted | null {
  if (reply.taskId === null) return null;
  return { kind: 'accepted', upstreamTaskId: reply.taskId, upstreamTraceId: reply.traceId };
}

function hasErrorCode(reply: WireReply): boolean {
  return reply.error !== null && reply.error.code !== null;
}
