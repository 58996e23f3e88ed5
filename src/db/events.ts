import { type EventType, type TaskEvent } from '../core/events.js';
import { type Database } from './database.js';

const EVENT_COLUMNS = `id, position, workspace_id AS "workspaceId", task_id AS "taskId", type, at, actor, data, settles`;

const SEAL = { name: 'seal-events', text: 'SELECT seal_events($1) AS sealed' };
const HEAD = { name: 'event-log-head', text: 'SELECT position FROM event_log_head' };
const READ_AFTER = {
  name: 'read-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events WHERE position > $1 ORDER BY position LIMIT $2`,
};
const READ_TASK_AFTER = {
  name: 'read-task-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events WHERE task_id = $1 AND position > $2 ORDER BY position LIMIT $3`,
};
const LATEST_OF_TASK = {
  name: 'latest-event-of-task',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events
         WHERE task_id = $1 AND position IS NOT NULL ORDER BY position DESC LIMIT 1`,
};
const SETTLED_AT = {
  name: 'settling-position-of-task',
  text: `SELECT min(position) AS position FROM task_events WHERE task_id = $1 AND settles AND position IS NOT NULL`,
};

/** An event as pg returns it: 64-bit integers come as text. */
type EventRow = Omit<TaskEvent, 'position'> & { position: string };

/** The rows of `task_events`. Readers only ever see sealed events. */
export class Events {
  constructor(private readonly db: Database) {}

  /**
   * Seals up to `batch` committed events; how many it sealed, or null when somebody else is sealing at this moment.
   * One statement: a stopped client holds no lock.
   */
  async seal(batch: number): Promise<number | null> {
    const [row] = await this.db.run<{ sealed: number | null }>(SEAL, [batch]);
    return row?.sealed ?? null;
  }

  /** The position of the last sealed event; 0 for an empty log. */
  async head(): Promise<bigint> {
    const [row] = await this.db.run<{ position: string }>(HEAD, []);
    return BigInt(row?.position ?? 0);
  }

  /** Up to `limit` events of all workspaces after `position`, in order. */
  async readAfter(position: bigint, limit: number): Promise<TaskEvent[]> {
    return (await this.db.run<EventRow>(READ_AFTER, [position, limit])).map(toEvent);
  }

  /** Up to `limit` events of one task after `position`, in order. */
  async readTaskAfter(taskId: string, position: bigint, limit: number): Promise<TaskEvent[]> {
    return (await this.db.run<EventRow>(READ_TASK_AFTER, [taskId, position, limit])).map(toEvent);
  }

  /** The task's last sealed event; null while not even its first is sealed. */
  async latestOfTask(taskId: string): Promise<TaskEvent | null> {
    const [row] = await this.db.run<EventRow>(LATEST_OF_TASK, [taskId]);
    return row ? toEvent(row) : null;
  }

  /** The position of the event that settled the task; null while more is expected of it. */
  async settledAt(taskId: string): Promise<bigint | null> {
    const [row] = await this.db.run<{ position: string | null }>(SETTLED_AT, [taskId]);
    return row?.position ? BigInt(row.position) : null;
  }
}

function toEvent(row: EventRow): TaskEvent<EventType> {
  return { ...row, position: BigInt(row.position) };
}
