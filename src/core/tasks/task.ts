import { type TaskFailure } from './task-failure.js';

/**
 * The life of a task.
 *
 *   QUEUED -> SUBMITTING -> RUNNING -> SUCCEEDED | FAILED
 *
 * SUBMITTING returns to QUEUED when the upstream certainly made nothing, because it was not reached or refused the request, and
 * the same request may succeed later. SUBMITTING becomes UNCONFIRMED when the request may have arrived. Such a request is never
 * sent again, unless the same attempt turns out to have made nothing: an instance that lost PostgreSQL can still learn that
 * after another one has taken it for dead. The task then returns to QUEUED as well. Every status that is not final can become
 * CANCELED or EXPIRED. It can also become SUCCEEDED or FAILED, because a callback can overtake our own writes. Final statuses
 * never change.
 */
export const TASK_STATUSES = [
  'QUEUED',
  'SUBMITTING',
  'UNCONFIRMED',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'CANCELED',
  'EXPIRED',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export type TaskKind = 'GENERATE' | 'EDIT';

/** Order among the queued tasks of one end user. It gives no advantage over other end users or workspaces. */
export const TASK_PRIORITIES = ['LOW', 'NORMAL', 'HIGH'] as const;
export type TaskPriority = (typeof TASK_PRIORITIES)[number];

/**
 * Images of one task that are recorded. Four times as many as a request can ask for: the upstream may deliver and bill more than
 * that was, but a body of 10 MB must not become 100,000 downloads.
 */
export const MAX_IMAGES_PER_TASK = 16;

const FINAL_STATUSES: readonly TaskStatus[] = ['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED'];

/** Every allowed change of status. The statement that attempts any other one changes nothing. */
export const TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  QUEUED: ['SUBMITTING', ...FINAL_STATUSES],
  SUBMITTING: ['QUEUED', 'RUNNING', 'UNCONFIRMED', ...FINAL_STATUSES],
  UNCONFIRMED: ['QUEUED', 'RUNNING', ...FINAL_STATUSES],
  RUNNING: FINAL_STATUSES,
  SUCCEEDED: [],
  FAILED: [],
  CANCELED: [],
  EXPIRED: [],
};

/** The statuses from which a task may move to `status`. Every compare-and-set of a status checks them. */
export function statusesBefore(status: TaskStatus): TaskStatus[] {
  return TASK_STATUSES.filter((from) => TRANSITIONS[from].includes(status));
}

/** Whether the status is final, so that it never changes again. */
export function isFinal(status: TaskStatus): boolean {
  return TRANSITIONS[status].length === 0;
}

/** Outcomes of canceling a task. ALREADY_SENT: the upstream cannot be stopped, and may bill the task. */
export type CancelOutcome = 'NOT_SENT' | 'ALREADY_SENT' | 'ALREADY_FINISHED';

/** What the request for a task decides. It never changes. */
export interface TaskRequest {
  id: string;
  workspaceId: string;
  kind: TaskKind;
  prompt: string;
  model: string;
  size: string | null;
  /** The size that the caller sent, where the model takes another one and the nearest was chosen. Otherwise null or absent. */
  requestedSize?: string | null;
  /**
   * The size that the upstream is asked for, where the caller named none and the model's default does not fit. Otherwise null or
   * absent.
   */
  upstreamSize?: string | null;
  requestedCount: number;
  sourceImageId: string | null;
  sourceImageUrl: string | null;
  idempotencyKey: string | null;
  metadata: unknown;
  /** The task that this one retries. */
  retryOfId: string | null;
  /** URL of the webhook endpoint that the result is posted to. */
  webhookUrl: string | null;
  /** ID of the API key that requested the task. */
  keyId: string | null;
  /** The workspace's own ID of the end user that the task was requested for. */
  endUserId: string | null;
  priority: TaskPriority;
  /** Currency of the price at the time of the request. Null when the price is unknown. */
  currency: string | null;
  /** ID of the HTTP request that created the task, as it appears in the log. */
  traceId: string | null;
}

/** A task in its current state. Times are UTC, and counts are numbers of images. */
export interface Task extends TaskRequest {
  status: TaskStatus;
  deliveredCount: number;
  /** Images that are neither stored nor lost yet. A task in a final status with none of them is settled. */
  pendingImages: number;
  failure: TaskFailure | null;
  upstreamTaskId: string | null;
  upstreamTraceId: string | null;
  attempts: number;
  /** Those of `attempts` that were refused because of the upstream's load or of our account. */
  uncountedAttempts: number;
  /** Maximum cost by the price list at the time of the request. Null when unknown. Costs are decimals as text. */
  estimatedCost: string | null;
  /** Actual cost. Null until the task is final, and when the cost is unknown or uncertain. */
  finalCost: string | null;
  createdAt: Date;
  submittedAt: Date | null;
  finishedAt: Date | null;
  deadlineAt: Date;
  /** Position of the event log in the snapshot that the task was read in. A 64-bit integer as text. */
  eventLogPosition: string;
}
