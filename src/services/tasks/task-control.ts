import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type CancelOutcome, isFinal, type Task } from '../../core/tasks/task.js';
import { type Generation, type RequestResult } from './generation.js';
import { type Dependencies } from '../dependencies.js';

/** Cancels and retries existing tasks. A task of another workspace is treated like one that does not exist. */
export class TaskControl {
  constructor(private readonly deps: Pick<Dependencies, 'eventLog' | 'tasks'> & { generation: Generation }) {}

  /**
   * Cancels a task. NOT_SENT: nothing was sent to the upstream. ALREADY_SENT: the upstream cannot be stopped and may
   * bill the task, and a result that still arrives is kept as late. ALREADY_FINISHED: nothing was changed. Throws
   * InputRejected with NOT_FOUND.
   */
  async cancel(caller: Caller, id: string): Promise<{ task: Task; outcome: CancelOutcome }> {
    let task = await this.find(caller, id);
    while (!isFinal(task.status)) {
      const outcome = task.status === 'QUEUED' ? 'NOT_SENT' : 'ALREADY_SENT';
      const canceled = await this.deps.tasks.transitionTo(id, 'CANCELED', {
        fromStatuses: [task.status],
        event: { type: 'TASK_CANCELED', actor: caller.keyName, data: { outcome } },
      });
      if (canceled) {
        this.deps.eventLog.requestSeal();
        return { task: canceled, outcome };
      }
      task = await this.find(caller, id);
    }
    return { task, outcome: 'ALREADY_FINISHED' };
  }

  /**
   * Creates a new task with the input of a finished one, and links the two. The caller decides to pay again. Throws
   * InputRejected with NOT_FOUND or TASK_NOT_FINISHED, and everything that `Generation.request` throws.
   */
  async retry(
    caller: Caller,
    id: string,
    { idempotencyKey = null, traceId }: { idempotencyKey?: string | null; traceId?: string | null },
  ): Promise<RequestResult> {
    const task = await this.find(caller, id);
    if (!isFinal(task.status)) {
      const message = `The task is ${task.status}. Wait until it has finished, or cancel it, before you retry it.`;
      throw InputRejected.argument('TASK_NOT_FINISHED', 'id', message);
    }
    const timeoutSeconds = Math.round((task.deadlineAt.getTime() - task.createdAt.getTime()) / 1000);
    const { kind, requestedCount: count } = task;
    const request = { ...task, count, timeoutSeconds, idempotencyKey };
    return this.deps.generation.request(caller, request, { kind, traceId, retryOfId: task.id });
  }

  private async find(caller: Caller, id: string): Promise<Task> {
    const [task] = isId(id) ? await this.deps.tasks.findMany(caller, [id]) : [];
    if (task) return task;
    throw InputRejected.argument('NOT_FOUND', 'id', 'No task with this ID in your workspace.');
  }
}
