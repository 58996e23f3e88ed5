import { statement } from '../postgres/statement.js';

/** The image is neither stored, lost nor deleted. */
export const IS_PENDING = 'stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL';

/** The failures so far, and the time until the next attempt. */
export interface IngestPostponement {
  /** Failed downloads since the last successful one. */
  sourceFailures: number;
  /** Attempts that failed because of the store. */
  storeFailures: number;
  delayMs: number;
}

/** After this time, a job that ingests an image counts as lost. Much longer than the queue needs, even after an outage. */
const INGEST_LEASE_MINUTES = 15;
/** An image that is older is given up, so that its task is settled at some time even if the store never returns. */
const MAX_INGEST_DAYS = 7;
/**
 * Queues one job for each task that has images whose next attempt is due, until `maxWaiting` jobs that ingest images are due in
 * the queue. Those that failed and run again later do not count, or a few hundred of them would keep all other images waiting.
 */
export const QUEUE_DUE_INGESTS = statement<{ maxWaiting: number }>(
  'queue-due-ingests',
  `
  WITH due AS (
    SELECT id FROM images WHERE ${IS_PENDING} AND upstream_url IS NOT NULL AND ingest_at <= now()
    ORDER BY ingest_at LIMIT :maxWaiting::bigint - (
      SELECT count(*) FROM (
        SELECT FROM graphile_worker._private_jobs
        WHERE is_available AND run_at <= now() AND flags ?| ARRAY['ingest'] LIMIT :maxWaiting
      ) waiting)
    FOR NO KEY UPDATE SKIP LOCKED
  ), claimed AS (
    UPDATE images SET ingest_at = now() + interval '${INGEST_LEASE_MINUTES} minutes' FROM due WHERE images.id = due.id
    RETURNING images.id, task_id
  )
  SELECT enqueue_job('ingest-images', json_build_object('taskId', task_id, 'imageIds', json_agg(id)), job_flags := ARRAY['ingest'])
  FROM claimed GROUP BY task_id`,
);
export const POSTPONE_INGEST = statement<IngestPostponement & { id: string }, { isTooOld: boolean }>(
  'postpone-ingest',
  `
  UPDATE images SET source_failures = :sourceFailures, store_failures = :storeFailures,
                    ingest_at = now() + make_interval(secs => :delayMs / 1000.0)
  WHERE id = :id AND ${IS_PENDING}
  RETURNING created_at < now() - interval '${MAX_INGEST_DAYS} days' AS "isTooOld"`,
);
