/** Values of `Task.error.code`: why a task failed or expired. docs/ERRORS.md explains each one. */
export const TASK_ERROR_CODES = [
  'CONTENT_REJECTED',
  'UPSTREAM_OUT_OF_CREDIT',
  'UPSTREAM_CREDENTIALS',
  'UPSTREAM_DISABLED',
  'UPSTREAM_BAD_REQUEST',
  'UPSTREAM_RATE_LIMITED',
  'UPSTREAM_FAILED',
  'UPSTREAM_UNREACHABLE',
  'SUBMIT_UNCONFIRMED',
  'DEADLINE_EXCEEDED',
] as const;
export type TaskErrorCode = (typeof TASK_ERROR_CODES)[number];

/** Why a task failed or expired, as it is stored and shown. */
export interface TaskFailure {
  code: TaskErrorCode;
  message: string;
  /** Whether the same request may succeed later. Never true while the upstream may bill this task. */
  retryable: boolean;
  upstreamCode: string | null;
  upstreamTraceId: string | null;
}
