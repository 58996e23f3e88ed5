/**
 * SQL of two CTEs for a statement. In the same commit they insert the webhook delivery of the result of each task in the CTE
 * named `task`, and a job that sends it. They do nothing for a task without a webhook URL. An endpoint that cannot be parsed
 * from the URL becomes '', because it must not keep a task from ending. `kind` and `condition` are SQL about a row of that CTE.
 */
export function enqueueWebhookSql(kind: string, condition: string): string {
  return `
  delivery AS (
    INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint)
    SELECT workspace_id, id, (${kind})::webhook_delivery_kind, coalesce(substring(webhook_url FROM '^[^:]+://[^/?#]+'), '')
    FROM task WHERE webhook_url IS NOT NULL AND ${condition}
    RETURNING task_id
  ), wake AS (
    SELECT enqueue_job('deliver-webhook', json_build_object('taskId', task_id)) FROM delivery
  )`;
}
