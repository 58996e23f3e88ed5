import { type Task, TASK_PRIORITIES, type TaskRequest } from '../../core/tasks/task.js';
import { BUDGET_MASK_SQL, HAS_BUDGET_ROOM_SQL, LOCK_BUDGETS_SQL } from '../billing/budget-enforcement.js';
import { COST_COLUMNS, ledgerMovementSql } from '../billing/ledger-statements.js';
import { statement } from '../postgres/statement.js';
import { promptVector } from './prompt-search.js';

/** SQL of each property of a task. The table, CTE or alias must be named `task`. */
const COLUMNS: Readonly<Record<keyof Task, string>> = {
  id: 'task.id',
  workspaceId: 'task.workspace_id',
  kind: 'task.kind',
  status: 'task.status',
  prompt: 'task.prompt',
  model: 'task.model',
  size: 'task.size',
  requestedSize: 'task.requested_size',
  upstreamSize: 'task.upstream_size',
  requestedCount: 'task.requested_count',
  deliveredCount: 'task.delivered_count',
  pendingImages: 'task.pending_images',
  sourceImageId: 'task.source_image_id',
  sourceImageUrl: 'task.source_image_url',
  failure: 'task.failure',
  upstreamTaskId: 'task.upstream_task_id',
  upstreamTraceId: 'task.upstream_trace_id',
  attempts: 'task.attempts',
  uncountedAttempts: 'task.uncounted_attempts',
  idempotencyKey: 'task.idempotency_key',
  metadata: 'task.metadata',
  retryOfId: 'task.retry_of_id',
  webhookUrl: 'task.webhook_url',
  traceId: 'task.trace_id',
  keyId: 'task.key_id',
  endUserId: 'task.end_user_id',
  priority: "(ARRAY['LOW', 'NORMAL', 'HIGH'])[task.priority + 1]",
  ...COST_COLUMNS,
  createdAt: 'task.created_at',
  submittedAt: 'task.submitted_at',
  finishedAt: 'task.finished_at',
  deadlineAt: 'task.deadline_at',
  eventLogPosition: '(SELECT head.position::text FROM event_log_head head)',
};
export const TASK_PROPERTIES = Object.keys(COLUMNS) as readonly (keyof Task)[];

/** The columns of these properties, for a statement that returns tasks. */
export function taskColumns(properties: readonly (keyof Task)[]): string {
  return properties.map((property) => `${COLUMNS[property]} AS "${property}"`).join(', ');
}

/** The columns of `Task`, for every statement that returns a whole one. */
export const TASK_COLUMNS = taskColumns(TASK_PROPERTIES);

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
