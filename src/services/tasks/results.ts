import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { newId } from '../../core/primitives/ids.js';
import { type TaskRepository } from '../../db/tasks/task-repository.js';
import { type NewImage, type RawCallback, type TransitionedTask } from '../../db/tasks/task-transition.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type UpstreamImage, type UpstreamResult } from '../../upstreams/acedata-client.js';

/** A result that the upstream will not change any more. */
type FinalResult = Extract<UpstreamResult, { kind: 'succeeded' | 'failed' }>;

export function isFinalResult(result: UpstreamResult): result is FinalResult {
  return result.kind === 'succeeded' || result.kind === 'failed';
}

/**
 * Applies the upstream's results to tasks. A result arrives in a callback, in a response that was waited for, or by
 * polling, and often in several of these ways.
 */
export class Results {
  constructor(
    private readonly tasks: TaskRepository,
    private readonly events: EventLog,
  ) {}

  /** Applies a final result to its task, at most once. `actor` is recorded as the cause of the event. */
  async apply(
    taskId: string,
    result: FinalResult,
    actor: string,
    callback?: RawCallback,
  ): Promise<CallbackVerdict> {
    const updated =
      result.kind === 'succeeded'
        ? await this.applySuccess(taskId, result, actor, callback)
        : await this.tasks.transitionTo(taskId, 'FAILED', {
            ...upstreamIdsOf(result),
            failure: result.failure,
            event: { type: 'TASK_FAILED', actor, data: { error: result.failure } },
            callback,
          });
    this.events.requestSeal();
    return updated ? (updated.verdict ?? 'APPLIED') : this.applyToFinalTask(taskId, result, actor, callback);
  }

  private async applySuccess(
    taskId: string,
    result: Extract<UpstreamResult, { kind: 'succeeded' }>,
    actor: string,
    callback?: RawCallback,
  ): Promise<TransitionedTask | null> {
    const images = result.images.map(toNewImage);
    const data = { deliveredCount: images.length, imageIds: images.map(({ id }) => id) };
    return this.tasks.transitionTo(taskId, 'SUCCEEDED', {
      ...upstreamIdsOf(result),
      images,
      event: { type: 'TASK_SUCCEEDED', actor, data },
      jobs: [{ name: 'ingest-images', payload: { taskId } }],
      callback,
    });
  }

  /** Handles a result for a task in a final status: a duplicate, a contradiction, or paid images that arrive late. */
  private async applyToFinalTask(
    taskId: string,
    result: FinalResult,
    actor: string,
    callback?: RawCallback,
  ): Promise<CallbackVerdict> {
    const task = await this.tasks.find(taskId);
    if (!task) return 'UNKNOWN_TASK';
    if (task.status === (result.kind === 'succeeded' ? 'SUCCEEDED' : 'FAILED')) return 'DUPLICATE';
    if (result.kind === 'failed') {
      if (task.status === 'SUCCEEDED') return 'CONFLICT';
      await this.tasks.releaseUncertain(taskId);
      return 'LATE';
    }
    const images = result.images.map(toNewImage);
    const wasAdded = await this.tasks.addLateImages(taskId, { images, actor, callback });
    this.events.requestSeal();
    return wasAdded ? 'LATE' : 'DUPLICATE';
  }
}

function toNewImage(upstreamImage: UpstreamImage, index: number): NewImage {
  return { id: newId(), index, ...upstreamImage };
}

/** The upstream's IDs of the task and of the request that created it. */
export function upstreamIdsOf({ upstreamTaskId, upstreamTraceId }: UpstreamResult) {
  return { upstreamTaskId, upstreamTraceId };
}
