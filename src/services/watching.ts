import { abortable } from '../core/abortable.js';
import { type Caller } from '../core/caller.js';
import { type EventCursors } from '../core/cursor.js';
import { NotFound } from '../core/errors.js';
import { type TaskEvent } from '../core/events.js';
import { isId } from '../core/ids.js';
import { type Events } from '../db/events.js';
import { type Tasks } from '../db/tasks.js';
import { type EventLog } from '../events/log.js';
import { streamTask } from '../events/task-stream.js';

/** Pushes events to those who watch. */
export class Watching {
  constructor(
    private readonly tasks: Tasks,
    private readonly events: Events,
    private readonly log: EventLog,
    private readonly cursors: EventCursors,
  ) {}

  /**
   * One task's events, each once and in order, until the task has ended and its images are stored or lost; then it is
   * over. After `after`, or else from now, with the task's latest event first. Throws NotFound or BadRequest at once.
   */
  async watchTask(
    caller: Caller,
    taskId: string,
    after: string | null,
  ): Promise<AsyncIterableIterator<TaskEvent>> {
    const [task] = isId(taskId) ? await this.tasks.findMany(caller.workspaceId, [taskId]) : [];
    if (!task) throw new NotFound('There is no task with this id in your workspace.');
    const position = after === null ? null : this.cursors.decode(after);
    return abortable((signal) => this.untilSettled(task.id, position, signal));
  }

  private async *untilSettled(
    taskId: string,
    after: bigint | null,
    signal: AbortSignal,
  ): AsyncGenerator<TaskEvent, void, undefined> {
    let position = after ?? 0n;
    if (after === null) {
      const latest = await this.events.latestOfTask(taskId);
      if (latest) yield latest;
      position = latest?.position ?? 0n;
    }
    const settledAt = await this.events.settledAt(taskId);
    if (settledAt !== null && settledAt <= position) return;
    for await (const event of streamTask(this.log, this.events, taskId, position, signal)) {
      yield event;
      if (event.settles) return;
    }
  }
}
