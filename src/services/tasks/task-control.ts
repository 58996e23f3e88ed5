import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type CancelOutcome, isEnd, type Task } from '../../core/tasks/task.js';
import { type Tasks } from '../../db/tasks/task-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type Generation, type Requested } from './generation.js';

/** What a caller can do with a task that exists. A foreign id is answered like one that never existed. */
export class TaskControl {
  constructor(
    private readonly tasks: Tasks,
    private readonly generation: Generation,
    private readonly events: EventLog,
  ) {}

  /**
   * Takes a task back. NOT_SENT: nothing was asked of the upstream. ALREADY_SENT: the upstream cannot be stopped, and may
   * bill it; a result that comes is kept as late. ALREADY_FINISHED: nothing was changed. Throws InputRejected NOT_FOUND.
   */
  async cancel(caller: Caller, id: string): Promise<{ task: Task; outcome: CancelOutcome }> {
    let task = await this.find(caller, id);
    while (!isEnd(task.status)) {
      const outcome = task.status === 'QUEUED' ? 'NOT_SENT' : 'ALREADY_SENT';
      const canceled = await this.tasks.moveTo(id, 'CANCELED', {
        from: [task.status],
        event: { type: 'TASK_CANCELED', actor: caller.keyName, data: { outcome } },
      });
      if (canceled) {
        this.events.sealSoon();
        return { task: canceled, outcome };
      }
      task = await this.find(caller, id);
    }
    return { task, outcome: 'ALREADY_FINISHED' };
  }

  /**
   * Asks again for what an ended task asked for, as a new task that is linked to it: the caller's own decision to pay
   * again. Throws InputRejected NOT_FOUND, TASK_NOT_FINISHED, or what a new request can throw.
   */
  async retry(
    caller: Caller,
    id: string,
    idempotencyKey: string | null,
    traceId: string | null = null,
  ): Promise<Requested> {
    const task = await this.find(caller, id);
    if (!isEnd(task.status)) {
      const message = `The task is ${task.status}. Wait for its end, or cancel it, before asking for it again.`;
      throw new InputRejected([{ code: 'TASK_NOT_FINISHED', message, field: ['input', 'id'] }]);
    }
    const timeoutSeconds = Math.round((task.deadlineAt.getTime() - task.createdAt.getTime()) / 1000);
    const {
      kind,
      prompt,
      model,
      size,
      requestedCount: count,
      sourceImageId,
      sourceImageUrl,
      callbackUrl,
      priority,
      metadata,
      endUserId,
    } = task;
    const wish = {
      prompt,
      model,
      size,
      count,
      sourceImageId,
      sourceImageUrl,
      callbackUrl,
      priority,
      metadata,
      endUserId,
      timeoutSeconds,
      idempotencyKey,
    };
    return this.generation.request(caller, kind, wish, { traceId, retryOfId: task.id });
  }

  private async find(caller: Caller, id: string): Promise<Task> {
    const [task] = isId(id) ? await this.tasks.findMany(caller, [id]) : [];
    if (task) return task;
    const message = 'There is no task with this id in your workspace.';
    throw new InputRejected([{ code: 'NOT_FOUND', message, field: ['input', 'id'] }]);
  }
}
