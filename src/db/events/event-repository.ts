import { type EventType, type TaskEvent } from '../../core/events/task-event.js';
import { type Reach } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { isWhole, reachValues, taskWithin } from '../access/visibility-filter.js';

/** A task's end user never changes, and a look by the primary key costs less than a column in every event. */
const EVENT_COLUMNS = `id, position, workspace_id AS "workspaceId", task_id AS "taskId", type, at, actor, data, settles,
  (SELECT owner.end_user_id FROM tasks owner WHERE owner.id = task_events.task_id) AS "endUserId"`;

const SEAL = { name: 'seal-events', text: 'SELECT seal_events($1) AS sealed' };
const HEAD = { name: 'event-log-head', text: 'SELECT position FROM event_log_head' };
const READ_AFTER = {
  name: 'read-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events WHERE position > $1 ORDER BY position LIMIT $2`,
};
const READ_TASK_AFTER = {
  name: 'read-task-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events
         WHERE workspace_id = $1 AND task_id = $2 AND position > $3 ORDER BY position LIMIT $4`,
};
const READ_WORKSPACE_AFTER = {
  name: 'read-workspace-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events
         WHERE workspace_id = $1 AND position > $2
           AND ($4::text[] IS NULL OR type = ANY($4)) AND ($5::uuid[] IS NULL OR task_id = ANY($5))
         ORDER BY position LIMIT $3`,
};
/** Of few tasks: theirs are found first, so that what others do in a busy workspace is not looked through. */
const READ_REACH_AFTER = {
  name: 'read-events-within-reach-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events
         WHERE task_id = ANY(ARRAY(SELECT task.id FROM tasks task WHERE ${taskWithin('task', 1)})) AND position > $4
           AND ($6::text[] IS NULL OR type = ANY($6)) AND ($7::uuid[] IS NULL OR task_id = ANY($7))
         ORDER BY position LIMIT $5`,
};
/** Each task that is there, by its workspace and id, as one moment sees it. */
const FIND_WATCH_POINTS = {
  name: 'find-watch-points',
  text: `
  SELECT task.id AS "watchedTaskId", task.workspace_id AS "watchedWorkspaceId",
         task.end_user_id AS "watchedEndUserId", head.position AS head, latest.*,
         (SELECT min(e.position) FROM task_events e WHERE e.task_id = task.id AND e.settles AND e.position IS NOT NULL) AS "settledAt"
  FROM unnest($1::uuid[], $2::uuid[]) AS given(workspace_id, id)
  JOIN tasks task ON task.id = given.id AND task.workspace_id = given.workspace_id
  CROSS JOIN event_log_head head
  LEFT JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM task_events
    WHERE task_id = task.id AND position IS NOT NULL ORDER BY position DESC LIMIT 1) latest ON true`,
};
const LOG_ID = { name: 'event-log-id', text: 'SELECT log_id AS "logId" FROM event_log_head' };
/** A binary search: positions have no gaps, and an event is sealed a moment after its time. */
const LAST_BEFORE = {
  name: 'last-event-before',
  text: `
  WITH RECURSIVE search(low, high) AS (
    SELECT 0::bigint, position FROM event_log_head
    UNION ALL
    SELECT CASE WHEN e.at < $1 THEN e.position ELSE search.low END,
           CASE WHEN e.at < $1 THEN search.high ELSE e.position - 1 END
    FROM search JOIN task_events e ON e.position = (search.low + search.high + 1) / 2
    WHERE search.low < search.high
  )
  SELECT max(low) AS position FROM search`,
};

/** Whose events: one task's, or all within reach. */
export interface Scope extends Reach {
  taskId: string | null;
}

/** Which events of a workspace. Absent or empty: all of them. */
export interface EventFilter {
  types?: readonly EventType[] | null;
  taskIds?: readonly string[] | null;
}

/** Where a task stands in the log, all read at one moment. */
export interface WatchPoint {
  workspaceId: string;
  taskId: string;
  /** The task's. */
  endUserId: string | null;
  /** The log's last position. */
  head: bigint;
  /** The task's last sealed event; null while not even its first is sealed. */
  latest: TaskEvent | null;
  /** The position of the event that settled the task; null while more is expected of it. */
  settledAt: bigint | null;
}

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

  /** Up to `limit` events of one task of the workspace after `position`, in order. */
  async readTaskAfter(
    workspaceId: string,
    taskId: string,
    position: bigint,
    limit: number,
  ): Promise<TaskEvent[]> {
    const values = [workspaceId, taskId, position, limit];
    return (await this.db.within<EventRow>(workspaceId, READ_TASK_AFTER, values)).map(toEvent);
  }

  /** Up to `limit` events within reach after `position`, in order. */
  async readReachAfter(
    reach: Reach,
    position: bigint,
    limit: number,
    filter: EventFilter = {},
  ): Promise<TaskEvent[]> {
    const { types, taskIds } = filter;
    const wanted = [types?.length ? types : null, taskIds?.length ? taskIds : null];
    const { workspaceId } = reach;
    const rows = isWhole(reach)
      ? this.db.within<EventRow>(workspaceId, READ_WORKSPACE_AFTER, [workspaceId, position, limit, ...wanted])
      : this.db.within<EventRow>(workspaceId, READ_REACH_AFTER, [
          ...reachValues(reach),
          position,
          limit,
          ...wanted,
        ]);
    return (await rows).map(toEvent);
  }

  /** Up to `limit` events of a scope after `position`, in order. */
  async readScopeAfter(scope: Scope, position: bigint, limit: number): Promise<TaskEvent[]> {
    if (scope.taskId === null) return this.readReachAfter(scope, position, limit);
    return this.readTaskAfter(scope.workspaceId, scope.taskId, position, limit);
  }

  /** Where tasks stand, in one statement and in no order; those that their workspace does not have are left out. */
  async findWatchPoints(tasks: readonly { workspaceId: string; taskId: string }[]): Promise<WatchPoint[]> {
    const values = [tasks.map(({ workspaceId }) => workspaceId), tasks.map(({ taskId }) => taskId)];
    return (await this.db.run<WatchPointRow>(FIND_WATCH_POINTS, values)).map(toWatchPoint);
  }

  /** What tells this log from those of other databases. */
  async logId(): Promise<string> {
    const [row] = await this.db.run<{ logId: string }>(LOG_ID, []);
    return row?.logId ?? '';
  }

  /** The position of the last event from before `time`; 0 when there is none. */
  async lastBefore(time: Date): Promise<bigint> {
    const [row] = await this.db.run<{ position: string }>(LAST_BEFORE, [time]);
    return BigInt(row?.position ?? 0);
  }
}

type WatchPointRow = {
  watchedTaskId: string;
  watchedWorkspaceId: string;
  watchedEndUserId: string | null;
  head: string;
  settledAt: string | null;
} & (EventRow | { [Column in keyof EventRow]: null });

function toWatchPoint({ watchedTaskId, watchedWorkspaceId, ...row }: WatchPointRow): WatchPoint {
  const { watchedEndUserId, head, settledAt, ...latest } = row;
  return {
    workspaceId: watchedWorkspaceId,
    taskId: watchedTaskId,
    endUserId: watchedEndUserId,
    head: BigInt(head),
    latest: latest.position === null ? null : toEvent(latest),
    settledAt: settledAt === null ? null : BigInt(settledAt),
  };
}

function toEvent(row: EventRow): TaskEvent<EventType> {
  return { ...row, position: BigInt(row.position) };
}
