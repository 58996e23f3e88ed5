import { type TaskFailure } from '../tasks/task-failure.js';
import { type TaskKind } from '../tasks/task.js';

/** The payload of each type of event. Types are named in the past tense. */
export interface EventData {
  TASK_REQUESTED: { kind: TaskKind; model: string; size: string | null; requestedCount: number };
  /** The upstream accepted the task. `upstreamTaskId` is null when its response named none. */
  TASK_SUBMITTED: { upstreamTaskId: string | null; attempt: number };
  /**
   * An attempt made nothing, and the next one follows at `retryAt`. When the last attempt fails, TASK_FAILED follows.
   */
  SUBMIT_REJECTED: { attempt: number; code: string; message: string; retryAt: string };
  /** The request may have reached the upstream. It is not sent again. */
  SUBMIT_UNCONFIRMED: { attempt: number; message: string };
  /** `deliveredCount` can be smaller than the requested count. */
  TASK_SUCCEEDED: { deliveredCount: number; imageIds: string[] };
  TASK_FAILED: { error: TaskFailure };
  /** ALREADY_SENT: the upstream cannot be stopped. A result that still arrives is kept as late. */
  TASK_CANCELED: { outcome: 'NOT_SENT' | 'ALREADY_SENT' };
  TASK_EXPIRED: { error: TaskFailure };
  /** A paid result arrived after the task had become final. The task is not reopened. */
  LATE_RESULT_RECEIVED: { deliveredCount: number; imageIds: string[] };
  /** Holds enough to lay out a page before the bytes are loaded. With a `decodeError`, there is nothing to lay out. */
  IMAGE_STORED: {
    imageId: string;
    index: number;
    width: number | null;
    height: number | null;
    mimeType: string;
    byteSize: number;
    thumbhash: string | null;
    decodeError: string | null;
  };
  /** The upstream's URL did not serve the image, and no further attempt follows. The URL may still work for others. */
  IMAGE_LOST: {
    imageId: string;
    index: number;
    reason: string;
    upstreamUrl: string | null;
    /** An ISO 8601 time. Null if the URL does not say. */
    upstreamUrlExpiresAt: string | null;
  };
  /** The image is no longer served. RETENTION: it reached its maximum age. REQUESTED: a caller deleted it. */
  IMAGE_DELETED: { imageId: string; index: number; reason: 'REQUESTED' | 'RETENTION' };
  /** The webhook endpoint accepted the result. `webhookId` is the same in every attempt. */
  WEBHOOK_DELIVERED: { webhookId: string; attempt: number; statusCode: number };
  /** Delivery was given up. It is tried again only when a caller requests redelivery. */
  WEBHOOK_ABANDONED: { webhookId: string; attempt: number; reason: string };
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
  'LATE_RESULT_RECEIVED',
  'IMAGE_STORED',
  'IMAGE_LOST',
  'IMAGE_DELETED',
  'WEBHOOK_DELIVERED',
  'WEBHOOK_ABANDONED',
] as const satisfies readonly EventType[];

/** One event of a task in the event log. Immutable. */
export interface TaskEvent<Type extends EventType = EventType> {
  id: string;
  /** Position in the log, from 1 and without gaps. */
  position: bigint;
  workspaceId: string;
  taskId: string;
  /** End user of the task. Decides which callers may see the event. */
  endUserId: string | null;
  type: Type;
  at: Date;
  /** What caused the event: the name of an API key, or one of `EVENT_ACTORS`. */
  actor: string;
  data: EventData[Type];
  /** True when this event settled the task: its status is final, and every image is stored or lost. */
  settlesTask: boolean;
}

/** What identifies a task to those who may see its events. */
export type TaskKey = Pick<TaskEvent, 'workspaceId' | 'taskId'>;

/** The event that a change of a task writes. PostgreSQL adds `retryAt`, because its clock decides when a retry is due. */
export interface NewTaskEvent<Type extends EventType = EventType> extends Pick<
  TaskEvent<Type>,
  'type' | 'actor'
> {
  data: WithoutRetryTime<EventData[Type]>;
}
type WithoutRetryTime<Data> = Data extends { retryAt: string } ? Omit<Data, 'retryAt'> : Data;

/** Values of `actor` for events that no caller caused. */
export const EVENT_ACTORS = {
  submitter: 'submitter',
  upstreamCallback: 'upstream callback',
  reconciler: 'reconciler',
  deadline: 'deadline',
  imageStore: 'image store',
  retention: 'retention',
  webhook: 'webhook delivery',
} as const;
