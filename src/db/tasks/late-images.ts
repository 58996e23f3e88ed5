import { MAX_IMAGES_PER_TASK } from '../../core/tasks/task.js';
import { ledgerMovementSql } from '../billing/ledger-statements.js';
import { statement } from '../postgres/statement.js';
import { callbackParameters, NEW_IMAGE_COLUMNS, type NewImage, type RawCallback } from './task-transition.js';

/**
 * Adds images to a task that keeps its status. Adds none that were added before, and none above `:maxImages` of the task.
 *
 * This statement may have waited for the lock on the task. It still sees the other tables as they were before, so a function
 * compares the images (`select_unknown_images`).
 */
export const ADD_LATE_IMAGES = statement<ReturnType<typeof lateImagesParameters>, { addedCount: number }>(
  'add-late-images',
  `
  WITH task AS (
    SELECT * FROM tasks
    WHERE id = :id AND status IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED') FOR NO KEY UPDATE
  ), unknown AS MATERIALIZED (
    -- The task is locked and its images have the indexes below its counts, so no index is taken.
    SELECT new.*, task.delivered_count + task.late_image_count + selected.ordinal - 1 AS free_index
    FROM task, select_unknown_images(task.id, :images::jsonb) AS selected,
         jsonb_to_record(selected.image) AS new(${NEW_IMAGE_COLUMNS})
    WHERE task.delivered_count + task.late_image_count + selected.ordinal <= :maxImages::integer
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, upstream_metadata, parent_id, late)
    SELECT new.id, task.workspace_id, task.id, new.free_index, new."upstreamUrl", new.seed, new."inferenceSeconds",
           new."upstreamMetadata", task.source_image_id, true
    FROM task, unknown new
    RETURNING id, index
  ), counted AS (
    UPDATE tasks SET pending_late_images = tasks.pending_late_images + (SELECT count(*) FROM image),
                     late_image_count = tasks.late_image_count + (SELECT count(*) FROM image),
                     spent = tasks.spent + tasks.unit_price * (SELECT count(*) FROM image),
                     uncertain = tasks.uncertain * 0,
                     -- Images that were paid for are the opposite of what such a failure says.
                     failure = CASE WHEN (tasks.failure ->> 'retryable')::boolean THEN tasks.failure || jsonb_build_object(
                       'retryable', false, 'message', :lateMessage::text) ELSE tasks.failure END
    FROM task WHERE tasks.id = task.id AND EXISTS (SELECT FROM image)
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'LATE_RESULT_RECEIVED', :actor,
           jsonb_build_object('deliveredCount', (SELECT count(*) FROM image), 'imageIds', (SELECT jsonb_agg(id ORDER BY index) FROM image))
    FROM task WHERE EXISTS (SELECT FROM image)
  ), job AS (
    SELECT enqueue_job('ingest-images', json_build_object('taskId', id), job_flags := ARRAY['ingest']) FROM task
    WHERE EXISTS (SELECT FROM image)
  ), callback AS (
    INSERT INTO callbacks (id, received_at, workspace_id, task_id, attempt, verdict, body)
    SELECT :callbackId::uuid, :callbackReceivedAt::timestamptz, workspace_id, id, :callbackAttempt::smallint, 'LATE', :callbackBody
    FROM task WHERE :callbackId::uuid IS NOT NULL AND EXISTS (SELECT FROM image)
    ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  ),${ledgerMovementSql(
    `'ADJUST'`,
    { spent: 'unit_price * (SELECT count(*) FROM image)', uncertain: '-uncertain' },
    'EXISTS (SELECT FROM image)',
  )}
  SELECT (SELECT count(*) FROM image)::int AS "addedCount", (SELECT count(*) FROM job) AS jobs,
         (SELECT count(*) FROM movement) AS moved`,
);

/** Images that were paid for and arrived after their task had ended. The callback is the one that they arrived in. */
export interface LateImages {
  images: NewImage[];
  actor: string;
  callback?: RawCallback;
}

/** Replaces the message of a failure that said that nothing had been made. */
const LATE_MESSAGE =
  'The upstream delivered images after the task had ended. They are in `lateImages`. A new request is billed again.';

/** The parameters of ADD_LATE_IMAGES. */
export function lateImagesParameters(id: string, { images, actor, callback }: LateImages) {
  return {
    id,
    images: JSON.stringify(images),
    maxImages: MAX_IMAGES_PER_TASK,
    actor,
    lateMessage: LATE_MESSAGE,
    ...callbackParameters(callback),
  };
}

export const RELEASE_UNCERTAIN = statement<{ id: string; ofAttempt: number | null }>(
  'release-uncertain',
  `
  WITH task AS (
    SELECT * FROM tasks
    WHERE id = :id AND uncertain > 0 AND (:ofAttempt::integer IS NULL OR attempts = :ofAttempt) FOR NO KEY UPDATE
  ), released AS (
    UPDATE tasks SET uncertain = 0 FROM task WHERE tasks.id = task.id
  ),${ledgerMovementSql(`'ADJUST'`, { uncertain: '-uncertain' })}
  SELECT count(*) FROM movement`,
);
