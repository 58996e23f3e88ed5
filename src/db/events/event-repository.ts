import { type EventType, type TaskEvent } from '../../core/events/task-event.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { coversWorkspace, visibilityValues, isTaskVisibleSql } from '../access/visibility-filter.js';

/** The end user of a task never changes, and a lookup by primary key costs less than a column in every event. */
const EVENT_COLUMNS = `id, position, workspace_id AS "workspaceId", task_id AS "taskId", type, at, actor, data, settles_task AS "settlesTask",
  (SELECT owner.end_user_id FROM tasks owner WHERE owner.id = task_events.task_id) AS "endUserId"`;

const SEAL = { name: 'seal-events', text: 'SELECT seal_events($1) AS sealed' };
const HEAD = { name: 'find-event-log-head', text: 'SELECT position FROM event_log_head' };
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
/** Finds the visible tasks first, which are few, so that it does not read all events of a busy workspace. */
const READ_VISIBLE_AFTER = {
  name: 'read-visible-events-after',
  text: `SELECT ${EVENT_COLUMNS} FROM task_events
         WHERE task_id = ANY(ARRAY(SELECT task.id FROM tasks task WHERE ${isTaskVisibleSql('task', 1)})) AND position > $4
           AND ($6::text[] IS NULL OR type = ANY($6)) AND ($7::uuid[] IS NULL OR task_id = ANY($7))
         ORDER BY position LIMIT $5`,
};
/** One statement, so that the task, its events and the head of the log are of the same moment. Skips tasks that do not exist. */
const FIND_TASK_LOG_SNAPSHOTS = {
  name: 'find-task-log-snapshots',
  text: `
  SELECT task.id AS "snapshotTaskId", task.workspace_id AS "snapshotWorkspaceId",
         task.end_user_id AS "snapshotEndUserId", head.position AS "headPosition", latest.*,
         (SELECT min(e.position) FROM task_events e
          WHERE e.task_id = task.id AND e.settles_task AND e.position IS NOT NULL) AS "settledPosition"
  FROM unnest($1::uuid[], $2::uuid[]) AS given(workspace_id, id)
  JOIN tasks task ON task.id = given.id AND task.workspace_id = given.workspace_id
  CROSS JOIN event_log_head head
  LEFT JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM task_events
    WHERE task_id = task.id AND position IS NOT NULL ORDER BY position DESC LIMIT 1) latest ON true`,
};
const LOG_ID = { name: 'find-event-log-id', text: 'SELECT log_id AS "logId" FROM event_log_head' };
/** A binary search, which works because positions have no gaps and an event is sealed a moment after its time. */
const LAST_POSITION_BEFORE = {
  name: 'find-last-position-before',
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

/** Selects the events of one task, or all visible events. */
export interface EventScope extends Visibility {
  taskId: string | null;
}

/** Selects events of a workspace. Absent or empty fields select all events. */
export interface EventFilter {
  types?: readonly EventType[] | null;
  taskIds?: readonly string[] | null;
}

/** A task in the event log, read at one moment. */
export interface TaskLogSnapshot {
  workspaceId: string;
  taskId: string;
  /** End user of the task. */
  endUserId: string | null;
  /** Last position of the log. */
  headPosition: bigint;
  /** Last sealed event of the task. Null while none is sealed. */
  latestEvent: TaskEvent | null;
  /** Position of the event that settled the task. Null while the task is not settled. */
  settledPosition: bigint | null;
}

/** An event as pg returns it, with 64-bit integers as text. */
type EventRow = Omit<TaskEvent, 'position'> & { position: string };

/** The rows of `task_events`. Readers see only sealed events. */
export class EventRepository {
  constructor(private readonly db: Database) {}

  /**
   * Seals up to `batchSize` committed events. Returns the number of sealed events, or null while another session is sealing. It
   * is one statement, so that a suspended client holds no lock.
   */
  async seal(batchSize: number): Promise<number | null> {
    const [row] = await this.db.run<{ sealed: number | null }>(SEAL, [batchSize]);
    return row?.sealed ?? null;
  }

  /** Position of the last sealed event. 0 when the log is empty. */
  async headPosition(): Promise<bigint> {
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
    return (await this.db.runAsCaller<EventRow>(workspaceId, READ_TASK_AFTER, values)).map(toEvent);
  }

  /** Up to `limit` visible events after `position`, in order. */
  async readVisibleAfter(
    visibility: Visibility,
    position: bigint,
    limit: number,
    filter: EventFilter = {},
  ): Promise<TaskEvent[]> {
    const { types, taskIds } = filter;
    const filterValues = [types?.length ? types : null, taskIds?.length ? taskIds : null];
    const { workspaceId } = visibility;
    const rows = coversWorkspace(visibility)
      ? this.db.runAsCaller<EventRow>(workspaceId, READ_WORKSPACE_AFTER, [
          workspaceId,
          position,
          limit,
          ...filterValues,
        ])
      : this.db.runAsCaller<EventRow>(workspaceId, READ_VISIBLE_AFTER, [
          ...visibilityValues(visibility),
          position,
          limit,
          ...filterValues,
        ]);
    return (await rows).map(toEvent);
  }

  /** Up to `limit` events of a scope after `position`, in order. */
  async readScopeAfter(scope: EventScope, position: bigint, limit: number): Promise<TaskEvent[]> {
    if (scope.taskId === null) return this.readVisibleAfter(scope, position, limit);
    return this.readTaskAfter(scope.workspaceId, scope.taskId, position, limit);
  }

  /** Snapshots of tasks, in one statement and in no order. Tasks that their workspace does not have are left out. */
  async findTaskLogSnapshots(
    tasks: readonly { workspaceId: string; taskId: string }[],
  ): Promise<TaskLogSnapshot[]> {
    const values = [tasks.map(({ workspaceId }) => workspaceId), tasks.map(({ taskId }) => taskId)];
    return (await this.db.run<TaskLogSnapshotRow>(FIND_TASK_LOG_SNAPSHOTS, values)).map(toTaskLogSnapshot);
  }

  /** ID of the log, which differs between databases. */
  async logId(): Promise<string> {
    const [row] = await this.db.run<{ logId: string }>(LOG_ID, []);
    return row?.logId ?? '';
  }

  /** Position of the last event before `time`. 0 when there is none. */
  async lastPositionBefore(time: Date): Promise<bigint> {
    const [row] = await this.db.run<{ position: string }>(LAST_POSITION_BEFORE, [time]);
    return BigInt(row?.position ?? 0);
  }
}

type TaskLogSnapshotRow = {
  snapshotTaskId: string;
  snapshotWorkspaceId: string;
  snapshotEndUserId: string | null;
  headPosition: string;
  settledPosition: string | null;
} & (EventRow | { [Column in keyof EventRow]: null });

function toTaskLogSnapshot({
  snapshotTaskId,
  snapshotWorkspaceId,
  snapshotEndUserId,
  headPosition,
  settledPosition,
  ...latest
}: TaskLogSnapshotRow): TaskLogSnapshot {
  return {
    workspaceId: snapshotWorkspaceId,
    taskId: snapshotTaskId,
    endUserId: snapshotEndUserId,
    headPosition: BigInt(headPosition),
    latestEvent: latest.position === null ? null : toEvent(latest),
    settledPosition: settledPosition === null ? null : BigInt(settledPosition),
  };
}

function toEvent(row: EventRow): TaskEvent<EventType> {
  return { ...row, position: BigInt(row.position) };
}
