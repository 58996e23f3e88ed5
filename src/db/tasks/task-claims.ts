import { type SubmitJob } from '../../core/primitives/jobs.js';
import { type Task } from '../../core/tasks/task.js';
import { statement } from '../postgres/statement.js';
import { TASK_COLUMNS } from './task-row.js';
import { transitionParameters, transitionTaskSql } from './task-transition.js';

/** A run of a submit job that claims a task, and the ID of the submission. */
export interface TaskClaim extends SubmitJob {
  submissionId: string;
}

/** The outcome of `pick_next_tasks` for one claim, and the task if it was made SUBMITTING. */
export type TaskClaimResult =
  | { outcome: 'PICKED'; task: Task | null; isProbe: boolean }
  | { outcome: 'ALREADY_SUBMITTING'; taskId: string }
  | { outcome: 'RETRY' | 'SUPERSEDED' | 'PAUSED' | 'NONE' };

type ClaimRow = Task & { outcome: TaskClaimResult['outcome']; pickedTaskId: string; isProbe: boolean };

/**
 * Moves the tasks that `pick_next_tasks` selects to SUBMITTING, each for its submit job, and advances fair scheduling in the
 * same commit. The statement does not see changes that committed while it waited for the lock of the scheduler. A picked task
 * can therefore fail to change, and its job claims again. The pace is that of the pick, which does see them.
 */
export const CLAIM_NEXT_TASKS = statement<ReturnType<typeof claimParameters>, ClaimRow>(
  'claim-next-tasks',
  `${transitionTaskSql({
    ctesBefore: `pick AS MATERIALIZED (
    -- Joined by ordinal, because one job can be in the batch twice: for a run that was taken for dead, and for the next one.
    SELECT picked.*, claim.submission_id
    FROM pick_next_tasks(:submitJobIds::bigint[], :attempts::integer[], :maxSubmitting::integer) picked
    JOIN unnest(:submissionIds::uuid[]) WITH ORDINALITY AS claim(submission_id, ordinal) USING (ordinal)
    -- Tasks are locked in this order, like everywhere, so that none waits for another that waits for it.
    ORDER BY picked.task_id
  ), `,
    taskSql: `FROM pick WHERE id = pick.task_id AND pick.outcome = 'PICKED'`,
    submissionIdSql: 'pick.submission_id',
    submitJobIdSql: 'pick.submit_job_id',
  })}, claimed AS (
    -- The picked tasks that were made SUBMITTING, in the order of the picks.
    SELECT task.workspace_id, coalesce(task.end_user_id, '') AS end_user_id, pick.ordinal, pick.pace_rate
    FROM task JOIN pick ON pick.task_id = task.id
  ), head AS (
    -- The workspace that was served last, and when the next submission is due at the present pace.
    UPDATE scheduler_head SET workspace_id = last.workspace_id,
      next_submission_at = greatest(next_submission_at, now() - interval '1 second') + last.pause
    FROM (
      SELECT workspace_id, make_interval(secs => (SELECT count(*) FROM claimed) / pace_rate) AS pause
      FROM claimed ORDER BY ordinal DESC LIMIT 1
    ) last
  ), position AS (
    -- The end user of each workspace that was served last.
    INSERT INTO scheduler_positions (workspace_id, last_end_user_id)
    SELECT DISTINCT ON (workspace_id) workspace_id, end_user_id FROM claimed ORDER BY workspace_id, ordinal DESC
    ON CONFLICT (workspace_id) DO UPDATE SET last_end_user_id = excluded.last_end_user_id
  )
  SELECT pick.outcome, pick.task_id AS "pickedTaskId", ${TASK_COLUMNS}, pick.is_probe AS "isProbe"
  FROM pick LEFT JOIN task ON task.id = pick.task_id ORDER BY pick.ordinal`,
);

/** The parameters of CLAIM_NEXT_TASKS. */
export function claimParameters(claims: readonly TaskClaim[], maxSubmitting: number) {
  return {
    ...transitionParameters('SUBMITTING', {}),
    submitJobIds: claims.map(({ id }) => id),
    attempts: claims.map(({ runNumber }) => runNumber),
    submissionIds: claims.map(({ submissionId }) => submissionId),
    maxSubmitting,
  };
}

/** The outcome that a row of CLAIM_NEXT_TASKS reports. */
export function toClaimResult({ outcome, pickedTaskId, isProbe, ...task }: ClaimRow): TaskClaimResult {
  if (outcome === 'PICKED')
    return { outcome, task: (task.id as string | null) === null ? null : task, isProbe };
  return outcome === 'ALREADY_SUBMITTING' ? { outcome, taskId: pickedTaskId } : { outcome };
}

export const REPLACE_SUBMIT_JOB = statement<SubmitJob & { delayMs: number }>(
  'replace-submit-job',
  `
  SELECT enqueue_job('submit-task', json_build_object('taskId', :taskId::uuid), :delayMs::bigint, ARRAY['upstream'])
  FROM graphile_worker.jobs WHERE id = :id AND attempts = :runNumber`,
);

/** A submitted task to ask the upstream about. */
export interface TaskToReconcile {
  id: string;
  upstreamTaskId: string;
  /** Set when the last request about this task failed. The same for all tasks that are claimed together. */
  batchSize: number | null;
}

/** Since when the task has not been read. An unconfirmed one may have no time of submission. */
const UNREAD_SINCE_SQL = 'coalesce(checked_at, submitted_at, created_at)';
/** An unconfirmed task can have an upstream ID as well. */
const IS_RUNNING_AND_DUE_SQL = `status IN ('RUNNING', 'UNCONFIRMED') AND upstream_task_id IS NOT NULL
      AND ${UNREAD_SINCE_SQL} < now() - make_interval(secs => :olderThanMs / 1000.0)`;
/**
 * When a task had ended and its upstream ID was known. The ID of an accepted one can arrive later, from the spool of an
 * instance.
 */
const READABLE_AND_ENDED_SINCE_SQL = 'greatest(finished_at, submitted_at)';
const HAS_ENDED_AND_IS_DUE_SQL = `status IN ('SUCCEEDED', 'CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL
      AND delivered_count + late_image_count < requested_count
      AND ${READABLE_AND_ENDED_SINCE_SQL} BETWEEN now() - interval '1 hour' AND now() - interval '15 seconds'
      AND (checked_at IS NULL OR checked_at < now() - greatest(interval '15 seconds',
            (now() - ${READABLE_AND_ENDED_SINCE_SQL}) * CASE WHEN delivered_count + late_image_count = 0 THEN 0.2 ELSE 0.8 END))`;

/**
 * Claims running and unconfirmed tasks first, then submitted tasks that ended with fewer images than were requested. The latter
 * are checked for an hour, at growing intervals. Without any image, they are checked again after a fifth of the time since
 * their end. With some, which is often all that the upstream makes, four times: after 15 s, and then when five times as long
 * has passed.
 *
 * Tasks whose last request failed are claimed apart from the others, and half as many after each failure. If the upstream
 * cannot answer for one of them, that task is soon asked about alone, and the others are answered.
 */
export const CLAIM_FOR_RECONCILIATION = statement<{ olderThanMs: number; limit: number }, TaskToReconcile>(
  'claim-tasks-for-reconciliation',
  `
  WITH batch AS (
    -- That of the first task. Zero stands for tasks whose last request did not fail.
    SELECT coalesce(
      (SELECT coalesce(check_batch_size, 0) FROM tasks
       WHERE ${IS_RUNNING_AND_DUE_SQL} ORDER BY ${UNREAD_SINCE_SQL} LIMIT 1),
      (SELECT coalesce(check_batch_size, 0) FROM tasks
       WHERE ${HAS_ENDED_AND_IS_DUE_SQL} ORDER BY ${READABLE_AND_ENDED_SINCE_SQL} DESC LIMIT 1)
    )::int AS size
  ), running AS (
    -- Running and unconfirmed tasks come first, those that were not checked for the longest time before all.
    SELECT id FROM tasks
    WHERE ${IS_RUNNING_AND_DUE_SQL} AND coalesce(check_batch_size, 0) = (SELECT size FROM batch)
    ORDER BY ${UNREAD_SINCE_SQL}
    LIMIT (SELECT coalesce(nullif(size, 0), :limit) FROM batch) FOR UPDATE SKIP LOCKED
  ), ended_incomplete AS (
    -- The rest of the batch are tasks that ended with fewer images than were requested.
    SELECT id FROM tasks
    WHERE ${HAS_ENDED_AND_IS_DUE_SQL} AND coalesce(check_batch_size, 0) = (SELECT size FROM batch)
    ORDER BY ${READABLE_AND_ENDED_SINCE_SQL} DESC
    LIMIT (SELECT coalesce(nullif(size, 0), :limit) FROM batch) - (SELECT count(*) FROM running) FOR UPDATE SKIP LOCKED
  )
  UPDATE tasks SET checked_at = now()
  WHERE id = ANY (ARRAY(SELECT id FROM running UNION ALL SELECT id FROM ended_incomplete))
  RETURNING id, upstream_task_id AS "upstreamTaskId", check_batch_size AS "batchSize"`,
);

/** A row that another session has locked is left as it is, because a batch of the wrong size does no harm and waiting does. */
const UNLOCKED_TASKS_SQL =
  'id = ANY (ARRAY(SELECT id FROM tasks WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))';

export const SET_CHECK_BATCH_SIZE = statement<{ ids: readonly string[]; checkBatchSize: number | null }>(
  'set-check-batch-size',
  `UPDATE tasks SET check_batch_size = :checkBatchSize::smallint WHERE ${UNLOCKED_TASKS_SQL}`,
);

export const ENLARGE_CHECK_BATCHES = statement<{ from: number; to: number }>(
  'enlarge-check-batches',
  `
  UPDATE tasks SET check_batch_size = :to::smallint WHERE id = ANY (ARRAY(
    SELECT id FROM tasks WHERE status IN ('RUNNING', 'UNCONFIRMED') AND check_batch_size = :from
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))`,
);

export const CLEAR_CHECKED_AT = statement<{ ids: readonly string[] }>(
  'clear-checked-at',
  `UPDATE tasks SET checked_at = NULL WHERE ${UNLOCKED_TASKS_SQL}`,
);
