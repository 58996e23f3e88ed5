import { type EventType, type TaskEvent } from '../../core/events/task-event.js';

/**
 * The columns of an `EventRow`, of the table `task_events`. The end user of a task never changes, and a lookup by primary key
 * costs less than a column in every event.
 */
export const EVENT_COLUMNS = `id, position, workspace_id AS "workspaceId", task_id AS "taskId", type, at, actor, data, settles_task AS "settlesTask",
  (SELECT owner.end_user_id FROM tasks owner WHERE owner.id = task_events.task_id) AS "endUserId"`;

/** An event as pg returns it, with 64-bit integers as text. */
export type EventRow = Omit<TaskEvent, 'position'> & { position: string };

export function toEvent(row: EventRow): TaskEvent<EventType> {
  return { ...row, position: BigInt(row.position) };
}
