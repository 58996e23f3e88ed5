import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type UpstreamError } from '../../core/tasks/upstream-error.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { newId } from '../../core/primitives/ids.js';
import { isFinal, MAX_IMAGES_PER_TASK, type Task } from '../../core/tasks/task.js';
import { type NewImage, type RawCallback, type TransitionedTask } from '../../db/tasks/task-transition.js';
import { type UpstreamResult } from '../../upstreams/acedata-results.js';
import { type UpstreamImage } from '../../upstreams/acedata-wire.js';
import { type Dependencies } from '../dependencies.js';
import { type BackPressure } from './back-pressure.js';

/** Verdicts on results that say something new about a task. */
const VERDICTS_OF_NEWS: readonly CallbackVerdict[] = ['APPLIED', 'EARLY', 'LATE'];

/** The upstream's reply to a submission that it has accepted. */
export type SubmitResponse = Extract<UpstreamResult, { kind: 'accepted' | 'succeeded' }>;

/** What identifies a submission attempt of a task. */
export type SubmittedTask = Pick<Task, 'id' | 'attempts' | 'uncountedAttempts'>;

/** A result that the upstream will not change any more. */
export type FinalResult = Extract<UpstreamResult, { kind: 'succeeded' | 'failed' }>;

/** How a result arrived. */
interface ResultSource {
  /** Recorded as the cause of the event. */
  actor: string;
  /** The callback to save in the same commit. */
  callback?: RawCallback;
}

export function isFinalResult(result: UpstreamResult): result is FinalResult {
  return result.kind === 'succeeded' || result.kind === 'failed';
}

/**
 * Applies the upstream's results to tasks. A result arrives in a callback, in a response that was waited for, or by
 * reading, and often in several of these ways.
 */
export class Results {
  constructor(
    private readonly deps: Pick<Dependencies, 'eventLog' | 'log' | 'tasks'> & { backPressure: BackPressure },
  ) {}

  /** Applies a final result to its task, at most once. */
  async apply(taskId: string, result: FinalResult, source: ResultSource): Promise<CallbackVerdict> {
    const { actor, callback } = source;
    if (result.kind === 'succeeded' && result.images.length > MAX_IMAGES_PER_TASK) {
      this.deps.log.error(
        { taskId, images: result.images.length },
        'the upstream reported too many images for one task; the others are ignored',
      );
      result = { ...result, images: result.images.slice(0, MAX_IMAGES_PER_TASK) };
    }
    const updated =
      result.kind === 'succeeded'
        ? await this.applySuccess(taskId, result, source)
        : await this.deps.tasks.transitionTo(taskId, 'FAILED', {
            ...(typeof callback?.attempt === 'number' && failureOf(callback.attempt)),
            ...upstreamIdsOf(result),
            failure: result.failure,
            event: { type: 'TASK_FAILED', actor, data: { error: result.failure } },
            callback,
          });
    this.deps.eventLog.requestSeal();
    const verdict = updated
      ? (updated.verdict ?? 'APPLIED')
      : await this.applyToFinalTask(taskId, result, source);
    // A report that has changed nothing may be a repeated one.
    if (result.kind === 'failed' && result.refusesAccount && VERDICTS_OF_NEWS.includes(verdict))
      await this.deps.backPressure.applyReport({ failure: result.failure, taskId });
    return verdict;
  }

  /** Applies the response to a submission: the upstream accepted the task, or it has already finished it. */
  async applySubmitResponse(task: SubmittedTask, result: SubmitResponse): Promise<void> {
    const { id: taskId, attempts: attempt } = task;
    const actor = EVENT_ACTORS.submitter;
    if (result.kind === 'succeeded') {
      await this.apply(taskId, result, { actor });
      return;
    }
    const { upstreamTaskId, upstreamTraceId } = result;
    const updated = await this.deps.tasks.transitionTo(taskId, 'RUNNING', {
      upstreamTaskId,
      upstreamTraceId,
      event: { type: 'TASK_SUBMITTED', actor, data: { upstreamTaskId, attempt } },
    });
    // A callback overtook the response.
    if (!updated)
      await this.deps.tasks.setUpstreamTaskId(taskId, { upstreamTaskId, upstreamTraceId, isAccepted: true });
  }

  /**
   * Decides what follows a failed submission. `unknown`: UNCONFIRMED. Otherwise nothing was made, so no amount stays uncertain, and
   * the task is sent again or FAILED. The task may be UNCONFIRMED already, if another run took this one for dead.
   *
   * `waitMs`: the failure is not about this task. It waits that long without losing an attempt, for the last time until a second
   * before its deadline. If the upstream still refuses then, it stays queued until it expires, and says why.
   */
  async applySubmitFailure(
    task: SubmittedTask,
    error: UpstreamError,
    { waitMs }: { waitMs?: number } = {},
  ): Promise<void> {
    const { id: taskId, attempts: attempt } = task;
    const actor = EVENT_ACTORS.submitter;
    const { outcome, failure } = error;
    const { code, message, upstreamTraceId } = failure;
    this.deps.log.warn({ taskId, attempt, outcome, code }, error.message);
    if (outcome === 'unknown') {
      const { upstreamTaskId } = error;
      return this.markUnconfirmed(task, error.message, { upstreamTaskId, upstreamTraceId });
    }

    const rejected = { type: 'SUBMIT_REJECTED', actor, data: { attempt, code, message } } as const;
    const isUncounted = waitMs !== undefined;
    const delayMs = waitMs ?? error.retryAfterMs(attempt - task.uncountedAttempts);
    if (delayMs !== null) {
      const requeued = { event: rejected, isUncounted };
      if (await this.deps.tasks.requeue(task, delayMs, requeued)) return;
      const waiting = { ...requeued, waitsUntilDeadline: true };
      if (error.backPressure && (await this.deps.tasks.requeue(task, delayMs, waiting))) return;
    }
    const failed = await this.deps.tasks.transitionTo(taskId, 'FAILED', {
      // When this attempt was requeued before, its task may be queued or in the next attempt by now. It is UNCONFIRMED when
      // another run has taken this one for dead.
      fromStatuses: ['SUBMITTING', 'UNCONFIRMED'],
      expectedAttempt: attempt,
      upstreamTraceId,
      failure,
      event: { type: 'TASK_FAILED', actor, data: { error: failure } },
    });
    // The task may have been canceled or have expired meanwhile. It is certain now that nothing was made for it.
    if (!failed) await this.deps.tasks.releaseUncertain(taskId, { ofAttempt: attempt });
  }

  /**
   * Records that a submission may have arrived, so that it is never sent again, and the upstream's IDs if its reply named them, so
   * that the result can be read. Changes no status unless the task is SUBMITTING.
   */
  async markUnconfirmed(
    { id, attempts: attempt }: SubmittedTask,
    message: string,
    ids: Partial<Pick<Task, 'upstreamTaskId' | 'upstreamTraceId'>> = {},
  ): Promise<void> {
    const actor = EVENT_ACTORS.submitter;
    const event = { type: 'SUBMIT_UNCONFIRMED', actor, data: { attempt, message } } as const;
    const { tasks, eventLog } = this.deps;
    const { upstreamTaskId, upstreamTraceId = null } = ids;
    const updated = await tasks.transitionTo(id, 'UNCONFIRMED', { ...ids, event, expectedAttempt: attempt });
    // Another run has taken this one for dead, or the task has ended.
    if (!updated && upstreamTaskId)
      await tasks.setUpstreamTaskId(id, { upstreamTaskId, upstreamTraceId, isAccepted: false });
    eventLog.requestSeal();
  }

  private async applySuccess(
    taskId: string,
    result: Extract<UpstreamResult, { kind: 'succeeded' }>,
    { actor, callback }: ResultSource,
  ): Promise<TransitionedTask | null> {
    const images = result.images.map(toNewImage);
    const data = { deliveredCount: images.length, imageIds: images.map(({ id }) => id) };
    return this.deps.tasks.transitionTo(taskId, 'SUCCEEDED', {
      ...upstreamIdsOf(result),
      images,
      event: { type: 'TASK_SUCCEEDED', actor, data },
      jobs: [{ name: 'ingest-images', payload: { taskId } }],
      callback,
    });
  }

  /**
   * Handles a result for a task in a final status: a duplicate, a contradiction, or paid images that arrive late. Those include
   * the rest of a result that was incomplete when it made the task SUCCEEDED.
   */
  private async applyToFinalTask(
    taskId: string,
    result: FinalResult,
    { actor, callback }: ResultSource,
  ): Promise<CallbackVerdict> {
    const task = await this.deps.tasks.find(taskId);
    if (!task) return 'UNKNOWN_TASK';
    if (result.kind === 'failed') {
      if (task.status === 'FAILED') return 'DUPLICATE';
      // A task that is not final has moved on to another attempt.
      if (task.status === 'SUCCEEDED' || !isFinal(task.status)) return 'CONFLICT';
      await this.deps.tasks.releaseUncertain(taskId, { ofAttempt: callback?.attempt });
      return 'LATE';
    }
    // Almost every result arrives twice, so this costs no further statement.
    if (task.status === 'SUCCEEDED' && task.deliveredCount >= task.requestedCount) return 'DUPLICATE';
    const images = result.images.map(toNewImage);
    const wasAdded = await this.deps.tasks.addLateImages(taskId, { images, actor, callback });
    this.deps.eventLog.requestSeal();
    return wasAdded ? 'LATE' : 'DUPLICATE';
  }
}

/**
 * The condition on which the failure of a submission attempt ends its task. A task that is QUEUED after an attempt was requeued,
 * because that attempt certainly made nothing.
 */
function failureOf(attempt: number) {
  return { fromStatuses: ['SUBMITTING', 'UNCONFIRMED', 'RUNNING'], expectedAttempt: attempt } as const;
}

function toNewImage(upstreamImage: UpstreamImage, index: number): NewImage {
  return { id: newId(), index, ...upstreamImage };
}

/** The upstream's IDs of the task and of the request that created it. */
function upstreamIdsOf({ upstreamTaskId, upstreamTraceId }: UpstreamResult) {
  return { upstreamTaskId, upstreamTraceId };
}
