import { announce } from '../webhooks/create-webhook-delivery.js';
import { admit, book, COST_COLUMNS, COUNTED_IN, HAS_ROOM } from '../billing/ledger-statements.js';
import { taskWithin } from '../access/visibility-filter.js';

/** The statements of tasks.ts: SQL alone, each one commit. */

/** The columns of `Task`, for every statement that returns one. */
export const TASK_COLUMNS = `
  task.id, task.workspace_id AS "workspaceId", task.kind, task.status, task.prompt, task.model, task.size,
  task.requested_count AS "requestedCount", task.delivered_count AS "deliveredCount",
  task.pending_images AS "pendingImages", task.source_image_id AS "sourceImageId",
  task.source_image_url AS "sourceImageUrl", task.failure, task.upstream_task_id AS "upstreamTaskId",
  task.upstream_trace_id AS "upstreamTraceId", task.attempts, task.idempotency_key AS "idempotencyKey",
  task.metadata, task.retry_of_id AS "retryOfId", task.callback_url AS "callbackUrl", task.trace_id AS "traceId",
  task.key_id AS "keyId", task.end_user_id AS "endUserId",
  (ARRAY['LOW', 'NORMAL', 'HIGH'])[task.priority + 1] AS priority, ${COST_COLUMNS},
  task.created_at AS "createdAt", task.submitted_at AS "submittedAt",
  task.finished_at AS "finishedAt", task.deadline_at AS "deadlineAt",
  (SELECT head.position::text FROM event_log_head head) AS "logPosition"`;

/** A picture of a result, in JSON. */
const NEW_IMAGE =
  'id uuid, index smallint, url text, seed text, "inferenceSeconds" double precision, reported jsonb';

/**
 * One commit: the task, its first event, its job, and what it reserves. No row comes back when the idempotency key is taken,
 * or when a budget has no room for it.
 */
export const INSERT_TASK = {
  name: 'insert-task',
  text: `
  WITH ${admit({ workspace: '$2', key: '$19', endUser: '$20', currency: '$23' })}, task AS (
    INSERT INTO tasks (id, workspace_id, kind, prompt, model, size, requested_count, source_image_id,
                       source_image_url, idempotency_key, input_hash, metadata, deadline_at,
                       retry_of_id, callback_url, trace_id, key_id, end_user_id, priority,
                       unit_price, currency, spent, held, counted_in)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::json, now() + make_interval(secs => $13), $16, $17, $18, $19, $20, $21,
           $22::numeric, $23, $22::numeric * 0, $22::numeric * 0, ${COUNTED_IN}
    WHERE ${HAS_ROOM('$22::numeric * $7::smallint', '$23')}
    ON CONFLICT (workspace_id, (coalesce(end_user_id, '')), idempotency_key) DO NOTHING
    RETURNING *
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'TASK_REQUESTED', $14, $15::jsonb FROM task
  ), job AS (
    SELECT graphile_worker.add_job('submit-task', json_build_object('taskId', id), flags := ARRAY['upstream']) FROM task
  ),${book("'RESERVE'", { reserved: 'unit_price * requested_count' })}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT count(*) FROM movement) AS moved FROM task`,
};

/**
 * Every change of status is this statement: compare and set, with the images, the event and the jobs it brings. It moves
 * one task, or, for CLAIM_TURNS, those that another part of the statement names.
 */
function moveTask({
  before = '',
  from = '',
  which = '$1',
  submission = '$18::uuid',
  ticket = '$20::bigint',
  attempt = 'AND ($21::integer IS NULL OR attempts = $21)',
} = {}) {
  return `
  WITH ${before}task AS (
    UPDATE tasks SET
      status = $2::task_status,
      attempts = attempts + $4,
      submission_id = coalesce(${submission}, submission_id),
      not_before = $19::timestamptz,
      ticket_id = ${ticket},
      failure = coalesce($5::jsonb, failure),
      upstream_task_id = coalesce($6, upstream_task_id),
      upstream_trace_id = coalesce($7, upstream_trace_id),
      submitted_at = CASE WHEN $8 THEN coalesce(submitted_at, now()) ELSE submitted_at END,
      finished_at = CASE WHEN $9 THEN now() ELSE finished_at END,
      delivered_count = delivered_count + $10,
      pending_images = pending_images + $10,
      spent = CASE WHEN $9 THEN unit_price * $10 ELSE spent END,
      -- Given up after it had left: the upstream may bill it, and nobody can know.
      held = CASE WHEN $2::task_status IN ('CANCELED', 'EXPIRED') AND status <> 'QUEUED'
                  THEN unit_price * requested_count ELSE held END
    ${from}
    WHERE id = ${which} AND status = ANY($3::task_status[]) ${attempt}
      -- What is overdue is not sent any more: it is about to expire.
      AND ($2::task_status <> 'SUBMITTING' OR deadline_at > now())
    RETURNING tasks.*
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, reported, parent_id)
    SELECT new.id, task.workspace_id, task.id, new.index, new.url, new.seed, new."inferenceSeconds", new.reported,
           task.source_image_id
    FROM task, jsonb_to_recordset($11::jsonb) AS new(${NEW_IMAGE})
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles)
    SELECT workspace_id, id, $12::text, $13, $14::jsonb, $9 AND pending_images = 0 FROM task
    WHERE $12::text IS NOT NULL
  ), job AS (
    SELECT graphile_worker.add_job(new.name, new.payload, run_at := new."runAt",
                                   flags := CASE WHEN new.name = 'submit-task' THEN ARRAY['upstream'] END)
    FROM task, jsonb_to_recordset($15::jsonb) AS new(name text, payload json, "runAt" timestamptz)
  ), callback AS (
    -- A task that had not been submitted until this very statement: the callback overtook the reply.
    INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
    SELECT $16::uuid, workspace_id, id,
           CASE WHEN submitted_at IS NULL OR submitted_at = finished_at THEN 'EARLY' ELSE 'APPLIED' END::callback_verdict,
           $17
    FROM task WHERE $16::uuid IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
    RETURNING verdict
  ),${announce(`'RESULT'`, '$9 AND pending_images = 0')}`;
}

export const MOVE_TASK = {
  name: 'move-task',
  text: `${moveTask()},${book(
    `CASE WHEN status = 'SUCCEEDED' THEN 'SETTLE' WHEN held > 0 THEN 'HOLD' ELSE 'RELEASE' END`,
    { reserved: '-unit_price * requested_count', spent: 'spent', held: 'held' },
    '$9',
  )}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT verdict FROM callback) AS verdict,
         (SELECT count(*) FROM wake) AS woken, (SELECT count(*) FROM movement) AS moved FROM task`,
};

/**
 * The move to SUBMITTING of the tasks whose turns it is, each for its ticket; next_turns() tells which. Whoever's task has
 * moved has had its turn, in the same commit. What was written while the statement waited for the turns' lock it cannot
 * see: then a task that next_turns() names does not move, and its ticket asks again.
 */
export const CLAIM_TURNS = {
  name: 'claim-turns',
  text: `${moveTask({
    before: `turn AS MATERIALIZED (
    -- By place: a ticket can be asked about twice at once, by a run that was taken for dead and by the next one.
    SELECT next.*, asked.submission
    FROM next_turns($20::bigint[], $21::integer[], $1::uuid[]) next
    JOIN unnest($18::uuid[]) WITH ORDINALITY AS asked(submission, place) USING (place)
  ), `,
    from: 'FROM turn',
    which: `turn.task_id AND turn.turn = 'NEXT'`,
    submission: 'turn.submission',
    ticket: 'turn.ticket',
    attempt: '',
  })}, taken AS (
    SELECT task.workspace_id, coalesce(task.end_user_id, '') AS end_user_id, turn.place
    FROM task JOIN turn ON turn.task_id = task.id
  ), head AS (
    UPDATE turn_head SET workspace_id = last.workspace_id
    FROM (SELECT workspace_id FROM taken ORDER BY place DESC LIMIT 1) last
  ), line AS (
    INSERT INTO turns (workspace_id, end_user_id)
    SELECT DISTINCT ON (workspace_id) workspace_id, end_user_id FROM taken ORDER BY workspace_id, place DESC
    ON CONFLICT (workspace_id) DO UPDATE SET end_user_id = excluded.end_user_id
  )
  SELECT turn.turn, turn.task_id AS "turnOf", ${TASK_COLUMNS}
  FROM turn LEFT JOIN task ON task.id = turn.task_id ORDER BY turn.place`,
};

/** A new ticket for one whose run is this still. */
export const EXCHANGE_TICKET = {
  name: 'exchange-ticket',
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

export const FIND_TASK_BY_KEY = {
  name: 'find-task-by-key',
  text: `SELECT ${TASK_COLUMNS}, task.input_hash = $3 AS "sameInput"
         FROM tasks task
         WHERE task.workspace_id = $1 AND coalesce(task.end_user_id, '') = coalesce($4::text, '') AND task.idempotency_key = $2`,
  planOnce: true,
};

/**
 * Looked up one by one, which OFFSET holds the planner to. With `id = ANY` it reads a workspace from end to end where
 * others are so many that the average one is small: 5 ms in 16,000 tasks.
 */
export const FIND_TASKS = {
  name: 'find-tasks',
  text: `
  SELECT ${TASK_COLUMNS} FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) given CROSS JOIN LATERAL (
    SELECT * FROM tasks task WHERE task.id = given.id AND ${taskWithin('task', 2)} OFFSET 0) task`,
  planOnce: true,
};

export const NAME_UPSTREAM_TASK = {
  name: 'name-upstream-task',
  text: `UPDATE tasks SET upstream_task_id = coalesce(upstream_task_id, $2),
                          upstream_trace_id = coalesce(upstream_trace_id, $3),
                          submitted_at = coalesce(submitted_at, now())
         WHERE id = $1`,
};

/** Pictures that were paid for and come after the end: kept and told, and the task is not reopened. */
export const KEEP_LATE = {
  name: 'keep-late-images',
  text: `
  WITH task AS (
    SELECT * FROM tasks
    WHERE id = $1 AND status IN ('FAILED', 'CANCELED', 'EXPIRED') FOR NO KEY UPDATE
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, reported, parent_id, late)
    SELECT new.id, task.workspace_id, task.id, new.index, new.url, new.seed, new."inferenceSeconds", new.reported,
           task.source_image_id, true
    FROM task, jsonb_to_recordset($2::jsonb) AS new(${NEW_IMAGE})
    -- Not left to the conflict alone: that would wait, with the task locked, for whoever is storing the picture and wants the task.
    WHERE NOT EXISTS (SELECT FROM images kept WHERE kept.task_id = task.id AND kept.index = new.index)
    ON CONFLICT (task_id, index) DO NOTHING
    RETURNING id, index
  ), counted AS (
    UPDATE tasks SET pending_late = tasks.pending_late + (SELECT count(*) FROM image),
                     late_count = tasks.late_count + (SELECT count(*) FROM image),
                     spent = tasks.spent + tasks.unit_price * (SELECT count(*) FROM image),
                     held = tasks.held * 0
    FROM task WHERE tasks.id = task.id AND EXISTS (SELECT FROM image)
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'LATE_RESULT_ARRIVED', $3,
           jsonb_build_object('deliveredCount', (SELECT count(*) FROM image), 'imageIds', (SELECT jsonb_agg(id ORDER BY index) FROM image))
    FROM task WHERE EXISTS (SELECT FROM image)
  ), job AS (
    SELECT graphile_worker.add_job('store-images', json_build_object('taskId', id)) FROM task
    WHERE EXISTS (SELECT FROM image)
  ), callback AS (
    INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
    SELECT $4::uuid, workspace_id, id, 'LATE', $5 FROM task WHERE $4::uuid IS NOT NULL AND EXISTS (SELECT FROM image)
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  ),${book(
    `'ADJUST'`,
    { spent: 'unit_price * (SELECT count(*) FROM image)', held: '-held' },
    'EXISTS (SELECT FROM image)',
  )}
  SELECT (SELECT count(*) FROM image)::int AS kept, (SELECT count(*) FROM job) AS jobs,
         (SELECT count(*) FROM movement) AS moved`,
};

/** The upstream has told that it made nothing for a task that was given up: what was held for it is free. */
export const RELEASE_HELD = {
  name: 'release-held',
  text: `
  WITH task AS (
    SELECT * FROM tasks WHERE id = $1 AND held > 0 FOR NO KEY UPDATE
  ), freed AS (
    UPDATE tasks SET held = 0 FROM task WHERE tasks.id = task.id
  ),${book(`'ADJUST'`, { held: '-held' })}
  SELECT count(*) FROM movement`,
};

/**
 * Running tasks first. Then those that were ended without a result, and were sent: for an hour, and ever more seldom, the next
 * time after a fifth of the time that has gone by.
 */
export const CLAIM_UNCHECKED = {
  name: 'claim-unchecked',
  text: `
  WITH running AS (
    SELECT id FROM tasks
    WHERE status = 'RUNNING' AND upstream_task_id IS NOT NULL
      AND coalesce(checked_at, submitted_at) < now() - make_interval(secs => $1 / 1000.0)
    ORDER BY coalesce(checked_at, submitted_at) LIMIT $2 FOR UPDATE SKIP LOCKED
  ), given_up AS (
    SELECT id FROM tasks
    WHERE status IN ('CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL AND late_count = 0
      AND finished_at BETWEEN now() - interval '1 hour' AND now() - interval '15 seconds'
      AND (checked_at IS NULL OR checked_at < now() - greatest(interval '15 seconds', (now() - finished_at) / 5))
    ORDER BY finished_at DESC LIMIT $2 - (SELECT count(*) FROM running) FOR UPDATE SKIP LOCKED
  )
  UPDATE tasks SET checked_at = now() WHERE id IN (SELECT id FROM running UNION ALL SELECT id FROM given_up)
  RETURNING id, upstream_task_id AS "upstreamTaskId"`,
};

export const UNCHECK = {
  name: 'uncheck',
  text: `UPDATE tasks SET checked_at = NULL WHERE id = ANY($1::uuid[])`,
};

export const FIND_OVERDUE = {
  name: 'find-overdue',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task
         WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING') AND deadline_at < now()
         ORDER BY deadline_at LIMIT $1`,
};
