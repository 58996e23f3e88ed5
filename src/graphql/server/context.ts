import DataLoader from 'dataloader';
import { type Caller } from '../../core/access/caller.js';
import { NotFound } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { type History } from '../../services/tasks/history.js';
import { type RateStanding } from '../../services/limits/rate-limits.js';
import { type Watching } from '../../services/events/event-subscriptions.js';

/** What every resolver is given: who asks, and loaders that read many rows with one statement. */
export interface Context {
  caller: Caller;
  /** The header Idempotency-Key: for mutations whose input brings none. Null on WebSocket. */
  idempotencyKey: string | null;
  /** The id of the HTTP request, as our log has it; null on WebSocket. */
  traceId: string | null;
  /** How the caller's limits stood when the operation began; null where it has none. */
  rate: RateStanding | null;
  /** The caller's tasks and images by id; null where there is none. */
  tasks: DataLoader<string, Task | null>;
  images: DataLoader<string, Image | null>;
  /** The images of a task that the caller was shown, late ones included. */
  imagesOfTask: DataLoader<string, Image[]>;
  /** In which turn a queued task that the caller was shown will be sent. */
  queuePositions: DataLoader<string, number | null>;
  /** Where subscriptions come from. */
  watching: Watching;
}

/** What is known besides the operation. */
export interface RequestFacts {
  rate: RateStanding | null;
  /** As for the two of `Context`; absent on WebSocket. */
  idempotencyKey?: string | undefined;
  traceId?: string;
}

export type ContextMaker = (caller: Caller, facts: RequestFacts) => Context;

/** The loaders batch but do not remember: a subscription's context lives long, and its events want rows as they are now. */
export function contextMaker(history: History, watching: Watching): ContextMaker {
  const options = { cache: false, maxBatchSize: 100 };
  return (caller, { rate, idempotencyKey, traceId }) => ({
    caller,
    idempotencyKey: idempotencyKey ?? null,
    traceId: traceId ?? null,
    rate,
    tasks: new DataLoader((ids) => history.tasks(caller, ids), options),
    images: new DataLoader((ids) => history.images(caller, ids), options),
    imagesOfTask: new DataLoader((taskIds) => history.imagesOf(caller, taskIds), options),
    queuePositions: new DataLoader((ids) => history.queuePositions(caller, ids), options),
    watching,
  });
}

/** The task of something that was shown: it is there, because nothing ever deletes tasks. */
export async function taskOf(context: Context, taskId: string): Promise<Task> {
  const task = await context.tasks.load(taskId);
  if (!task) throw new NotFound('The task is not there.');
  return task;
}
