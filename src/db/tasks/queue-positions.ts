import { statement } from '../postgres/statement.js';

/**
 * Round-robin scheduling is a sort order. The n-th task of every end user comes before any (n + 1)th, and tasks with the same
 * n come in the order of the end users. The number of tasks ahead of a task for its end user gives its ordinal k in its
 * workspace. The ordinal gives its position in the whole queue: before the k-th task of this workspace, each other workspace
 * is served k or k - 1 times, or as often as it has tasks. A task that waits for its retry time gets the position that it would have if it were due, and does not count
 * for other tasks.
 */
export const FIND_QUEUE_POSITIONS = statement<
  { workspaceId: string; ids: readonly string[] },
  { id: string; position: number }
>(
  'find-queue-positions',
  `
  WITH mine AS (
    SELECT id, coalesce(end_user_id, '') COLLATE "C" AS end_user, priority, not_before IS NULL AS is_due
    FROM tasks
    WHERE workspace_id = :workspaceId AND status = 'QUEUED' AND deadline_at > now()
      AND (not_before IS NULL OR id = ANY(:ids::uuid[]))
  ), per_end_user AS (
    SELECT id, end_user, is_due, count(*) FILTER (WHERE is_due) OVER (
      PARTITION BY end_user ORDER BY priority DESC, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
    FROM mine
  ), per_workspace AS (
    SELECT id, 1 + count(*) FILTER (WHERE is_due) OVER (
      ORDER BY ahead,
        coalesce(end_user <= (SELECT last_end_user_id FROM scheduler_positions WHERE workspace_id = :workspaceId), false), end_user, is_due
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ordinal
    FROM per_end_user
  ), other AS MATERIALIZED ( -- or it would be computed again for each task
    SELECT workspace_id, count(*) AS waiting,
           ((coalesce(workspace_id <= last.id, false), workspace_id) < (coalesce(:workspaceId <= last.id, false), :workspaceId))::int AS first
    FROM tasks, (SELECT workspace_id AS id FROM scheduler_head) last
    WHERE status = 'QUEUED' AND not_before IS NULL AND deadline_at > now() AND workspace_id <> :workspaceId
    GROUP BY workspace_id, last.id
  )
  SELECT id, (ordinal + (SELECT coalesce(sum(least(waiting, ordinal - 1 + first)), 0) FROM other))::int AS position
  FROM per_workspace WHERE id = ANY(:ids::uuid[])`,
);
