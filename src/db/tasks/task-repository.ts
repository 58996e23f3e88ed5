import { type EventType } from '../../core/events/task-event.js';
import { type SubmitJob } from '../../core/primitives/jobs.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Task, type TaskStatus } from '../../core/tasks/task.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { ADD_LATE_IMAGES, type LateImages, lateImagesParameters, RELEASE_UNCERTAIN } from './late-images.js';
import { FIND_QUEUE_POSITIONS, MAX_QUEUE_POSITION } from './queue-positions.js';
import {
  CLAIM_FOR_RECONCILIATION,
  CLAIM_NEXT_TASKS,
  claimParameters,
  CLEAR_CHECKED_AT,
  ENLARGE_CHECK_BATCHES,
  REPLACE_SUBMIT_JOB,
  SET_CHECK_BATCH_SIZE,
  type TaskClaim,
  type TaskClaimResult,
  type TaskToReconcile,
  toClaimResult,
} from './task-claims.js';
import { listTaskIds, type TaskListing } from './task-listing.js';
import { findPageOfTaskIds, type TaskFilter } from './task-pages.js';
import { findSelectedTasks, type SelectedTask, type TaskSelection, WHOLE_TASK } from './task-selection.js';
import { INSERT_TASK, insertTaskParameters, type NewTask, TASK_COLUMNS } from './task-row.js';
import {
  type TaskTransition,
  TRANSITION_TASK,
  type TransitionedTask,
  transitionParameters,
} from './task-transition.js';

const FIND_TASK = statement<{ id: string }, Task>(
  'find-task',
  `SELECT ${TASK_COLUMNS} FROM tasks task WHERE task.id = :id`,
);

const FIND_SUBMISSION = statement<{ id: string; submissionId: string }, Task>(
  'find-submission',
  `SELECT ${TASK_COLUMNS} FROM tasks task
   WHERE task.id = :id AND task.submission_id = :submissionId AND task.status = 'SUBMITTING'`,
);

/** A request with an idempotency key. */
interface IdempotentRequest {
  workspaceId: string;
  endUserId: string | null;
  idempotencyKey: string;
  inputHash: Buffer;
}

const FIND_TASK_BY_IDEMPOTENCY_KEY = statement<IdempotentRequest, Task & { sameInput: boolean }>(
  'find-task-by-idempotency-key',
  `SELECT ${TASK_COLUMNS}, task.input_hash = :inputHash AS "sameInput"
   FROM tasks task
   WHERE task.workspace_id = :workspaceId AND coalesce(task.end_user_id, '') = coalesce(:endUserId::text, '')
     AND task.idempotency_key = :idempotencyKey`,
  { useGenericPlan: true, needsSlot: false },
);

/** Far above a callback with links, which has one or two kilobytes. A larger one would delay the others of its group. */
const MAX_GROUPED_BODY_BYTES = 64 * 1024;

/** Selects overdue tasks. Those with an upstream ID can be read before they expire. */
interface OverdueFilter {
  hasUpstreamId: boolean;
  limit: number;
  /** Tasks to leave out. */
  excludedIds: readonly string[];
}

const FIND_OVERDUE = statement<OverdueFilter, Task>(
  'find-overdue-tasks',
  `SELECT ${TASK_COLUMNS} FROM tasks task
   WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING') AND deadline_at < now()
     AND (upstream_task_id IS NOT NULL) = :hasUpstreamId AND id <> ALL (:excludedIds::uuid[])
   ORDER BY deadline_at LIMIT :limit`,
);

/** The upstream's IDs of a task. `isAccepted`: it has certainly accepted the task. */
interface UpstreamIds {
  upstreamTaskId: string;
  upstreamTraceId: string | null;
  isAccepted: boolean;
}
const SET_UPSTREAM_TASK_ID = statement<UpstreamIds & { id: string }>(
  'set-upstream-task-id',
  `UPDATE tasks SET upstream_task_id = coalesce(upstream_task_id, :upstreamTaskId),
                    upstream_trace_id = coalesce(upstream_trace_id, :upstreamTraceId),
                    submitted_at = CASE WHEN :isAccepted THEN coalesce(submitted_at, now()) ELSE submitted_at END
   WHERE id = :id`,
);

/** The rows of `tasks`. Every write is one statement. Every method throws DatabaseUnavailable when PostgreSQL cannot be reached. */
export class TaskRepository {
  constructor(private readonly db: Database) {}

  /**
   * Inserts the task, its event TASK_REQUESTED, its submit job and its reservation. Null when the idempotency key is taken or a
   * budget has no room; `BudgetRepository.explainRejection` returns the budgets.
   */
  async insert(task: NewTask, actor: string): Promise<Task | null> {
    const order = JSON.stringify([task.keyLineageId, task.endUserId, task.idempotencyKey]);
    const place = { group: task.workspaceId, order };
    const [row] = await this.db.queryInGroup(INSERT_TASK, insertTaskParameters(task, actor), place);
    return row ?? null;
  }

  /**
   * Changes the status if the current status allows it, with the other changes of the transition. Null: nothing changed. Those by
   * small callbacks that arrive together share a commit.
   */
  async transitionTo<Type extends EventType>(
    id: string,
    status: TaskStatus,
    transition: TaskTransition<Type> = {},
  ): Promise<TransitionedTask | null> {
    const parameters = { id, ...transitionParameters(status, transition) };
    const { body } = transition.callback ?? {};
    const [row] =
      body && body.length <= MAX_GROUPED_BODY_BYTES
        ? await this.db.queryInGroup(TRANSITION_TASK, parameters, { group: 'callbacks', order: id })
        : await this.db.query(TRANSITION_TASK, parameters);
    return row ?? null;
  }

  /**
   * Puts a task back into the queue, for another submission after `retryDelayMs`, when the upstream certainly made nothing for it.
   * False if that is after its deadline (`isUncounted`: if less than a second is left), or if this attempt was requeued before: the
   * next one can be in progress by then.
   */
  async requeue(
    { id, attempts }: Pick<Task, 'id' | 'attempts'>,
    retryDelayMs: number,
    transition: Pick<TaskTransition<'SUBMIT_REJECTED'>, 'event' | 'isUncounted' | 'waitsUntilDeadline'>,
  ): Promise<boolean> {
    const requeued = await this.transitionTo(id, 'QUEUED', {
      ...transition,
      expectedAttempt: attempts,
      retryDelayMs,
      jobs: [{ name: 'submit-task', payload: { taskId: id } }],
    });
    return requeued !== null;
  }

  /**
   * Claims a task for each run of a submit job by fair scheduling, makes it SUBMITTING, and returns the outcomes in the order of
   * the claims:
   * - PICKED: the task was claimed. With a null task, claim again.
   * - RETRY: claim again.
   * - ALREADY_SUBMITTING: the job has claimed a task before, and does not get another one.
   * - SUPERSEDED: the queue has given the job to another run.
   * - PAUSED: a task is due, but all instances together submit `maxSubmitting` tasks, or as fast as `submission_pace` allows.
   * - NONE: no task is due.
   */
  async claimNextTasks(claims: readonly TaskClaim[], maxSubmitting: number): Promise<TaskClaimResult[]> {
    return (await this.db.query(CLAIM_NEXT_TASKS, claimParameters(claims, maxSubmitting))).map(toClaimResult);
  }

  /** Queues a new submit job to replace one that is about to end without a task. False when another run has the old job. */
  async replaceSubmitJob(submitJob: SubmitJob, delayMs: number): Promise<boolean> {
    return (await this.db.query(REPLACE_SUBMIT_JOB, { ...submitJob, delayMs })).length > 0;
  }

  /** A task of any workspace, for background work. Transports use `findMany`, which checks the visibility. */
  async find(id: string): Promise<Task | null> {
    const [row] = await this.db.query(FIND_TASK, { id });
    return row ?? null;
  }

  /** The task if this run made it SUBMITTING and it still is. */
  async findSubmission(id: string, submissionId: string): Promise<Task | null> {
    const [row] = await this.db.query(FIND_SUBMISSION, { id, submissionId });
    return row ?? null;
  }

  /** The visible tasks among these IDs, in no order. */
  async findMany(visibility: Visibility, ids: readonly string[]): Promise<Task[]> {
    return (await this.findSelected(visibility, { ids, selection: WHOLE_TASK })) as Task[];
  }

  /** The visible tasks among these IDs, in no order, with what is selected of them. */
  async findSelected(
    visibility: Visibility,
    read: { ids: readonly string[]; selection: TaskSelection },
  ): Promise<SelectedTask[]> {
    return findSelectedTasks(this.db, visibility, read);
  }

  /** A page of the visible tasks, newest first, below the task `before`, with what is selected of them. */
  async page(
    visibility: Visibility,
    filter: TaskFilter,
    { selection = WHOLE_TASK, ...page }: { before: string | null; limit: number; selection?: TaskSelection },
  ): Promise<SelectedTask[]> {
    const ids = await findPageOfTaskIds(this.db, { visibility, filter, ...page });
    if (ids.length === 0) return [];
    const tasks = await this.findSelected(visibility, { ids, selection });
    return tasks.sort((one, other) => (one.id < other.id ? 1 : -1));
  }

  /** The visible tasks in a listing, newest first, and the number of all that match, up to MAX_LISTED_TASKS. */
  async list(visibility: Visibility, listing: TaskListing): Promise<{ tasks: Task[]; count: number }> {
    const { ids, count } = await listTaskIds(this.db, visibility, listing);
    const tasks = ids.length === 0 ? [] : await this.findMany(visibility, ids);
    return { tasks: tasks.sort((one, other) => ids.indexOf(one.id) - ids.indexOf(other.id)), count };
  }

  /**
   * The 1-based queue positions of the workspace's tasks with these IDs, assuming that no new tasks arrive. Tasks that are not
   * queued are left out. `maxPosition` stands for itself and all later positions.
   */
  async queuePositions(
    workspaceId: string,
    ids: readonly string[],
    maxPosition = MAX_QUEUE_POSITION,
  ): Promise<Map<string, number>> {
    const rows = await this.db.query(FIND_QUEUE_POSITIONS, { workspaceId, ids, maxPosition });
    return new Map(rows.map(({ id, position }) => [id, position]));
  }

  /** The task with an idempotency key, for an end user or for none, and whether it was created from the same input. */
  async findByIdempotencyKey(request: IdempotentRequest): Promise<(Task & { sameInput: boolean }) | null> {
    const [row] = await this.db.queryAsCaller(request, FIND_TASK_BY_IDEMPOTENCY_KEY, request);
    return row ?? null;
  }

  /** Adds the images of a result that arrived after the end of the task, and its callback. False when they were added before. */
  async addLateImages(id: string, late: LateImages): Promise<boolean> {
    const [row] = await this.db.query(ADD_LATE_IMAGES, lateImagesParameters(id, late));
    return (row?.addedCount ?? 0) > 0;
  }

  /**
   * Releases the uncertain amount of a task for which the upstream certainly made nothing. With `ofAttempt`, only if that is the
   * latest submission attempt.
   */
  async releaseUncertain(
    id: string,
    { ofAttempt = null }: { ofAttempt?: number | null } = {},
  ): Promise<void> {
    await this.db.query(RELEASE_UNCERTAIN, { id, ofAttempt });
  }

  /** Sets the upstream's IDs of a task whose status changed before the response to its submission was applied. */
  async setUpstreamTaskId(id: string, upstreamIds: UpstreamIds): Promise<void> {
    await this.db.query(SET_UPSTREAM_TASK_ID, { id, ...upstreamIds });
  }

  /**
   * Up to `limit` tasks, running, unconfirmed or ended without a result, that were not checked for `olderThanMs`. Marks them as
   * checked now.
   */
  async claimForReconciliation(olderThanMs: number, limit: number): Promise<TaskToReconcile[]> {
    return this.db.query(CLAIM_FOR_RECONCILIATION, { olderThanMs, limit });
  }

  /** Limits how many of these tasks are claimed together for the next status request. Null: as many as possible. */
  async setCheckBatchSize(ids: readonly string[], checkBatchSize: number | null): Promise<void> {
    await this.db.query(SET_CHECK_BATCH_SIZE, { ids, checkBatchSize });
  }

  /** Changes how many active tasks are claimed together, for those for which it was `from`. */
  async enlargeCheckBatches(from: number, to: number): Promise<void> {
    await this.db.query(ENLARGE_CHECK_BATCHES, { from, to });
  }

  /** Marks tasks as not checked, because the upstream did not answer. */
  async clearCheckedAt(ids: readonly string[]): Promise<void> {
    await this.db.query(CLEAR_CHECKED_AT, { ids });
  }

  /** Up to `limit` active tasks whose deadline has passed. */
  async findOverdue(filter: OverdueFilter): Promise<Task[]> {
    return this.db.query(FIND_OVERDUE, filter);
  }
}
