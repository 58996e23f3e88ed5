import { minIdAt } from '../../core/primitives/ids.js';
import { type Visibility } from '../../core/access/visibility.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** The newest tasks, by their times of creation, which are inclusive. Null: any time. */
export interface TaskListing {
  createdFrom: Date | null;
  createdTo: Date | null;
  offset: number;
  limit: number;
}

/** Tasks that a listing counts and reaches with its offset. Counting a million would take a second. */
export const MAX_LISTED_TASKS = 1_000;
/** A task's ID is older than its row by as long as its URLs and limits were checked for. No request takes this long. */
const MAX_ID_AGE_MS = 300_000;

interface ListingParameters extends Visibility, TaskListing {
  fromId: string | null;
  toId: string | null;
  maxCount: number;
}

/**
 * The IDs are found by a scan down the index on (workspace_id, id), which a range of IDs starts at the right place. The order is
 * that of `created_at`, because callers see it and go on from it.
 */
const LIST_TASK_IDS = statement<ListingParameters, { count: number; ids: string[] }>(
  'list-task-ids',
  `
  WITH matching AS MATERIALIZED (
    SELECT task.id, task.created_at FROM tasks task
    WHERE ${IS_TASK_VISIBLE_SQL}
      AND (:fromId::uuid IS NULL OR task.id >= :fromId) AND (:toId::uuid IS NULL OR task.id < :toId)
      AND (:createdFrom::timestamptz IS NULL OR task.created_at >= :createdFrom)
      AND (:createdTo::timestamptz IS NULL OR task.created_at <= :createdTo)
    ORDER BY task.id DESC LIMIT :maxCount
  )
  SELECT (SELECT count(*)::int FROM matching) AS count,
    ARRAY(SELECT id FROM matching ORDER BY created_at DESC, id DESC OFFSET :offset LIMIT :limit) AS ids`,
);

/** The IDs of the visible tasks in the listing, newest first, and the number of all that match, up to MAX_LISTED_TASKS. */
export async function listTaskIds(
  db: Database,
  visibility: Visibility,
  listing: TaskListing,
): Promise<{ count: number; ids: string[] }> {
  const { workspaceId, endUserId, taskIds } = visibility;
  const { createdFrom, createdTo } = listing;
  const idAt = (time: Date, shiftMs: number) => minIdAt(new Date(time.getTime() + shiftMs));
  const [row] = await db.query(LIST_TASK_IDS, {
    ...{ workspaceId, endUserId, taskIds, ...listing },
    fromId: createdFrom && idAt(createdFrom, -MAX_ID_AGE_MS),
    toId: createdTo && idAt(createdTo, MAX_ID_AGE_MS),
    maxCount: MAX_LISTED_TASKS,
  });
  return row ?? { count: 0, ids: [] };
}
