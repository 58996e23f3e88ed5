import { type TaskFailure } from '../tasks/task-failure.js';
import { type TaskKind } from '../tasks/task.js';

/** What can be told about a task. Past tense; each kind has a payload of its own. */
export interface EventData {
  TASK_REQUESTED: { kind: TaskKind; model: string; size: string | null; requestedCount: number };
  /** The upstream has accepted it. `upstreamTaskId` is null when the upstream did not name one. */
  TASK_SUBMITTED: { upstreamTaskId: string | null; attempt: number };
  /** An attempt made nothing and the task waits for the next one at `retryAt`. The last attempt is TASK_FAILED. */
  SUBMIT_REJECTED: { attempt: number; code: string; message: string; retryAt: string };
  /** The request may or may not have arrived. It is not sent again. */
  SUBMIT_UNCONFIRMED: { attempt: number; message: string };
  /** `deliveredCount` can be smaller than what was requested. */
  TASK_SUCCEEDED: { deliveredCount: number; imageIds: string[] };
  TASK_FAILED: { error: TaskFailure };
  /** ALREADY_SENT: the upstream cannot be stopped; a result that comes is kept as late. */
  TASK_CANCELED: { outcome: 'NOT_SENT' | 'ALREADY_SENT' };
  TASK_EXPIRED: { error: TaskFailure };
  /** A paid result that came after the end. The task is not reopened. */
  LATE_RESULT_ARRIVED: { deliveredCount: number; imageIds: string[] };
  /** Enough to lay out a page before the bytes come. */
  IMAGE_STORED: {
    imageId: string;
    index: number;
    width: number;
    height: number;
    mimeType: string;
    byteSize: number;
    thumbhash: string;
  };
  /** The upstream's link gave no picture, and nobody will ask it again. */
  IMAGE_LOST: { imageId: string; index: number; reason: string };
  /** Nobody can fetch it any more. RETENTION: its time was over; REQUESTED: a caller asked for it. */
  IMAGE_DELETED: { imageId: string; index: number; reason: 'REQUESTED' | 'RETENTION' };
  /** The caller's receiver has taken the result. `webhookId` is the same in every attempt. */
  CALLBACK_DELIVERED: { webhookId: string; attempt: number; statusCode: number };
  /** Nobody tries it any more, unless somebody asks for it. */
  CALLBACK_ABANDONED: { webhookId: string; attempt: number; reason: string };
}

export type EventType = keyof EventData;

export const EVENT_TYPES = [
  'TASK_REQUESTED',
  'TASK_SUBMITTED',
  'SUBMIT_REJECTED',
  'SUBMIT_UNCONFIRMED',
  'TASK_SUCCEEDED',
  'TASK_FAILED',
  'TASK_CANCELED',
  'TASK_EXPIRED',
  'LATE_RESULT_ARRIVED',
  'IMAGE_STORED',
  'IMAGE_LOST',
  'IMAGE_DELETED',
  'CALLBACK_DELIVERED',
  'CALLBACK_ABANDONED',
] as const satisfies readonly EventType[];

/** One fact about a task, as it stands in the log. */
export interface TaskEvent<Type extends EventType = EventType> {
  id: string;
  /** Its place in the one order of the log, from 1, without gaps. */
  position: bigint;
  workspaceId: string;
  taskId: string;
  /** The task's: whose eyes it is for. */
  endUserId: string | null;
  type: Type;
  at: Date;
  /** Who or what caused it: a key's name, "upstream callback", "reconciler", "deadline". */
  actor: string;
  data: EventData[Type];
  /** True for the event after which nothing more is expected of the task: it has ended and its images are settled. */
  settles: boolean;
}

/** Who caused an event when it was not a caller with a key. */
export const ACTORS = {
  submitter: 'submitter',
  callback: 'upstream callback',
  reconciler: 'reconciler',
  deadline: 'deadline',
  store: 'image store',
  retention: 'retention',
  delivery: 'callback delivery',
} as const;
