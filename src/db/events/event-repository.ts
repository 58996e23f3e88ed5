import { recordDatabaseTime } from '../../core/primitives/clock.js';
import { type EventType, type TaskEvent, type TaskKey } from '../../core/events/task-event.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { coversWorkspace, IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { EVENT_COLUMNS, type EventRow, toEvent } from './event-rows.js';
import { type EventRange, type EventRangePage, toRangePage, VisibleEvents } from './visible-events.js';

/** Up to `limit` events after `position`. */
interface EventPage {
  position: bigint;
  limit: number;
}
/** A page of the events of these types and tasks. Null: of all. */
interface FilteredEventPage extends EventPage {
  types: readonly EventType[] | null;
  ofTasks: readonly string[] | null;
}

const MATCHES_FILTER = `(:types::text[] IS NULL OR type = ANY(:types)) AND (:ofTasks::uuid[] IS NULL OR task_id = ANY(:ofTasks))`;

const SEAL = statement<{ batchSize: number }, { sealed: number | null }>(
  'seal-events',
  'SELECT seal_events(:batchSize) AS sealed',
);
/** Takes the locks of SEAL and commits, without changing anything. `PROBE_QUEUE` says why there is a message. */
const PROBE_SEALING = statement(
  'probe-sealing',
  `
  WITH log AS (SELECT FROM event_log FOR UPDATE NOWAIT),
    locked AS (UPDATE task_events SET position = position WHERE false)
  SELECT (SELECT count(*) FROM log), pg_logical_emit_message(true, 'darkroom', 'probe')`,
);
const HEAD = statement<object, { position: string; readAt: Date }>(
  'find-event-log-head',
  'SELECT position, clock_timestamp() AS "readAt" FROM event_log_head',
);
const READ_AFTER = statement<EventPage, EventRow>(
  'read-events-after',
  `SELECT ${EVENT_COLUMNS} FROM task_events WHERE position > :position ORDER BY position LIMIT :limit`,
);
const READ_TASK_AFTER = statement<TaskKey & EventPage, EventRow>(
  'read-task-events-after',
  `
  SELECT ${EVENT_COLUMNS} FROM task_events
  WHERE workspace_id = :workspaceId AND task_id = :taskId AND position > :position
  ORDER BY position LIMIT :limit`,
  { needsSlot: false },
);
const READ_WORKSPACE_AFTER = statement<Visibility & FilteredEventPage, EventRow>(
  'read-workspace-events-after',
  `
  SELECT ${EVENT_COLUMNS} FROM task_events
  WHERE workspace_id = :workspaceId AND position > :position AND ${MATCHES_FILTER}
  ORDER BY position LIMIT :limit`,
);
/** Finds the visible tasks first, which are few, so that it does not read all events of a busy workspace. */
const READ_VISIBLE_AFTER = statement<Visibility & FilteredEventPage, EventRow>(
  'read-visible-events-after',
  `
  SELECT ${EVENT_COLUMNS} FROM task_events
  WHERE task_id = ANY(ARRAY(SELECT task.id FROM tasks task WHERE ${IS_TASK_VISIBLE_SQL}))
    AND position > :position AND ${MATCHES_FILTER}
  ORDER BY position LIMIT :limit`,
);
/** One statement, so that the task, its events and the head of the log are of the same moment. Skips tasks that do not exist. */
const FIND_TASK_LOG_SNAPSHOTS = statement<{ workspaceIds: string[]; taskIds: string[] }, TaskLogSnapshotRow>(
  'find-task-log-snapshots',
  `
  -- Without an event the columns of latest are null, and pg keeps the last of two columns with one name.
  SELECT latest.*, task.id AS "taskId", task.workspace_id AS "workspaceId", task.end_user_id AS "endUserId",
         head.position AS "headPosition",
         (SELECT min(e.position) FROM task_events e
          WHERE e.task_id = task.id AND e.settles_task AND e.position IS NOT NULL) AS "settledPosition"
  FROM unnest(:workspaceIds::uuid[], :taskIds::uuid[]) AS given(workspace_id, id)
  CROSS JOIN LATERAL (
    -- OFFSET 0 keeps the planner from reading all tasks.
    SELECT * FROM tasks WHERE tasks.id = given.id AND tasks.workspace_id = given.workspace_id OFFSET 0) task
  CROSS JOIN event_log_head head
  LEFT JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM task_events
    WHERE task_id = task.id AND position IS NOT NULL ORDER BY position DESC LIMIT 1) latest ON true`,
);
/**
 * A binary search, which works because positions have no gaps and an event is sealed a moment after its time. With an equality
 * instead of the array, a plan for a short log would read all of it at each step.
 */
const LAST_POSITION_BEFORE = statement<{ time: Date }, { position: string }>(
  'find-last-position-before',
  `
  WITH RECURSIVE search(low, high) AS (
    SELECT 0::bigint, position FROM event_log_head
    UNION ALL
    SELECT CASE WHEN e.at < :time THEN e.position ELSE search.low END,
           CASE WHEN e.at < :time THEN search.high ELSE e.position - 1 END
    FROM search JOIN task_events e ON e.position = ANY (ARRAY[(search.low + search.high + 1) / 2])
    WHERE search.low < search.high
  )
  SELECT max(low) AS position FROM search`,
);

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
export interface TaskLogSnapshot extends Pick<TaskEvent, 'workspaceId' | 'taskId' | 'endUserId'> {
  /** Last position of the log. */
  headPosition: bigint;
  /** Last sealed event of the task. Null while none is sealed. */
  latestEvent: TaskEvent | null;
  /** Position of the event that settled the task. Null while the task is not settled. */
  settledPosition: bigint | null;
}

/** The rows of `task_events`. Readers see only sealed events. */
export class EventRepository {
  private readonly visibleEvents: VisibleEvents;

  constructor(private readonly db: Database) {
    this.visibleEvents = new VisibleEvents(db);
  }

  /**
   * Seals up to `batchSize` committed events. Returns the number of sealed events, or null while another session is sealing. It
   * is one statement, so that a suspended client holds no lock.
   */
  async seal(batchSize: number): Promise<number | null> {
    const [row] = await this.db.query(SEAL, { batchSize });
    return row?.sealed ?? null;
  }

  /** Resolves when events could be sealed. Throws DatabaseUnavailable otherwise, also while another session is sealing. */
  async probeSealing(): Promise<void> {
    await this.db.query(PROBE_SEALING, {});
  }

  /**
   * Position of the last sealed event. 0 when the log is empty. Every instance asks for it all the time, so this also reads
   * PostgreSQL's clock, which `databaseNow` follows.
   */
  async headPosition(): Promise<bigint> {
    const askedAt = performance.now();
    const [row] = await this.db.query(HEAD, {});
    if (row) recordDatabaseTime(row.readAt, askedAt);
    return BigInt(row?.position ?? 0);
  }

  /** Up to `limit` events of all workspaces after `position`, in order. */
  async readAfter(position: bigint, limit: number): Promise<TaskEvent[]> {
    return (await this.db.query(READ_AFTER, { position, limit })).map(toEvent);
  }

  /** Up to `limit` events of one task of the workspace after `position`, in order. */
  async readTaskAfter(task: TaskKey, position: bigint, limit: number): Promise<TaskEvent[]> {
    const parameters = { ...task, position, limit };
    return (await this.db.queryAsCaller(task, READ_TASK_AFTER, parameters)).map(toEvent);
  }

  /** Up to `limit` visible events after `position`, in order. Throws RateLimited when too many slow pages are being read. */
  async readVisibleAfter(
    visibility: Visibility,
    { position, limit, types, taskIds }: EventPage & EventFilter,
  ): Promise<TaskEvent[]> {
    const filter = {
      types: types?.length ? types : null,
      ofTasks: taskIds?.length ? taskIds : null,
    };
    // Rare events are searched for in the whole history, and those of an end user among all tasks of that user.
    const needsSlot = !coversWorkspace(visibility) || Boolean(filter.types ?? filter.ofTasks);
    return this.readVisible(visibility, { position, limit, ...filter, needsSlot });
  }

  /**
   * A page of the events of a scope, for subscribers that catch up. Its work does not grow with the range. It can also have
   * events after the range.
   */
  async readScopePage(scope: EventScope, range: EventRange): Promise<EventRangePage> {
    const { workspaceId, taskId } = scope;
    const { position, limit } = range;
    if (taskId !== null)
      return toRangePage(await this.readTaskAfter({ workspaceId, taskId }, position, limit), range);
    if (!coversWorkspace(scope)) return this.visibleEvents.readPage(scope, range);
    const page = { position, limit, types: null, ofTasks: null, needsSlot: false };
    return toRangePage(await this.readVisible(scope, page), range);
  }

  private async readVisible(
    visibility: Visibility,
    { needsSlot, ...page }: FilteredEventPage & { needsSlot: boolean },
  ): Promise<TaskEvent[]> {
    const read = { ...(coversWorkspace(visibility) ? READ_WORKSPACE_AFTER : READ_VISIBLE_AFTER), needsSlot };
    const rows = await this.db.queryAsCaller(visibility, read, { ...visibility, ...page });
    return rows.map(toEvent);
  }

  /** Snapshots of tasks, in one statement and in no order. Tasks that their workspace does not have are left out. */
  async findTaskLogSnapshots(tasks: readonly TaskKey[]): Promise<TaskLogSnapshot[]> {
    const rows = await this.db.query(FIND_TASK_LOG_SNAPSHOTS, {
      workspaceIds: tasks.map(({ workspaceId }) => workspaceId),
      taskIds: tasks.map(({ taskId }) => taskId),
    });
    return rows.map(toTaskLogSnapshot);
  }

  /** ID of the log, which differs between databases. */
  async logId(): Promise<string> {
    const log = await this.db.prisma.eventLog.findFirst();
    return log?.logId ?? '';
  }

  /** Position of the last event before `time`. 0 when there is none. */
  async lastPositionBefore(time: Date): Promise<bigint> {
    const [row] = await this.db.query(LAST_POSITION_BEFORE, { time });
    return BigInt(row?.position ?? 0);
  }
}

/** While no event is sealed, its columns are null. */
type TaskLogSnapshotRow = Omit<EventRow, 'position'> &
  Record<'position' | 'settledPosition', string | null> & { headPosition: string };

function toTaskLogSnapshot(row: TaskLogSnapshotRow): TaskLogSnapshot {
  const { headPosition, settledPosition, position, ...event } = row;
  const { workspaceId, taskId, endUserId } = event;
  return {
    ...{ workspaceId, taskId, endUserId },
    headPosition: BigInt(headPosition),
    latestEvent: position === null ? null : toEvent({ ...event, position }),
    settledPosition: settledPosition === null ? null : BigInt(settledPosition),
  };
}
