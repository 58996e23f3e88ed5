import DataLoader from 'dataloader';
import { type Caller } from '../../core/access/caller.js';
import { NotFound } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { type SelectedTask, type TaskReads, type TaskSelection } from '../../services/tasks/task-reads.js';
import { type RateLimitStatus } from '../../services/limits/rate-limits.js';
import { type EventSubscriptions } from '../../services/events/event-subscriptions.js';

/** What every resolver gets: the caller, and loaders that read many rows with one statement. */
export interface Context {
  caller: Caller;
  /** Header `Idempotency-Key`, for mutations whose input has no key. Null over WebSocket. */
  idempotencyKey: string | null;
  /** ID of the HTTP request in the log. Null over WebSocket. */
  traceId: string | null;
  /** State of the caller's request limit when the operation began. Null if it has none. */
  rateLimit: RateLimitStatus | null;
  /** What the request takes in memory with all of its operations, for bounds of requests that wait. */
  requestBytes: number;
  /** Makes a signal that is aborted when the client has left, for work that waits. Most operations need none. */
  makeLeftSignal: () => AbortSignal | undefined;
  /** Tasks that the caller may see, by ID. Null for any other ID. */
  tasks: DataLoader<string, Task | null>;
  /** The same for tasks of which only a part is needed. */
  selectedTasks: DataLoader<{ id: string; selection: TaskSelection }, SelectedTask | null>;
  /** Images that the caller may see, by ID. Null for any other ID. */
  images: DataLoader<string, Image | null>;
  /** All images of a task, including late ones. The caller must have been allowed to see the task. */
  imagesByTask: DataLoader<string, Image[]>;
  /** Queue position of a task. The caller must have been allowed to see the task. Null if it is not queued. */
  queuePositions: DataLoader<string, number | null>;
  eventSubscriptions: EventSubscriptions;
}

/** Facts about the request besides its operation. Those of an HTTP request are absent over WebSocket. */
type RequestDetails = Pick<Context, 'rateLimit' | 'requestBytes'> &
  Partial<Pick<Context, 'idempotencyKey' | 'traceId' | 'makeLeftSignal'>>;

export type ContextFactory = (caller: Caller, details: RequestDetails) => Context;

/** The loaders batch but do not cache, because the context of a subscription is long-lived and each event needs current rows. */
export function createContextFactory(
  taskReads: TaskReads,
  eventSubscriptions: EventSubscriptions,
): ContextFactory {
  const options = { cache: false, maxBatchSize: 100 };
  return (
    caller,
    { rateLimit, requestBytes, idempotencyKey, traceId, makeLeftSignal = () => undefined },
  ) => ({
    caller,
    idempotencyKey: idempotencyKey ?? null,
    traceId: traceId ?? null,
    rateLimit,
    requestBytes,
    makeLeftSignal,
    tasks: new DataLoader((ids) => taskReads.tasks(caller, ids), options),
    selectedTasks: new DataLoader((tasks) => taskReads.selectedTasks(caller, tasks), options),
    images: new DataLoader((ids) => taskReads.images(caller, ids), options),
    imagesByTask: new DataLoader((taskIds) => taskReads.imagesByTask(caller, taskIds), options),
    queuePositions: new DataLoader((ids) => taskReads.queuePositions(caller, ids), options),
    eventSubscriptions,
  });
}

/** Loads the task of an object that the caller can see. It exists, because tasks are never deleted. */
export async function loadTask(context: Context, taskId: string): Promise<Task> {
  const task = await context.tasks.load(taskId);
  if (!task) throw new NotFound(`No task with the ID ${taskId}.`);
  return task;
}
