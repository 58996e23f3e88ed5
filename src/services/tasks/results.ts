import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { newId } from '../../core/primitives/ids.js';
import {
  type MovedTask,
  type NewImage,
  type RawCallback,
  type Tasks,
} from '../../db/tasks/task-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type UpstreamPicture, type UpstreamResult } from '../../upstreams/acedata.js';

/** A result after which the upstream will do no more. */
type FinishedResult = Extract<UpstreamResult, { kind: 'succeeded' | 'failed' }>;

export function isFinished(result: UpstreamResult): result is FinishedResult {
  return result.kind === 'succeeded' || result.kind === 'failed';
}

/** What the upstream has made of a task: by a callback, a reply that was waited for, or a reading; often by several of them. */
export class Results {
  constructor(
    private readonly tasks: Tasks,
    private readonly events: EventLog,
  ) {}

  /** Brings a finished result into the task, once, from wherever it came. */
  async apply(
    taskId: string,
    result: FinishedResult,
    actor: string,
    callback?: RawCallback,
  ): Promise<CallbackVerdict> {
    const moved =
      result.kind === 'succeeded'
        ? await this.finish(taskId, result, actor, callback)
        : await this.tasks.moveTo(taskId, 'FAILED', {
            ...upstreamNames(result),
            failure: result.failure,
            event: { type: 'TASK_FAILED', actor, data: { error: result.failure } },
            callback,
          });
    this.events.sealSoon();
    return moved ? (moved.verdict ?? 'APPLIED') : this.applyAfterEnd(taskId, result, actor, callback);
  }

  private async finish(
    taskId: string,
    result: Extract<UpstreamResult, { kind: 'succeeded' }>,
    actor: string,
    callback?: RawCallback,
  ): Promise<MovedTask | null> {
    const images = result.pictures.map(toNewImage);
    const data = { deliveredCount: images.length, imageIds: images.map(({ id }) => id) };
    return this.tasks.moveTo(taskId, 'SUCCEEDED', {
      ...upstreamNames(result),
      images,
      event: { type: 'TASK_SUCCEEDED', actor, data },
      jobs: [{ name: 'store-images', payload: { taskId } }],
      callback,
    });
  }

  /** A result for a task that has ended: a repetition, a contradiction, or pictures that were paid for and come late. */
  private async applyAfterEnd(
    taskId: string,
    result: FinishedResult,
    actor: string,
    callback?: RawCallback,
  ): Promise<CallbackVerdict> {
    const task = await this.tasks.find(taskId);
    if (!task) return 'UNKNOWN_TASK';
    if (task.status === (result.kind === 'succeeded' ? 'SUCCEEDED' : 'FAILED')) return 'DUPLICATE';
    if (result.kind === 'failed') {
      if (task.status === 'SUCCEEDED') return 'CONFLICT';
      await this.tasks.releaseHeld(taskId);
      return 'LATE';
    }
    const kept = await this.tasks.keepLate(taskId, result.pictures.map(toNewImage), actor, callback);
    this.events.sealSoon();
    return kept ? 'LATE' : 'DUPLICATE';
  }
}

function toNewImage(picture: UpstreamPicture, index: number): NewImage {
  return { id: newId(), index, ...picture };
}

/** How the upstream calls its task, and the request that made it. */
export function upstreamNames({ upstreamTaskId, upstreamTraceId }: UpstreamResult) {
  return { upstreamTaskId, upstreamTraceId };
}
