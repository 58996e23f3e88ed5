/**
 * Two parts of a statement whose part `task` has the columns of a task: they write down, in the same commit, that its
 * result is to be posted to its callback URL, and wake who does that. Nothing, for a task without one. A receiver
 * that cannot be read from the URL must not keep a task from its end. Both arguments are SQL.
 */
export function announce(kind: string, condition: string): string {
  return `
  outgoing AS (
    INSERT INTO outgoing_callbacks (workspace_id, task_id, kind, receiver)
    SELECT workspace_id, id, (${kind})::outgoing_callback_kind, coalesce(substring(callback_url FROM '^[^:]+://[^/?#]+'), '')
    FROM task WHERE callback_url IS NOT NULL AND ${condition}
    RETURNING task_id
  ), wake AS (
    SELECT graphile_worker.add_job('deliver-callback', json_build_object('taskId', task_id)) FROM outgoing
  )`;
}
