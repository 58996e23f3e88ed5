import { enqueueWebhookSql } from '../webhooks/webhook-statements.js';
import { lockBudgetsSql, BUDGET_MASK_SQL, hasBudgetRoomSql } from '../billing/budget-enforcement.js';
import { ledgerMovementSql, COST_COLUMNS } from '../billing/ledger-statements.js';
import { isTaskVisibleSql } from '../access/visibility-filter.js';

/** The statements of task-repository.ts. Each one is one commit. */

/** The columns of `Task`, for every statement that returns one. */
export const TASK_COLUMNS = `
  task.id, task.workspace_id AS "workspaceId", task.kind, task.status, task.prompt, task.model, task.size,
  task.requested_count AS "requestedCount", task.delivered_count AS "deliveredCount",
  task.pending_images AS "pendingImages", task.source_image_id AS "sourceImageId",
  task.source_image_url AS "sourceImageUrl", task.failure, task.upstream_task_id AS "upstreamTaskId",
  task.upstream_trace_id AS "upstreamTraceId", task.attempts, task.idempotency_key AS "idempotencyKey",
  task.metadata, task.retry_of_id AS "retryOfId", task.webhook_url AS "webhookUrl", task.trace_id AS "traceId",
  task.key_id AS "keyId", task.end_user_id AS "endUserId",
  (ARRAY['LOW', 'NORMAL', 'HIGH'])[task.priority + 1] AS priority, ${COST_COLUMNS},
  task.created_at AS "createdAt", task.submitted_at AS "submittedAt",
  task.finished_at AS "finishedAt", task.deadline_at AS "deadlineAt",
  (SELECT head.position::text FROM event_log_head head) AS "eventLogPosition"`;

/** The columns of a new image, from JSON: the properties of `NewImage`. */
const NEW_IMAGE_COLUMNS =
  'id uuid, index smallint, "upstreamUrl" text, seed text, "inferenceSeconds" double precision, "upstreamMetadata" jsonb';

/**
 * Inserts the task, its first event, its submit job and its reservation in one commit. Returns no row when the idempotency key
 * is taken or a budget has no room.
 */
export const INSERT_TASK = {
  name: 'insert-task',
  text: `
  WITH ${lockBudgetsSql({ workspace: '$2', key: '$19', endUser: '$20', currency: '$23' })}, task AS (
    INSERT INTO tasks (id, workspace_id, kind, prompt, model, size, requested_count, source_image_id,
                       source_image_url, idempotency_key, input_hash, metadata, deadline_at,
                       retry_of_id, webhook_url, trace_id, key_id, end_user_id, priority,
                       unit_price, currency, spent, uncertain, budget_mask)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::json, now() + make_interval(secs => $13), $16, $17, $18, $19, $20, $21,
           $22::numeric, $23, $22::numeric * 0, $22::numeric * 0, ${BUDGET_MASK_SQL}
    WHERE ${hasBudgetRoomSql('$22::numeric * $7::smallint', '$23')}
    ON CONFLICT (workspace_id, (coalesce(end_user_id, '')), idempotency_key) DO NOTHING
    RETURNING *
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'TASK_REQUESTED', $14, $15::jsonb FROM task
  ), job AS (
    SELECT graphile_worker.add_job('submit-task', json_build_object('taskId', id), flags := ARRAY['upstream']) FROM task
  ),${ledgerMovementSql("'RESERVE'", { reserved: 'unit_price * requested_count' })}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT count(*) FROM movement) AS moved FROM task`,
};

/**
 * Every change of status is this statement. It compares and sets the status, and inserts the images, the event and the jobs of
 * the transition. It changes one task or, for CLAIM_NEXT_TASKS, the tasks that another CTE selects.
 */
function transitionTaskSql({
  ctesBefore = '',
  fromClause = '',
  taskIdSql = '$21',
  submissionIdSql = '$18::uuid',
  submitJobIdSql = '$20::bigint',
  attemptCondition = 'AND ($1::integer IS NULL OR attempts = $1)',
} = {}) {
  return `
  WITH ${ctesBefore}task AS (
    UPDATE tasks SET
      status = $2::task_status,
      attempts = attempts + $4,
      submission_id = coalesce(${submissionIdSql}, tasks.submission_id),
      not_before = $19::timestamptz,
      submit_job_id = ${submitJobIdSql},
      failure = coalesce($5::jsonb, failure),
      upstream_task_id = coalesce($6, upstream_task_id),
      upstream_trace_id = coalesce($7, upstream_trace_id),
      submitted_at = CASE WHEN $8 THEN coalesce(submitted_at, now()) ELSE submitted_at END,
      finished_at = CASE WHEN $9 THEN now() ELSE finished_at END,
      delivered_count = delivered_count + $10,
      pending_images = pending_images + $10,
      spent = CASE WHEN $9 THEN unit_price * $10 ELSE spent END,
      -- The upstream may bill a task that ended without a result after its submission had begun.
      uncertain = CASE WHEN $2::task_status IN ('CANCELED', 'EXPIRED') AND status <> 'QUEUED'
                       THEN unit_price * requested_count ELSE uncertain END
    ${fromClause}
    WHERE id = ${taskIdSql} AND status = ANY($3::task_status[]) ${attemptCondition}
      -- An overdue task is not submitted, because it is about to expire.
      AND ($2::task_status <> 'SUBMITTING' OR deadline_at > now())
    RETURNING tasks.*
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, upstream_metadata, parent_id)
    SELECT new.id, task.workspace_id, task.id, new.index, new."upstreamUrl", new.seed, new."inferenceSeconds",
           new."upstreamMetadata", task.source_image_id
    FROM task, jsonb_to_recordset($11::jsonb) AS new(${NEW_IMAGE_COLUMNS})
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles_task)
    SELECT workspace_id, id, $12::text, $13, $14::jsonb, $9 AND pending_images = 0 FROM task
    WHERE $12::text IS NOT NULL
  ), job AS (
    SELECT graphile_worker.add_job(new.name, new.payload, run_at := new."runAt",
                                   flags := CASE WHEN new.name = 'submit-task' THEN ARRAY['upstream'] END)
    FROM task, jsonb_to_recordset($15::jsonb) AS new(name text, payload json, "runAt" timestamptz)
  ), callback AS (
    -- EARLY: the callback arrived before the response to the submission was read.
    INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
    SELECT $16::uuid, workspace_id, id,
           CASE WHEN submitted_at IS NULL OR submitted_at = finished_at THEN 'EARLY' ELSE 'APPLIED' END::callback_verdict,
           $17
    FROM task WHERE $16::uuid IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
    RETURNING verdict
  ),${enqueueWebhookSql(`'RESULT'`, '$9 AND pending_images = 0')}`;
}

export const TRANSITION_TASK = {
  name: 'transition-task',
  text: `${transitionTaskSql()},${ledgerMovementSql(
    `CASE WHEN status = 'SUCCEEDED' THEN 'SETTLE' WHEN uncertain > 0 THEN 'MARK_UNCERTAIN' ELSE 'RELEASE' END`,
    { reserved: '-unit_price * requested_count', spent: 'spent', uncertain: 'uncertain' },
    '$9',
  )}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT verdict FROM callback) AS verdict,
         (SELECT count(*) FROM wake) AS woken, (SELECT count(*) FROM movement) AS moved FROM task`,
};

/**
 * Makes the tasks that `pick_next_tasks` selects SUBMITTING, each for its submit job, and advances fair scheduling in the same
 * commit. The statement does not see changes that committed while it waited for the lock of the scheduler. A picked task can
 * therefore fail to change, and its job claims again.
 *
 * Parameters as in TRANSITION_TASK, except that $1, $18 and $20 are arrays of attempts, submission IDs and submit job IDs, and
 * that there is no $21.
 */
export const CLAIM_NEXT_TASKS = {
  name: 'claim-next-tasks',
  text: `${transitionTaskSql({
    ctesBefore: `pick AS MATERIALIZED (
    -- Joined by ordinal, because one job can be in the batch twice: for a run that was taken for dead, and for the next one.
    SELECT picked.*, claim.submission_id
    FROM pick_next_tasks($20::bigint[], $1::integer[]) picked
    JOIN unnest($18::uuid[]) WITH ORDINALITY AS claim(submission_id, ordinal) USING (ordinal)
  ), `,
    fromClause: 'FROM pick',
    taskIdSql: `pick.task_id AND pick.outcome = 'PICKED'`,
    submissionIdSql: 'pick.submission_id',
    submitJobIdSql: 'pick.submit_job_id',
    attemptCondition: '',
  })}, claimed AS (
    SELECT task.workspace_id, coalesce(task.end_user_id, '') AS end_user_id, pick.ordinal
    FROM task JOIN pick ON pick.task_id = task.id
  ), head AS (
    UPDATE scheduler_head SET workspace_id = last.workspace_id
    FROM (SELECT workspace_id FROM claimed ORDER BY ordinal DESC LIMIT 1) last
  ), position AS (
    INSERT INTO scheduler_positions (workspace_id, last_end_user_id)
    SELECT DISTINCT ON (workspace_id) workspace_id, end_user_id FROM claimed ORDER BY workspace_id, ordinal DESC
    ON CONFLICT (workspace_id) DO UPDATE SET last_end_user_id = excluded.last_end_user_id
  )
  SELECT pick.outcome, pick.task_id AS "pickedTaskId", ${TASK_COLUMNS}
  FROM pick LEFT JOIN task ON task.id = pick.task_id ORDER BY pick.ordinal`,
};

/** Adds another submit job, if the given run of the old one is still the current one. */
export const REPLACE_SUBMIT_JOB = {
  name: 'replace-submit-job',
  text: `
  SELECT graphile_worker.add_job('submit-task', json_build_object('taskId', $3::uuid), run_at := $4,
                                 flags := ARRAY['upstream'])
  FROM graphile_worker.jobs WHERE id = $1 AND attempts = $2`,
};

export const FIND_TASK = {
  name: 'find-task',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task WHERE task.id = $1`,
};

export const FIND_SUBMISSION = {
  name: 'find-submission',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task
         WHERE task.id = $1 AND task.submission_id = $2 AND task.status = 'SUBMITTING'`,
};

export const FIND_TASK_BY_IDEMPOTENCY_KEY = {
  name: 'find-task-by-idempotency-key',
  text: `SELECT ${TASK_COLUMNS}, task.input_hash = $3 AS "sameInput"
         FROM tasks task
         WHERE task.workspace_id = $1 AND coalesce(task.end_user_id, '') = coalesce($4::text, '') AND task.idempotency_key = $2`,
  useGenericPlan: true,
};

/**
 * Looks tasks up one by one; OFFSET 0 keeps the planner from flattening the subquery. With `id = ANY` the planner reads the
 * whole workspace if most other workspaces are small: 5 ms with 16,000 tasks.
 */
export const FIND_TASKS = {
  name: 'find-tasks',
  text: `
  SELECT ${TASK_COLUMNS} FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) given CROSS JOIN LATERAL (
    SELECT * FROM tasks task WHERE task.id = given.id AND ${isTaskVisibleSql('task', 2)} OFFSET 0) task`,
  useGenericPlan: true,
};

export const SET_UPSTREAM_TASK_ID = {
  name: 'set-upstream-task-id',
  text: `UPDATE tasks SET upstream_task_id = coalesce(upstream_task_id, $2),
                          upstream_trace_id = coalesce(upstream_trace_id, $3),
                          submitted_at = coalesce(submitted_at, now())
         WHERE id = $1`,
};

/** Adds images that were paid for and arrived after the task had ended. The task keeps its status. */
export const ADD_LATE_IMAGES = {
  name: 'add-late-images',
  text: `
  WITH task AS (
    SELECT * FROM tasks
    WHERE id = $1 AND status IN ('FAILED', 'CANCELED', 'EXPIRED') FOR NO KEY UPDATE
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, upstream_metadata, parent_id, late)
    SELECT new.id, task.workspace_id, task.id, new.index, new."upstreamUrl", new.seed, new."inferenceSeconds",
           new."upstreamMetadata", task.source_image_id, true
    FROM task, jsonb_to_recordset($2::jsonb) AS new(${NEW_IMAGE_COLUMNS})
    -- ON CONFLICT alone could deadlock: it waits, with the task locked, for a transaction that stores the image and waits for the task.
    WHERE NOT EXISTS (SELECT FROM images present WHERE present.task_id = task.id AND present.index = new.index)
    ON CONFLICT (task_id, index) DO NOTHING
    RETURNING id, index
  ), counted AS (
    UPDATE tasks SET pending_late_images = tasks.pending_late_images + (SELECT count(*) FROM image),
                     late_image_count = tasks.late_image_count + (SELECT count(*) FROM image),
                     spent = tasks.spent + tasks.unit_price * (SELECT count(*) FROM image),
                     uncertain = tasks.uncertain * 0
    FROM task WHERE tasks.id = task.id AND EXISTS (SELECT FROM image)
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'LATE_RESULT_RECEIVED', $3,
           jsonb_build_object('deliveredCount', (SELECT count(*) FROM image), 'imageIds', (SELECT jsonb_agg(id ORDER BY index) FROM image))
    FROM task WHERE EXISTS (SELECT FROM image)
  ), job AS (
    SELECT graphile_worker.add_job('ingest-images', json_build_object('taskId', id)) FROM task
    WHERE EXISTS (SELECT FROM image)
  ), callback AS (
    INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
    SELECT $4::uuid, workspace_id, id, 'LATE', $5 FROM task WHERE $4::uuid IS NOT NULL AND EXISTS (SELECT FROM image)
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  ),${ledgerMovementSql(
    `'ADJUST'`,
    { spent: 'unit_price * (SELECT count(*) FROM image)', uncertain: '-uncertain' },
    'EXISTS (SELECT FROM image)',
  )}
  SELECT (SELECT count(*) FROM image)::int AS "addedCount", (SELECT count(*) FROM job) AS jobs,
         (SELECT count(*) FROM movement) AS moved`,
};

/** Releases the uncertain amount of a task for which the upstream reports that it made nothing. */
export const RELEASE_UNCERTAIN = {
  name: 'release-uncertain',
  text: `
  WITH task AS (
    SELECT * FROM tasks WHERE id = $1 AND uncertain > 0 FOR NO KEY UPDATE
  ), released AS (
    UPDATE tasks SET uncertain = 0 FROM task WHERE tasks.id = task.id
  ),${ledgerMovementSql(`'ADJUST'`, { uncertain: '-uncertain' })}
  SELECT count(*) FROM movement`,
};

/**
 * Claims running tasks first, then submitted tasks that ended without a result. The latter are checked for an hour, at growing
 * intervals: again after a fifth of the time since their end.
 */
export const CLAIM_FOR_RECONCILIATION = {
  name: 'claim-tasks-for-reconciliation',
  text: `
  WITH running AS (
    SELECT id FROM tasks
    WHERE status = 'RUNNING' AND upstream_task_id IS NOT NULL
      AND coalesce(checked_at, submitted_at) < now() - make_interval(secs => $1 / 1000.0)
    ORDER BY coalesce(checked_at, submitted_at) LIMIT $2 FOR UPDATE SKIP LOCKED
  ), ended_without_result AS (
    SELECT id FROM tasks
    WHERE status IN ('CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL AND late_image_count = 0
      AND finished_at BETWEEN now() - interval '1 hour' AND now() - interval '15 seconds'
      AND (checked_at IS NULL OR checked_at < now() - greatest(interval '15 seconds', (now() - finished_at) / 5))
    ORDER BY finished_at DESC LIMIT $2 - (SELECT count(*) FROM running) FOR UPDATE SKIP LOCKED
  )
  UPDATE tasks SET checked_at = now() WHERE id IN (SELECT id FROM running UNION ALL SELECT id FROM ended_without_result)
  RETURNING id, upstream_task_id AS "upstreamTaskId"`,
};

export const CLEAR_CHECKED_AT = {
  name: 'clear-checked-at',
  text: `UPDATE tasks SET checked_at = NULL WHERE id = ANY($1::uuid[])`,
};

export const FIND_OVERDUE = {
  name: 'find-overdue-tasks',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task
         WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING') AND deadline_at < now()
         ORDER BY deadline_at LIMIT $1`,
};
