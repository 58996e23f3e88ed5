/**
 * In characters. A host has at most 253, and a request with a longer one is rejected. The limit keeps the endpoint small enough for
 * an index in any case, because an entry that is too large would keep the task from ending.
 */
const MAX_ENDPOINT_LENGTH = 300;

/**
 * SQL of two CTEs for a statement. In the same commit they insert the webhook delivery of the result of each task in the CTE
 * named `task`, and a job that sends it. They do nothing for a task without a webhook URL. An endpoint that cannot be parsed
 * from the URL becomes '', because it must not keep a task from ending. `kind` and `condition` are SQL about a row of that CTE.
 * A late result that has to wait for another delivery of its task is not due before that one's next attempt.
 */
export function enqueueWebhookSql(kind: string, condition: string): string {
  return `
  delivery AS (
    INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint, next_attempt_at)
    SELECT workspace_id, id, delivery_kind,
           left(coalesce(substring(webhook_url FROM '^[^:]+://[^/?#]+'), ''), ${MAX_ENDPOINT_LENGTH}),
           CASE WHEN delivery_kind = 'RESULT' THEN now() ELSE greatest(now(), (
             SELECT max(earlier.next_attempt_at) + interval '1 ms' FROM webhook_deliveries earlier
             WHERE earlier.task_id = task.id AND earlier.status = 'PENDING')) END
    FROM task CROSS JOIN LATERAL (SELECT (${kind})::webhook_delivery_kind AS delivery_kind) result
    WHERE webhook_url IS NOT NULL AND ${condition}
    RETURNING task_id
  ), wake AS (
    SELECT enqueue_job('deliver-webhook', json_build_object('taskId', task_id)) FROM delivery
  )`;
}
