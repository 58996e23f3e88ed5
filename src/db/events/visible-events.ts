import { type TaskEvent } from '../../core/events/task-event.js';
import { type Visibility } from '../../core/access/visibility.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { EVENT_COLUMNS, type EventRow, toEvent } from './event-rows.js';

/** How much one read does, so that it takes far less than the 5 s that a statement may take. */
export interface ReadBounds {
  /**
   * Up to this many visible tasks, events are looked up by task, which takes about 3 µs for each task. With more, the events of
   * the workspace are read in order and those of other end users are skipped, which takes about 5 µs for each event.
   */
  tasks: number;
  /** Positions that one read covers when events are looked up by task. */
  positionsByTask: bigint;
  /** Positions that one read covers when events are read in order. */
  positionsInOrder: bigint;
}

const BOUNDS: ReadBounds = { tasks: 5_000, positionsByTask: 100_000n, positionsInOrder: 10_000n };

/** The events after `position` up to `endPosition`, which must be sealed, and how many of them to read. */
export interface EventRange {
  position: bigint;
  endPosition: bigint;
  limit: number;
}

/** The first events of a range, in order. */
export interface EventRangePage {
  events: TaskEvent[];
  /** The range was read up to this position. It is always after the position where it starts, unless the range is empty. */
  endPosition: bigint;
}

type VisibleRange = Visibility & EventRange;

/** Each does little, and the catch-up of subscribers bounds how many run at the same time. */
const NEEDS_NO_SLOT = { needsSlot: false };
const COUNT_VISIBLE_TASKS = statement<Visibility & { limit: number }, { count: number }>(
  'count-visible-tasks',
  `SELECT count(*)::int AS count FROM (SELECT FROM tasks task WHERE ${IS_TASK_VISIBLE_SQL} LIMIT :limit) visible`,
  NEEDS_NO_SLOT,
);
const READ_RANGE_BY_TASK = statement<VisibleRange, EventRow>(
  'read-visible-range-by-task',
  `
  SELECT ${EVENT_COLUMNS} FROM task_events
  WHERE task_id = ANY(ARRAY(SELECT task.id FROM tasks task WHERE ${IS_TASK_VISIBLE_SQL}))
    AND position > :position AND position <= :endPosition
  ORDER BY position LIMIT :limit`,
  NEEDS_NO_SLOT,
);
/** A lookup for each event. As a join, PostgreSQL could read all tasks of the end user for each page. */
const READ_RANGE_IN_ORDER = statement<VisibleRange, EventRow>(
  'read-visible-range-in-order',
  `
  SELECT ${EVENT_COLUMNS} FROM task_events
  WHERE workspace_id = :workspaceId AND position > :position AND position <= :endPosition
    AND (:taskIds::uuid[] IS NULL OR task_id = ANY(:taskIds))
    AND (:endUserId::text IS NULL
         OR (SELECT task.end_user_id FROM tasks task WHERE task.id = task_events.task_id) = :endUserId)
  ORDER BY position LIMIT :limit`,
  NEEDS_NO_SLOT,
);

/** The events that callers see who do not see the whole workspace. */
export class VisibleEvents {
  constructor(
    private readonly db: Database,
    private readonly bounds = BOUNDS,
  ) {}

  /**
   * A page of the visible events of a range. It covers only the start of a long range, possibly without events, so its work is
   * bounded for any number of tasks and any length of the log.
   */
  async readPage(visibility: Visibility, range: EventRange): Promise<EventRangePage> {
    const { tasks, positionsByTask, positionsInOrder } = this.bounds;
    const counting = { ...visibility, limit: tasks + 1 };
    const [found] = await this.db.queryAsCaller(visibility, COUNT_VISIBLE_TASKS, counting);
    const isByTask = (found?.count ?? 0) <= tasks;
    const part = startOf(range, isByTask ? positionsByTask : positionsInOrder);
    const read = isByTask ? READ_RANGE_BY_TASK : READ_RANGE_IN_ORDER;
    const rows = await this.db.queryAsCaller(visibility, read, { ...visibility, ...part });
    return toRangePage(rows.map(toEvent), part);
  }
}

/** The page with these events, which are the first ones after `position`. A full page ends with its last event. */
export function toRangePage(events: TaskEvent[], { endPosition, limit }: EventRange): EventRangePage {
  const last = events.length < limit ? undefined : events.at(-1);
  return { events, endPosition: last?.position ?? endPosition };
}

function startOf(range: EventRange, positions: bigint): EventRange {
  const end = range.position + positions;
  return { ...range, endPosition: end < range.endPosition ? end : range.endPosition };
}
