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

/** What can come after a task was settled: one late result and its pictures. */
const LATE_BATCH = 100;

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
   * over. After `after`, or else from now, with the task's latest event first. Of a task that is over already, what came
   * later all the same, such as a late result. Throws NotFound or BadRequest at once.
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
    if (settledAt !== null && settledAt <= position) {
      yield* await this.events.readTaskAfter(taskId, position, LATE_BATCH);
      return;
    }
    for await (const event of streamTask(this.log, this.events, taskId, position, signal)) {
      yield event;
      if (event.settles) return;
    }
  }
}
