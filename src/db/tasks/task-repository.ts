import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type EventData, type EventType } from '../../core/events/task-event.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type UpstreamMetadata } from '../../core/images/image.js';
import { type NewJob, type SubmitJob } from '../../core/jobs.js';
import { type Visibility } from '../../core/access/visibility.js';
import {
  isFinal,
  statusesBefore,
  type Task,
  TASK_PRIORITIES,
  type TaskKind,
  type TaskPriority,
  type TaskStatus,
} from '../../core/tasks/task.js';
import { type Database } from '../postgres/database.js';
import { visibilityValues } from '../access/visibility-filter.js';
import {
  CLAIM_NEXT_TASKS,
  CLAIM_FOR_RECONCILIATION,
  REPLACE_SUBMIT_JOB,
  FIND_OVERDUE,
  FIND_SUBMISSION,
  FIND_TASK,
  FIND_TASKS,
  FIND_TASK_BY_IDEMPOTENCY_KEY,
  INSERT_TASK,
  ADD_LATE_IMAGES,
  TRANSITION_TASK,
  SET_UPSTREAM_TASK_ID,
  RELEASE_UNCERTAIN,
  CLEAR_CHECKED_AT,
} from './task-statements.js';

/** A task to insert. */
export interface NewTask {
  id: string;
  workspaceId: string;
  kind: TaskKind;
  prompt: string;
  model: string;
  size: string | null;
  requestedCount: number;
  sourceImageId: string | null;
  sourceImageUrl: string | null;
  idempotencyKey: string | null;
  inputHash: Buffer;
  metadata: unknown;
  timeoutSeconds: number;
  retryOfId: string | null;
  webhookUrl: string | null;
  traceId: string | null;
  keyId: string;
  endUserId: string | null;
  priority: TaskPriority;
  /** Price of one image, as a decimal. Null, like `currency`: unknown. */
  unitPrice: string | null;
  currency: string | null;
}

/** An image of a result, to insert. */
export interface NewImage {
  id: string;
  index: number;
  upstreamUrl: string;
  seed: string | null;
  inferenceSeconds: number | null;
  upstreamMetadata: UpstreamMetadata;
}

/** The changes that one commit makes together with a change of status. */
export interface TaskTransition<Type extends EventType = EventType> {
  /** Narrows the statuses that the task may have before. It never allows more than `TRANSITIONS` of core/tasks/task.ts. */
  fromStatuses?: readonly TaskStatus[];
  event?: { type: Type; actor: string; data: EventData[Type] };
  jobs?: NewJob[];
  images?: NewImage[];
  failure?: TaskFailure;
  upstreamTaskId?: string | null;
  upstreamTraceId?: string | null;
  /** Identifies the run that makes the task SUBMITTING. */
  submissionId?: string;
  /** ID of the job of that run. */
  submitJobId?: string;
  /** Earliest time of the next submission of a task that goes back to the queue. */
  notBefore?: Date;
  /** The callback that causes the transition. It is saved with its verdict. */
  callback?: RawCallback;
  /** Makes the transition conditional on this being the latest submission attempt. */
  expectedAttempt?: number;
}

/** A task after its transition, and the verdict on the callback that caused it. */
export type TransitionedTask = Task & { verdict: CallbackVerdict | null };

/** A run of a submit job that claims a task, and the ID of the submission. */
export interface TaskClaim extends SubmitJob {
  submissionId: string;
}

/** The outcome of `pick_next_tasks` for one claim, and the task if it was made SUBMITTING. */
export type TaskClaimResult =
  | { outcome: 'PICKED'; task: Task | null }
  | { outcome: 'ALREADY_SUBMITTING'; taskId: string }
  | { outcome: 'RETRY' | 'SUPERSEDED' | 'NONE' };

/** A callback's ID and its unparsed body. */
export interface RawCallback {
  id: string;
  body: Uint8Array;
}

/** The rows of `tasks`. Every method is one statement and throws DatabaseUnavailable when PostgreSQL cannot be reached. */
export class TaskRepository {
  constructor(private readonly db: Database) {}

  /**
   * Inserts the task, its event TASK_REQUESTED, its submit job and its reservation. Null when the idempotency key is taken or a
   * budget has no room; `BudgetRepository.explainRejection` returns the budgets.
   */
  async insert(task: NewTask, actor: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(INSERT_TASK, insertTaskValues(task, actor));
    return row ?? null;
  }

  /** Changes the status if the current status allows it, with the other changes of the transition. Null: nothing changed. */
  async transitionTo<Type extends EventType>(
    id: string,
    status: TaskStatus,
    transition: TaskTransition<Type> = {},
  ): Promise<TransitionedTask | null> {
    const [row] = await this.db.run<TransitionedTask>(
      TRANSITION_TASK,
      transitionTaskValues(id, status, transition),
    );
    return row ?? null;
  }

  /**
   * Claims a task for each run of a submit job by fair scheduling, makes it SUBMITTING, and returns the outcomes in the order of
   * the claims:
   * - PICKED: the task was claimed. With a null task, claim again.
   * - RETRY: claim again.
   * - ALREADY_SUBMITTING: the job has claimed a task before, and does not get another one.
   * - SUPERSEDED: the queue has given the job to another run.
   * - NONE: no task is due.
   */
  async claimNextTasks(claims: readonly TaskClaim[]): Promise<TaskClaimResult[]> {
    const attempts = claims.map(({ attempt }) => attempt);
    const submissionIds = claims.map(({ submissionId }) => submissionId);
    const submitJobIds = claims.map(({ id }) => id);
    // CLAIM_NEXT_TASKS takes arrays where TRANSITION_TASK takes the values of one task, and no task ID at the end.
    const values = transitionTaskValues('', 'SUBMITTING', {})
      .with(0, attempts)
      .with(17, submissionIds)
      .with(19, submitJobIds);
    type Row = Task & { outcome: TaskClaimResult['outcome']; pickedTaskId: string };
    const rows = await this.db.run<Row>(CLAIM_NEXT_TASKS, values.slice(0, -1));
    return rows.map(({ outcome, pickedTaskId, ...task }) => {
      if (outcome === 'PICKED') return { outcome, task: (task.id as string | null) === null ? null : task };
      return outcome === 'ALREADY_SUBMITTING' ? { outcome, taskId: pickedTaskId } : { outcome };
    });
  }

  /**
   * Puts a task back into the queue, for another submission at `retryAt`, when the upstream certainly made nothing for it. Does
   * nothing if this attempt was requeued before, because the next attempt can be in progress by then.
   */
  async requeue(
    { id, attempts }: Task,
    retryAt: Date,
    event: NonNullable<TaskTransition<'SUBMIT_REJECTED'>['event']>,
  ): Promise<void> {
    await this.transitionTo(id, 'QUEUED', {
      event,
      expectedAttempt: attempts,
      notBefore: retryAt,
      jobs: [{ name: 'submit-task', payload: { taskId: id }, runAt: retryAt }],
    });
  }

  /** Queues another submit job in place of one that is about to give up unused. False when another run has the job. */
  async replaceSubmitJob({ id, attempt, taskId }: SubmitJob, runAt: Date): Promise<boolean> {
    return (await this.db.run(REPLACE_SUBMIT_JOB, [id, attempt, taskId, runAt])).length > 0;
  }

  /** A task of any workspace, for background work. Transports use `findMany`, which checks the visibility. */
  async find(id: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(FIND_TASK, [id]);
    return row ?? null;
  }

  /** The task if this run made it SUBMITTING and it still is. */
  async findSubmission(id: string, submissionId: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(FIND_SUBMISSION, [id, submissionId]);
    return row ?? null;
  }

  /** The visible tasks among these IDs, in no order. */
  async findMany(visibility: Visibility, ids: readonly string[]): Promise<Task[]> {
    return this.db.runAsCaller<Task>(visibility.workspaceId, FIND_TASKS, [
      ids,
      ...visibilityValues(visibility),
    ]);
  }

  /** The task with an idempotency key, for an end user or for none, and whether it was created from the same input. */
  async findByIdempotencyKey(
    { workspaceId, endUserId }: Pick<NewTask, 'workspaceId' | 'endUserId'>,
    idempotencyKey: string,
    inputHash: Buffer,
  ): Promise<(Task & { sameInput: boolean }) | null> {
    const values = [workspaceId, idempotencyKey, inputHash, endUserId];
    type Row = Task & { sameInput: boolean };
    const [row] = await this.db.runAsCaller<Row>(workspaceId, FIND_TASK_BY_IDEMPOTENCY_KEY, values);
    return row ?? null;
  }

  /** Adds the images of a result that arrived after the end of the task, and its callback. False when they were added before. */
  async addLateImages(
    id: string,
    images: NewImage[],
    actor: string,
    callback?: RawCallback,
  ): Promise<boolean> {
    const values = [id, JSON.stringify(images), actor, callback?.id ?? null, callback?.body ?? null];
    const [row] = await this.db.run<{ addedCount: number }>(ADD_LATE_IMAGES, values);
    return (row?.addedCount ?? 0) > 0;
  }

  /** Releases the uncertain amount of a task for which the upstream reports that it made nothing. */
  async releaseUncertain(id: string): Promise<void> {
    await this.db.run(RELEASE_UNCERTAIN, [id]);
  }

  /** Sets the upstream's IDs of a task whose callback arrived before the response to its submission. */
  async setUpstreamTaskId(id: string, upstreamTaskId: string, upstreamTraceId: string | null): Promise<void> {
    await this.db.run(SET_UPSTREAM_TASK_ID, [id, upstreamTaskId, upstreamTraceId]);
  }

  /** Up to `limit` tasks, running or ended without a result, that were not checked for `olderThanMs`. Marks them as checked now. */
  async claimForReconciliation(
    olderThanMs: number,
    limit: number,
  ): Promise<{ id: string; upstreamTaskId: string }[]> {
    return this.db.run(CLAIM_FOR_RECONCILIATION, [olderThanMs, limit]);
  }

  /** Marks tasks as not checked, because the upstream did not answer. */
  async clearCheckedAt(ids: readonly string[]): Promise<void> {
    await this.db.run(CLEAR_CHECKED_AT, [ids]);
  }

  /** Up to `limit` active tasks whose deadline has passed. */
  async findOverdue(limit: number): Promise<Task[]> {
    return this.db.run<Task>(FIND_OVERDUE, [limit]);
  }
}

/** The parameters of INSERT_TASK. */
export function insertTaskValues(task: NewTask, actor: string): unknown[] {
  const { kind, model, size, requestedCount } = task;
  return [
    task.id,
    task.workspaceId,
    kind,
    task.prompt,
    model,
    size,
    requestedCount,
    task.sourceImageId,
    task.sourceImageUrl,
    task.idempotencyKey,
    task.inputHash,
    task.metadata === undefined || task.metadata === null ? null : JSON.stringify(task.metadata),
    task.timeoutSeconds,
    actor,
    JSON.stringify({ kind, model, size, requestedCount }),
    task.retryOfId,
    task.webhookUrl,
    task.traceId,
    task.keyId,
    task.endUserId,
    TASK_PRIORITIES.indexOf(task.priority),
    task.unitPrice,
    task.currency,
  ];
}

/** The parameters of TRANSITION_TASK. */
export function transitionTaskValues(id: string, status: TaskStatus, transition: TaskTransition): unknown[] {
  const allowed = statusesBefore(status);
  const images = transition.images ?? [];
  return [
    transition.expectedAttempt ?? null,
    status,
    transition.fromStatuses ? allowed.filter((from) => transition.fromStatuses?.includes(from)) : allowed,
    status === 'SUBMITTING' ? 1 : 0,
    transition.failure ? JSON.stringify(transition.failure) : null,
    transition.upstreamTaskId ?? null,
    transition.upstreamTraceId ?? null,
    status === 'RUNNING' || status === 'SUCCEEDED',
    isFinal(status),
    images.length,
    JSON.stringify(images),
    transition.event?.type ?? null,
    transition.event?.actor ?? null,
    JSON.stringify(transition.event?.data ?? {}),
    JSON.stringify(transition.jobs ?? []),
    transition.callback?.id ?? null,
    transition.callback?.body ?? null,
    transition.submissionId ?? null,
    transition.notBefore ?? null,
    transition.submitJobId ?? null,
    id,
  ];
}
