import { type BackPressure } from '../../core/tasks/upstream-error.js';
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
 * Halves the rate, from 32 submissions per second if there was no limit, down to one in 4 s. An account that was refused is
 * probed after 2 s, and then every 4 s. The submissions that were under way during a change do not cause another one, so a burst
 * of refusals counts once. The account matters more than the load: a probe that is refused with 429 says nothing about the
 * account. The next submission is due when the pause ends, whatever the rate was before.
 *
 * The new rate is safe if the upstream accepted a submission since the refusal before. Refusals in a row say nothing about the
 * rates below the first one: an upstream that refuses everything for a while may then accept as much as before.
 */
const SLOW_DOWN = statement<
  { kind: string; retryAfterMs: number | null; failure: string; sentMsAgo: number },
  { changed: boolean; pauseMs: number }
>(
  'slow-submissions-down',
  `
  WITH now AS (
    SELECT kind, safe_rate, changed_at > refused_at AS was_accepted, submissions_per_second(pace) AS rate
    FROM submission_pace pace
  ), next AS (
    SELECT CASE WHEN :kind = 'RATE' THEN greatest(coalesce(rate, 32) / 2, 1.0 / 4)
                WHEN kind = 'ACCOUNT' THEN 1.0 / 4
                ELSE 1.0 / 2 END AS rate,
           CASE WHEN kind = 'RATE' AND was_accepted THEN greatest(rate / 2, 1.0 / 4)
                WHEN kind = 'RATE' AND rate IS NOT NULL THEN safe_rate END AS safe_rate
    FROM now
  ), changed AS (
    UPDATE submission_pace SET kind = :kind, rate = next.rate, safe_rate = next.safe_rate, failure = :failure::jsonb,
      refused_at = now(), changed_at = now(),
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
 * Lets one task at a time probe the account, as after a first refused submission. Changes nothing if the account is known to be
 * refused, or if the pace has changed since the task was submitted, because then the report may be old. The ID of the last
 * submission, a UUIDv7, has the time when it began. `submitted_at` does not: a task has none if the response never arrived.
 */
const PROBE_ONLY = statement<{ failure: string; taskId: string | null }, { closed: boolean }>(
  'probe-account-only',
  `
  WITH changed AS (
    UPDATE submission_pace SET kind = 'ACCOUNT', rate = 0.5, safe_rate = NULL, failure = :failure::jsonb,
      refused_at = now(), changed_at = now(), paused_until = now() + interval '2 seconds'
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

/**
 * Removes the limit if the account was refused. Otherwise makes the rate eight times as high, up to the safe one. Submissions that
 * were under way during a change do not cause another one, so this happens once for each time between two submissions.
 */
const SPEED_UP = statement<{ sentMsAgo: number }, { isAccountAccepted: boolean }>(
  'speed-submissions-up',
  `
  WITH next AS (
    SELECT kind, CASE WHEN kind = 'RATE' THEN
      nullif(least(64, greatest(rate, least(rate * 8, coalesce(safe_rate, 64)))), 64) END AS rate
    FROM (SELECT kind, safe_rate, submissions_per_second(pace) AS rate FROM submission_pace pace) now
  ), changed AS (
    UPDATE submission_pace pace SET kind = CASE WHEN next.rate IS NOT NULL THEN next.kind END, rate = next.rate,
      failure = CASE WHEN next.rate IS NOT NULL THEN failure END, changed_at = now(), paused_until = NULL
    FROM next
    WHERE pace.kind = next.kind AND changed_at < now() - make_interval(secs => :sentMsAgo::double precision / 1000)
    RETURNING next.kind, next.rate
  ), head AS (
    UPDATE scheduler_head SET next_submission_at = now() FROM changed WHERE rate IS NOT NULL
  )
  SELECT kind = 'ACCOUNT' AS "isAccountAccepted" FROM changed`,
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
         CASE WHEN rate IS NOT NULL THEN refused_at END AS "refusedAt"
  FROM (SELECT submissions_per_second(pace) AS rate, kind, failure, refused_at FROM submission_pace pace) now`,
);

/** The single row of `submission_pace`. Claims read it (`pick_next_tasks`). Refusals change it, and acceptances after them. */
export class SubmissionPaceRepository {
  constructor(private readonly db: Database) {}

  /** Slows all instances down. Returns whether this refusal changed anything, and the time until the next submission. */
  async slowDown({ kind, retryAfterMs, failure, sentMsAgo }: RefusedSubmission) {
    const parameters = { kind, retryAfterMs, failure: JSON.stringify(failure), sentMsAgo };
    const [row] = await this.db.query(SLOW_DOWN, parameters);
    return row ?? { changed: false, pauseMs: 0 };
  }

  /** Lets one task at a time probe the account. Returns whether this report changed anything. */
  async probeOnly({ failure, taskId }: ReportedRefusal): Promise<boolean> {
    return (await this.db.query(PROBE_ONLY, { failure: JSON.stringify(failure), taskId })).length > 0;
  }

  /**
   * Lets all instances submit faster, or without a limit, because the upstream accepted a submission that was sent so long ago.
   * Returns whether the account was refused until now.
   */
  async speedUp(sentMsAgo: number): Promise<boolean> {
    return (await this.db.query(SPEED_UP, { sentMsAgo }))[0]?.isAccountAccepted ?? false;
  }

  async find(): Promise<SubmissionPace> {
    const [row] = await this.db.query(FIND_PACE, {});
    return row ?? { submissionsPerSecond: null, kind: null, failure: null, refusedAt: null };
  }
}
