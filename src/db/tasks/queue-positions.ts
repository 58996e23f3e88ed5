import { type Database } from '../postgres/database.js';

/**
 * Taking turns is sorting: the n-th task of every line goes before any (n + 1)th, and those beside each other in the order
 * of their ring. So what is ahead in a task's line gives its place among its workspace's tasks, and that gives its place among
 * all: of another workspace as many tasks are ahead as that has turns until then. A task that waits for its next attempt
 * stands beside its line: it is given the place that it would have there, and counts for no other.
 */
const FIND_POSITIONS = {
  name: 'find-queue-positions',
  text: `
  WITH mine AS (
    SELECT id, coalesce(end_user_id, '') COLLATE "C" AS end_user, priority, not_before IS NULL AS stands
    FROM tasks
    WHERE workspace_id = $1 AND status = 'QUEUED' AND deadline_at > now()
      AND (not_before IS NULL OR id = ANY($2::uuid[]))
  ), lined AS (
    SELECT id, end_user, stands, count(*) FILTER (WHERE stands) OVER (
      PARTITION BY end_user ORDER BY priority DESC, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
    FROM mine
  ), placed AS (
    SELECT id, 1 + count(*) FILTER (WHERE stands) OVER (
      ORDER BY ahead, coalesce(end_user <= (SELECT end_user_id FROM turns WHERE workspace_id = $1), false), end_user, stands
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS place
    FROM lined
  ), other AS (
    SELECT workspace_id, count(*) AS waiting,
           ((coalesce(workspace_id <= last.id, false), workspace_id) < (coalesce($1 <= last.id, false), $1))::int AS first
    FROM tasks, (SELECT workspace_id AS id FROM turn_head) last
    WHERE status = 'QUEUED' AND not_before IS NULL AND deadline_at > now() AND workspace_id <> $1
    GROUP BY workspace_id, last.id
  )
  SELECT id, (place + (SELECT coalesce(sum(least(waiting, place - 1 + first)), 0) FROM other))::int AS position
  FROM placed WHERE id = ANY($2::uuid[])`,
};

/**
 * In which turn each of the workspace's tasks among these ids will be sent, from 1, if none comes or goes but by its turn.
 * Those that are not queued are not in the answer.
 */
export async function findQueuePositions(
  db: Database,
  workspaceId: string,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const rows = await db.run<{ id: string; position: number }>(FIND_POSITIONS, [workspaceId, ids]);
  return new Map(rows.map(({ id, position }) => [id, position]));
}
