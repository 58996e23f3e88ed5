import { type BackPressure } from '../../core/errors.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** A refused submission. */
export interface RefusedSubmission extends BackPressure {
  failure: TaskFailure;
  /** Time since the submission was sent. */
  sentMsAgo: number;
}

/** A refusal of our account that was not the response to a submission. */
export interface ReportedRefusal {
  failure: TaskFailure;
  /** The task whose result was refused. Null: a read of results was refused. */
  taskId: string | null;
}

/**
 * Halves the rate, from 32 submissions per second if there was no limit, down to one in 16 s. An account that was refused is
 * probed after 2 s, and then half as often each time. The submissions that were under way during a change do not cause another
 * one, so a burst of refusals counts once. The account matters more than the load: a probe that is refused with 429 says
 * nothing about the account. The next submission is due when the pause ends, whatever the rate was before.
 */
const SLOW_DOWN = statement<
  { kind: string; retryAfterMs: number | null; failure: string; sentMsAgo: number },
  { changed: boolean; pauseMs: number }
>(
  'slow-submissions-down',
  `
  WITH next AS (
    SELECT CASE WHEN :kind = 'RATE' THEN greatest(coalesce(submissions_per_second(pace), 32) / 2, 1.0 / 16)
                WHEN kind = 'ACCOUNT' THEN greatest(rate / 2, 1.0 / 32)
                ELSE 0.5 END AS rate
    FROM submission_pace pace
  ), changed AS (
    UPDATE submission_pace SET kind = :kind, rate = next.rate, failure = :failure::jsonb, changed_at = now(),
      paused_until = now() + make_interval(secs => greatest(1 / next.rate, :retryAfterMs::bigint / 1000.0))
    FROM next
    WHERE (changed_at IS NULL OR changed_at < now() - make_interval(secs => :sentMsAgo::double precision / 1000))
      AND (:kind = 'ACCOUNT' OR kind IS DISTINCT FROM 'ACCOUNT')
    RETURNING paused_until
  ), head AS (
    UPDATE scheduler_head SET next_submission_at = changed.paused_until FROM changed
  )
  SELECT EXISTS (SELECT FROM changed) AS changed, greatest(0, ceil(1000 * extract(epoch FROM
    coalesce((SELECT paused_until FROM changed), pace.paused_until, now()) - now())))::int AS "pauseMs"
  FROM submission_pace pace`,
);

/**
 * Closes the gate like a first refused submission. Changes nothing if the account is known to be refused, or if the pace has
 * changed since the task was submitted, because then the report may be old. The ID of the last submission, a UUIDv7, has the time
 * when it began. `submitted_at` does not: a task has none if the response never arrived.
 */
const CLOSE_GATE = statement<{ failure: string; taskId: string | null }, { closed: boolean }>(
  'close-submission-gate',
  `
  WITH changed AS (
    UPDATE submission_pace SET kind = 'ACCOUNT', rate = 0.5, failure = :failure::jsonb, changed_at = now(),
      paused_until = now() + interval '2 seconds'
    WHERE kind IS DISTINCT FROM 'ACCOUNT'
      AND (changed_at IS NULL OR changed_at < coalesce((
        SELECT coalesce(to_timestamp(('x' || left(replace(submission_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0),
                        submitted_at, created_at)
        FROM tasks WHERE id = :taskId::uuid
      ), now()))
    RETURNING paused_until
  ), head AS (
    UPDATE scheduler_head SET next_submission_at = changed.paused_until FROM changed
  )
  SELECT true AS closed FROM changed`,
);

const RESUME = statement<{ sentMsAgo: number }, { resumed: boolean }>(
  'resume-submissions',
  `
  UPDATE submission_pace SET kind = NULL, rate = NULL, failure = NULL, paused_until = NULL, changed_at = now()
  WHERE kind = 'ACCOUNT' AND changed_at < now() - make_interval(secs => :sentMsAgo::double precision / 1000)
  RETURNING true AS resumed`,
);

/** How fast all instances together may submit. */
export interface SubmissionPace {
  /** Null without a limit. */
  submissionsPerSecond: number | null;
  /** What the upstream refuses all submissions for. Null without a limit. */
  kind: BackPressure['kind'] | null;
  failure: TaskFailure | null;
  /** When it refused one last. Null without a limit. */
  refusedAt: Date | null;
}

const FIND_PACE = statement<object, SubmissionPace>(
  'find-submission-pace',
  `
  SELECT rate AS "submissionsPerSecond", CASE WHEN rate IS NOT NULL THEN kind END AS kind,
         CASE WHEN rate IS NOT NULL THEN failure END AS failure,
         CASE WHEN rate IS NOT NULL THEN changed_at END AS "refusedAt"
  FROM (SELECT submissions_per_second(pace) AS rate, kind, failure, changed_at FROM submission_pace pace) now`,
);

/** The single row of `submission_pace`. Claims read it (`pick_next_tasks`), and only refusals change it. */
export class SubmissionPaceRepository {
  constructor(private readonly db: Database) {}

  /** Slows all instances down. Returns whether this refusal changed anything, and the time until the next submission. */
  async slowDown({ kind, retryAfterMs, failure, sentMsAgo }: RefusedSubmission) {
    const parameters = { kind, retryAfterMs, failure: JSON.stringify(failure), sentMsAgo };
    const [row] = await this.db.query(SLOW_DOWN, parameters);
    return row ?? { changed: false, pauseMs: 0 };
  }

  /** Lets one task at a time probe the account. Returns whether this report changed anything. */
  async closeGate({ failure, taskId }: ReportedRefusal): Promise<boolean> {
    return (await this.db.query(CLOSE_GATE, { failure: JSON.stringify(failure), taskId })).length > 0;
  }

  /** Lets all instances submit again, if the account was refused before this submission was sent. Returns whether it was. */
  async resume(sentMsAgo: number): Promise<boolean> {
    return (await this.db.query(RESUME, { sentMsAgo })).length > 0;
  }

  async find(): Promise<SubmissionPace> {
    const [row] = await this.db.query(FIND_PACE, {});
    return row ?? { submissionsPerSecond: null, kind: null, failure: null, refusedAt: null };
  }
}
