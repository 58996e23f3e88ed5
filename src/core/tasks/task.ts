import { type TaskFailure } from './task-failure.js';

/**
 * The life of a task.
 *
 *   QUEUED -> SUBMITTING -> RUNNING -> SUCCEEDED | FAILED
 *
 * SUBMITTING goes back to QUEUED when the upstream certainly made nothing (it was not reached, or it refused) and the
 * same request may work later. SUBMITTING becomes UNCONFIRMED when the request may or may not have arrived; it is then
 * never sent again. Any state that is not an end can become SUCCEEDED or FAILED, because a callback can overtake our own
 * bookkeeping, and CANCELED or EXPIRED. Ends are final.
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

export const TASK_KINDS = ['GENERATE', 'EDIT'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

/** Which of the tasks of one end user goes first. It does not come before other end users, or workspaces, by it. */
export const TASK_PRIORITIES = ['LOW', 'NORMAL', 'HIGH'] as const;
export type TaskPriority = (typeof TASK_PRIORITIES)[number];

const ENDS = ['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED'] as const satisfies readonly TaskStatus[];

/** Every change of status that may happen. Whatever is not here is refused by the statement that tries it. */
export const TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  QUEUED: ['SUBMITTING', ...ENDS],
  SUBMITTING: ['QUEUED', 'RUNNING', 'UNCONFIRMED', ...ENDS],
  UNCONFIRMED: ['RUNNING', ...ENDS],
  RUNNING: [...ENDS],
  SUCCEEDED: [],
  FAILED: [],
  CANCELED: [],
  EXPIRED: [],
};

/** The states from which a task may become `status`: the right-hand side of every compare-and-set. */
export function statesBefore(status: TaskStatus): TaskStatus[] {
  return TASK_STATUSES.filter((from) => TRANSITIONS[from].includes(status));
}

/** Whether a task in this state has ended and will not change its status again. */
export function isEnd(status: TaskStatus): boolean {
  return TRANSITIONS[status].length === 0;
}

/** What taking a task back came to. */
export const CANCEL_OUTCOMES = ['NOT_SENT', 'ALREADY_SENT', 'ALREADY_FINISHED'] as const;
export type CancelOutcome = (typeof CANCEL_OUTCOMES)[number];

/** A task as it stands. Times are UTC; counts are pictures. */
export interface Task {
  id: string;
  workspaceId: string;
  kind: TaskKind;
  status: TaskStatus;
  prompt: string;
  model: string;
  size: string | null;
  requestedCount: number;
  deliveredCount: number;
  /** Pictures that are neither stored nor lost yet. An ended task with none of them is settled. */
  pendingImages: number;
  sourceImageId: string | null;
  sourceImageUrl: string | null;
  failure: TaskFailure | null;
  upstreamTaskId: string | null;
  upstreamTraceId: string | null;
  attempts: number;
  idempotencyKey: string | null;
  metadata: unknown;
  /** The task that this one asks for again. */
  retryOfId: string | null;
  /** Where its result is posted to. */
  callbackUrl: string | null;
  /** The key that asked for it; null for one from before this was kept. */
  keyId: string | null;
  /** For whom of its own users the workspace asked. */
  endUserId: string | null;
  priority: TaskPriority;
  /** What it could cost, by the price at its request; null: unknown. Costs are decimals as text. */
  estimatedCost: string | null;
  /** What it did cost; null until it has ended, and where nobody can know. */
  finalCost: string | null;
  currency: string | null;
  /** The request that asked for it, as our log knows it. */
  traceId: string | null;
  createdAt: Date;
  submittedAt: Date | null;
  finishedAt: Date | null;
  deadlineAt: Date;
  /** The event log's position in the snapshot that this was read in; a 64-bit integer as text. */
  logPosition: string;
}
