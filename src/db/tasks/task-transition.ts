import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type EventType, type NewTaskEvent } from '../../core/events/task-event.js';
import { type UpstreamMetadata } from '../../core/images/image.js';
import { idTime } from '../../core/primitives/ids.js';
import { type NewJob } from '../../core/primitives/jobs.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { isFinal, statusesBefore, type Task, type TaskStatus } from '../../core/tasks/task.js';
import { ledgerMovementSql } from '../billing/ledger-statements.js';
import { statement } from '../postgres/statement.js';
import { enqueueWebhookSql } from '../webhooks/webhook-statements.js';
import { TASK_COLUMNS } from './task-row.js';

/** An image of a result, to insert. */
export interface NewImage {
  id: string;
  index: number;
  upstreamUrl: string;
  seed: string | null;
  inferenceSeconds: number | null;
  upstreamMetadata: UpstreamMetadata;
}

/** The columns of a new image, from JSON: the properties of `NewImage`. */
export const NEW_IMAGE_COLUMNS =
  'id uuid, index smallint, "upstreamUrl" text, seed text, "inferenceSeconds" double precision, "upstreamMetadata" jsonb';

/** A callback's ID, whose time is that of its arrival, its unparsed body, and the submission attempt of its link. Null: unknown. */
export interface RawCallback {
  id: string;
  attempt: number | null;
  body: Uint8Array;
}

/** The changes that one commit makes together with a change of status. */
export interface TaskTransition<Type extends EventType = EventType> {
  /** Narrows the statuses that the task may have before. It never allows more than `TRANSITIONS` of core/tasks/task.ts. */
  fromStatuses?: readonly TaskStatus[];
  event?: NewTaskEvent<Type>;
  jobs?: NewJob[];
  images?: NewImage[];
  failure?: TaskFailure;
  upstreamTaskId?: string | null;
  upstreamTraceId?: string | null;
  /**
   * Time until the next submission of a task that goes back to the queue. Makes the transition conditional on that being before
   * the deadline. The event's `data` gets the time as `retryAt`.
   */
  retryDelayMs?: number;
  /**
   * Whether the submission that ends here does not count as an attempt of the task. The next one is then at the latest a second
   * before the deadline, and there is none after it.
   */
  isUncounted?: boolean;
  /** Whether the task stays in the queue until it expires, and is not submitted any more. Needs `retryDelayMs`. */
  waitsUntilDeadline?: boolean;
  /** The callback that causes the transition. It is saved with its verdict. */
  callback?: RawCallback;
  /** Makes the transition conditional on this being the latest submission attempt. */
  expectedAttempt?: number;
}

/** A task after its transition, and the verdict on the callback that caused it. */
export type TransitionedTask = Task & { verdict: CallbackVerdict | null };

/**
 * Every change of status is this statement. It compares and sets the status, and inserts the images, the event, the jobs and
 * the callback of the transition. It changes the tasks that `taskSql`, a FROM and WHERE clause, selects.
 */
export function transitionTaskSql({
  ctesBefore = '',
  taskSql,
  submissionIdSql = 'tasks.submission_id',
  submitJobIdSql = 'NULL::bigint',
}: {
  ctesBefore?: string;
  taskSql: string;
  submissionIdSql?: string;
  submitJobIdSql?: string;
}) {
  return `
  WITH ${ctesBefore}task AS (
    UPDATE tasks SET
      status = :status::task_status,
      attempts = attempts + :attemptIncrement,
      uncounted_attempts = uncounted_attempts + :uncountedIncrement,
      submission_id = ${submissionIdSql},
      -- A task that waits for the upstream is sent for the last time a second before its deadline.
      not_before = CASE WHEN :waitsUntilDeadline::boolean THEN deadline_at
                        WHEN :uncountedIncrement > 0
                        THEN least(now() + make_interval(secs => :retryDelayMs::bigint / 1000.0), deadline_at - interval '1 second')
                        ELSE now() + make_interval(secs => :retryDelayMs::bigint / 1000.0) END,
      submit_job_id = ${submitJobIdSql},
      failure = coalesce(:failure::jsonb, failure),
      upstream_task_id = coalesce(:upstreamTaskId, upstream_task_id),
      upstream_trace_id = coalesce(:upstreamTraceId, upstream_trace_id),
      -- An unconfirmed task is read first after the time that a running one has after its submission.
      checked_at = CASE :status::task_status WHEN 'UNCONFIRMED' THEN now() WHEN 'QUEUED' THEN NULL ELSE checked_at END,
      submitted_at = CASE WHEN :isSubmitted THEN coalesce(submitted_at, now()) ELSE submitted_at END,
      finished_at = CASE WHEN :isFinal THEN now() ELSE finished_at END,
      delivered_count = delivered_count + :imageCount,
      pending_images = pending_images + :imageCount,
      spent = CASE WHEN :isFinal THEN unit_price * :imageCount ELSE spent END,
      -- The upstream may bill a task that ended without a result after its submission had begun.
      uncertain = CASE WHEN :status::task_status IN ('CANCELED', 'EXPIRED') AND status <> 'QUEUED'
                       THEN unit_price * requested_count ELSE uncertain END
    ${taskSql} AND status = ANY(:fromStatuses::task_status[])
      -- An overdue task is not submitted, because it is about to expire.
      AND (:status::task_status <> 'SUBMITTING' OR deadline_at > now())
      AND (:retryDelayMs::bigint IS NULL OR :waitsUntilDeadline::boolean OR deadline_at > now() + CASE WHEN :uncountedIncrement > 0
             THEN interval '1 second' ELSE make_interval(secs => :retryDelayMs::bigint / 1000.0) END)
    RETURNING tasks.*
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, upstream_metadata, parent_id)
    SELECT new.id, task.workspace_id, task.id, new.index, new."upstreamUrl", new.seed, new."inferenceSeconds",
           new."upstreamMetadata", task.source_image_id
    FROM task, jsonb_to_recordset(:images::jsonb) AS new(${NEW_IMAGE_COLUMNS})
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles_task)
    SELECT workspace_id, id, :eventType::text, :actor,
           :eventData::jsonb || CASE WHEN not_before IS NULL THEN '{}' ELSE jsonb_build_object(
             'retryAt', to_char(not_before AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) END,
           :isFinal AND pending_images = 0
    FROM task
    WHERE :eventType::text IS NOT NULL
  ), job AS (
    SELECT enqueue_job(new.name, new.payload,
                       coalesce(ceil(extract(epoch FROM task.not_before - now()) * 1000)::bigint, 0),
                       CASE new.name WHEN 'submit-task' THEN ARRAY['upstream'] WHEN 'ingest-images' THEN ARRAY['ingest'] END)
    FROM task, jsonb_to_recordset(:jobs::jsonb) AS new(name text, payload json)
  ), callback AS (
    -- EARLY: the callback arrived before the response to the submission was read.
    INSERT INTO callbacks (id, received_at, workspace_id, task_id, attempt, verdict, body)
    SELECT :callbackId::uuid, :callbackReceivedAt::timestamptz, workspace_id, id, :callbackAttempt::smallint,
           CASE WHEN submitted_at IS NULL OR submitted_at = finished_at THEN 'EARLY' ELSE 'APPLIED' END::callback_verdict,
           :callbackBody
    FROM task WHERE :callbackId::uuid IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
    RETURNING verdict
  ),${enqueueWebhookSql(`'RESULT'`, ':isFinal AND pending_images = 0')}`;
}

/** The parameters of a statement with `transitionTaskSql`, without the ID of the task. */
export function transitionParameters(status: TaskStatus, transition: TaskTransition) {
  const { fromStatuses, failure, images = [], event, jobs = [], callback } = transition;
  const allowed = statusesBefore(status);
  return {
    status,
    fromStatuses: fromStatuses ? allowed.filter((from) => fromStatuses.includes(from)) : allowed,
    attemptIncrement: status === 'SUBMITTING' ? 1 : 0,
    uncountedIncrement: transition.isUncounted ? 1 : 0,
    isSubmitted: status === 'RUNNING' || status === 'SUCCEEDED',
    isFinal: isFinal(status),
    expectedAttempt: transition.expectedAttempt ?? null,
    retryDelayMs: transition.retryDelayMs ?? null,
    waitsUntilDeadline: transition.waitsUntilDeadline ?? false,
    failure: failure ? JSON.stringify(failure) : null,
    upstreamTaskId: transition.upstreamTaskId ?? null,
    upstreamTraceId: transition.upstreamTraceId ?? null,
    imageCount: images.length,
    images: JSON.stringify(images),
    eventType: event?.type ?? null,
    actor: event?.actor ?? null,
    eventData: JSON.stringify(event?.data ?? {}),
    jobs: JSON.stringify(jobs),
    ...callbackParameters(callback),
  };
}

/** The parameters `:callbackId`, `:callbackReceivedAt`, `:callbackAttempt` and `:callbackBody`. */
export function callbackParameters(callback: RawCallback | undefined) {
  const { id = null, attempt = null, body = null } = callback ?? {};
  return {
    callbackId: id,
    callbackReceivedAt: id === null ? null : idTime(id),
    callbackAttempt: attempt,
    callbackBody: body,
  };
}

/** Changes the status of one task. Returns no row when its status or attempt does not allow it. */
export const TRANSITION_TASK = statement<
  ReturnType<typeof transitionParameters> & { id: string },
  TransitionedTask
>(
  'transition-task',
  `${transitionTaskSql({
    taskSql: 'WHERE id = :id AND (:expectedAttempt::integer IS NULL OR attempts = :expectedAttempt)',
  })},${ledgerMovementSql(
    `CASE WHEN status = 'SUCCEEDED' THEN 'SETTLE' WHEN uncertain > 0 THEN 'MARK_UNCERTAIN' ELSE 'RELEASE' END`,
    { reserved: '-unit_price * requested_count', spent: 'spent', uncertain: 'uncertain' },
    ':isFinal',
  )}
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs, (SELECT verdict FROM callback) AS verdict,
         (SELECT count(*) FROM wake) AS woken, (SELECT count(*) FROM movement) AS moved FROM task`,
);
