import { type Task, TASK_PRIORITIES, type TaskRequest } from '../../core/tasks/task.js';
import { BUDGET_MASK_SQL, HAS_BUDGET_ROOM_SQL, LOCK_BUDGETS_SQL } from '../billing/budget-enforcement.js';
import { COST_COLUMNS, ledgerMovementSql } from '../billing/ledger-statements.js';
import { statement } from '../postgres/statement.js';
import { promptVector } from './prompt-search.js';

/** The columns of `Task`, for every statement that returns one. The table, CTE or alias must be named `task`. */
export const TASK_COLUMNS = `
  task.id, task.workspace_id AS "workspaceId", task.kind, task.status, task.prompt, task.model, task.size,
  task.requested_size AS "requestedSize", task.upstream_size AS "upstreamSize", task.requested_count AS "requestedCount", task.delivered_count AS "deliveredCount",
  task.pending_images AS "pendingImages", task.source_image_id AS "sourceImageId",
  task.source_image_url AS "sourceImageUrl", task.failure, task.upstream_task_id AS "upstreamTaskId",
  task.upstream_trace_id AS "upstreamTraceId", task.attempts,
  task.uncounted_attempts AS "uncountedAttempts", task.idempotency_key AS "idempotencyKey",
  task.metadata, task.retry_of_id AS "retryOfId", task.webhook_url AS "webhookUrl", task.trace_id AS "traceId",
  task.key_id AS "keyId", task.end_user_id AS "endUserId",
  (ARRAY['LOW', 'NORMAL', 'HIGH'])[task.priority + 1] AS priority, ${COST_COLUMNS},
  task.created_at AS "createdAt", task.submitted_at AS "submittedAt",
  task.finished_at AS "finishedAt", task.deadline_at AS "deadlineAt",
  (SELECT head.position::text FROM event_log_head head) AS "eventLogPosition"`;

/** A task to insert. */
export interface NewTask extends TaskRequest {
  keyId: string;
  /** Lineage of the key. Its budgets and limits count the task. */
  keyLineageId: string;
  inputHash: Buffer;
  timeoutSeconds: number;
  /** Price of one image, as a decimal. Null, like `currency`: unknown. */
  unitPrice: string | null;
}

/**
 * Inserts the task, the terms of its prompt, its first event, its submit job and its reservation in one commit. Returns no row
 * when the idempotency key is taken or a budget has no room.
 */
export const INSERT_TASK = statement<ReturnType<typeof insertTaskParameters>, Task>(
  'insert-task',
  `
  WITH ${LOCK_BUDGETS_SQL}, task AS (
    INSERT INTO tasks (id, workspace_id, kind, prompt, model, size, requested_size, upstream_size, requested_count, source_image_id,
                       source_image_url, idempotency_key, input_hash, metadata, deadline_at,
                       retry_of_id, webhook_url, trace_id, key_id, key_lineage_id, end_user_id, priority,
                       unit_price, currency, spent, uncertain, budget_mask)
    SELECT :id, :workspaceId, :kind, :prompt, :model, :size, :requestedSize, :upstreamSize, :requestedCount, :sourceImageId,
           :sourceImageUrl, :idempotencyKey, :inputHash, :metadata::json, now() + make_interval(secs => :timeoutSeconds),
           :retryOfId, :webhookUrl, :traceId, :keyId, :keyLineageId, :endUserId, :priorityRank,
           :unitPrice::numeric, :currency, :unitPrice::numeric * 0, :unitPrice::numeric * 0, ${BUDGET_MASK_SQL}
    WHERE ${HAS_BUDGET_ROOM_SQL}
    ON CONFLICT (workspace_id, (coalesce(end_user_id, '')), idempotency_key) DO NOTHING
    RETURNING *
  ), searchable_prompt AS (
    INSERT INTO searchable_prompts (workspace_id, task_id, terms)
    SELECT workspace_id, id, :promptTerms::tsvector FROM task
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'TASK_REQUESTED', :actor, :eventData::jsonb FROM task
  ), job AS (
    SELECT enqueue_job('submit-task', json_build_object('taskId', id), job_flags := ARRAY['upstream']) FROM task
  ),${ledgerMovementSql("'RESERVE'", { reserved: 'unit_price * requested_count' })}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT count(*) FROM movement) AS moved FROM task`,
);

/** The parameters of INSERT_TASK. */
export function insertTaskParameters(task: NewTask, actor: string) {
  const { kind, model, size, requestedCount } = task;
  return {
    ...task,
    requestedSize: task.requestedSize ?? null,
    upstreamSize: task.upstreamSize ?? null,
    metadata: task.metadata === undefined || task.metadata === null ? null : JSON.stringify(task.metadata),
    promptTerms: promptVector(task.workspaceId, task.prompt),
    priorityRank: TASK_PRIORITIES.indexOf(task.priority),
    actor,
    eventData: JSON.stringify({ kind, model, size, requestedCount }),
  };
}
