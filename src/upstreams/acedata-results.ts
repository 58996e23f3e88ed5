import { failureInResult } from './acedata-errors.js';
import { type Accepted, type Succeeded, type UpstreamResult } from './acedata-types.js';
import { type WireReply, type WireTask } from './acedata-wire.js';

/**
 * What the upstream's words amount to. Pictures always win: they are paid for, whatever stands beside them.
 */

/** A submit's answer: pictures or a task's id. Null when it is neither, or when it names an error by a code. */
export function resultOfSubmit(says: WireReply): Accepted | Succeeded | null {
  return succeeded(says, says.taskId) ?? (hasCode(says) ? null : accepted(says));
}

/**
 * A callback comes once, at the end, so one that complains is a failure in whatever form it complains, and so is one
 * whose `data` holds no picture. Null when nothing is recognisable.
 */
export function resultOfCallback(says: WireReply): UpstreamResult | null {
  const isOver = says.error !== null || says.success === false || says.pictures !== null;
  return succeeded(says, says.taskId) ?? (isOver ? failed(says, says.taskId) : accepted(says));
}

/** A read task has no status field: it is over when it has pictures, an error with a code, or a time of its finish. */
export function resultOfTask(task: WireTask): UpstreamResult {
  const says = { ...task.response, traceId: task.traceId };
  const won = succeeded(says, task.id);
  if (won) return won;
  // A bare string beside `success: false` can be a passing hiccup while there is no `finished_at`.
  if (task.isFinished || hasCode(says)) return failed(says, task.id);
  return { kind: 'running', upstreamTaskId: task.id, upstreamTraceId: says.traceId };
}

function succeeded(says: WireReply, upstreamTaskId: string | null): Succeeded | null {
  const pictures = says.pictures ?? [];
  if (pictures.length === 0) return null;
  return { kind: 'succeeded', upstreamTaskId, upstreamTraceId: says.traceId, pictures };
}

function failed(says: WireReply, upstreamTaskId: string | null): UpstreamResult {
  const failure = failureInResult(says.error, says.traceId);
  return { kind: 'failed', upstreamTaskId, upstreamTraceId: says.traceId, failure };
}

function accepted(says: WireReply): Accepted | null {
  if (says.taskId === null) return null;
  return { kind: 'accepted', upstreamTaskId: says.taskId, upstreamTraceId: says.traceId };
}

function hasCode(says: WireReply): boolean {
  return says.error !== null && says.error.code !== null;
}
