import { type JobName } from '../../core/primitives/jobs.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** Records nothing, and returns no row, while a heartbeat lies in the future: see `move_times_back`. */
const HEARTBEAT = statement<{ id: string }>(
  'instance-heartbeat',
  `
  INSERT INTO instances (id)
  SELECT :id::text WHERE NOT EXISTS (SELECT FROM instances WHERE last_heartbeat_at > now() + interval '1 second')
  ON CONFLICT (id) DO UPDATE SET last_heartbeat_at = now() RETURNING id`,
);
/** Its limit is that of a few hundred thousand queued jobs. */
const MOVE_TIMES_BACK = statement<object, { stepMs: number }>(
  'move-times-back',
  'SELECT move_times_back() AS "stepMs"',
  { timeoutMs: 60_000 },
);
const RELEASE_JOBS = statement<{ olderThanMs: number }, { id: string }>(
  'release-jobs-of-dead-instances',
  `
  WITH dead AS (
    DELETE FROM instances WHERE last_heartbeat_at < now() - make_interval(secs => :olderThanMs / 1000.0) RETURNING id
  ), unregistered AS (
    -- A queue can be suspended, lose its row, resume, lock jobs and die before its next heartbeat.
    SELECT DISTINCT locked_by AS id FROM graphile_worker.jobs
    WHERE locked_at < now() - make_interval(secs => :olderThanMs / 1000.0)
      AND NOT EXISTS (SELECT FROM instances WHERE instances.id = locked_by)
  ), lost AS (
    SELECT id FROM dead UNION SELECT id FROM unregistered
  ), released AS (
    SELECT graphile_worker.force_unlock_workers(array_agg(id)) FROM lost HAVING count(*) > 0
  )
  SELECT lost.id FROM lost WHERE EXISTS (SELECT FROM released)`,
);
const FIND_LOCKED_JOBS = statement<{ lockedBy: string; olderThanMs: number }, { id: string }>(
  'find-jobs-locked-by-queue',
  `
  SELECT id FROM graphile_worker.jobs
  WHERE locked_by = :lockedBy AND locked_at < now() - make_interval(secs => :olderThanMs / 1000.0)`,
);
const RELEASE_ORPHANED_JOBS = statement<{ lockedBy: string; jobIds: string[] }>(
  'release-orphaned-jobs',
  `
  UPDATE graphile_worker._private_jobs SET locked_at = NULL, locked_by = NULL
  WHERE id = ANY (:jobIds::bigint[]) AND locked_by = :lockedBy`,
);

const ENSURE_RECURRING_JOBS = statement<{ names: string[]; intervalsMs: number[] }, { lagMs: number }>(
  'ensure-recurring-jobs',
  'SELECT ensure_recurring_jobs(:names::text[], :intervalsMs::bigint[]) AS "lagMs" FROM handle_failed_jobs()',
);
/** The end of a run of a recurring job. */
interface FinishedRun {
  jobId: string;
  name: JobName;
  intervalMs: number;
  hasFailed: boolean;
}
const QUEUE_NEXT_RUN = statement<FinishedRun>(
  'queue-next-run',
  'SELECT queue_next_run(:jobId::bigint, :name, :intervalMs::bigint, :hasFailed)',
);

/**
 * Statements that take the locks of a part of this process and commit, without changing anything. The message is written to the
 * write-ahead log, so the commit waits for the disk and for synchronous standbys, as every other commit does.
 */
const PROBE_QUEUE = statement(
  'probe-queue',
  `
  WITH locked AS (UPDATE graphile_worker._private_jobs SET run_at = run_at WHERE false)
  SELECT pg_logical_emit_message(true, 'darkroom', 'probe')`,
);
const PROBE_HEARTBEAT = statement(
  'probe-heartbeat',
  `
  WITH locked AS (UPDATE instances SET last_heartbeat_at = last_heartbeat_at WHERE false)
  SELECT pg_logical_emit_message(true, 'darkroom', 'probe')`,
);

/** The rows of `instances`: the queues that are alive. */
export class InstanceRepository {
  constructor(private readonly db: Database) {}

  /** Resolves when a queue could fetch a job. Throws DatabaseUnavailable otherwise. */
  async probeQueue(): Promise<void> {
    await this.db.query(PROBE_QUEUE, {});
  }

  /** Resolves when a heartbeat could be recorded. Throws DatabaseUnavailable otherwise. */
  async probeHeartbeat(): Promise<void> {
    await this.db.query(PROBE_HEARTBEAT, {});
  }

  /**
   * Records that the queue with this ID is alive now. Returns by how many milliseconds PostgreSQL's clock has gone back since the
   * last heartbeat of any instance, usually 0. What was due by the old clock is then due by the new one.
   */
  async heartbeat(id: string): Promise<number> {
    if ((await this.db.query(HEARTBEAT, { id })).length > 0) return 0;
    const [row] = await this.db.query(MOVE_TIMES_BACK, {});
    await this.db.query(HEARTBEAT, { id });
    return row?.stepMs ?? 0;
  }

  /**
   * Unlocks the jobs of queues without a heartbeat for `olderThanMs`, and those that a queue without a row has locked for as
   * long, so that other instances run them. Returns the IDs of these queues.
   */
  async releaseJobsOfDeadInstances(olderThanMs: number): Promise<string[]> {
    return (await this.db.query(RELEASE_JOBS, { olderThanMs })).map(({ id }) => id);
  }

  /** The jobs that a queue has locked for longer than `olderThanMs`. */
  async findJobsLockedBy(id: string, olderThanMs: number): Promise<string[]> {
    return (await this.db.query(FIND_LOCKED_JOBS, { lockedBy: id, olderThanMs })).map((job) => job.id);
  }

  /** Unlocks those of these jobs that the queue has locked. */
  async releaseJobs(queueId: string, jobIds: string[]): Promise<void> {
    await this.db.query(RELEASE_ORPHANED_JOBS, { lockedBy: queueId, jobIds });
  }

  /**
   * Ensures that each of these recurring jobs runs again, at most once at a time over all instances. Returns for how long the one
   * that waits longest has been due, or the one that fails longest has failed every time, in milliseconds. Also keeps submit jobs
   * that have failed often due within a minute, and deletes other jobs that were given up.
   */
  async ensureRecurringJobs(intervalsMs: Partial<Record<JobName, number>>): Promise<number> {
    const parameters = { names: Object.keys(intervalsMs), intervalsMs: Object.values(intervalsMs) };
    const [row] = await this.db.query(ENSURE_RECURRING_JOBS, parameters);
    return row?.lagMs ?? 0;
  }

  /** Ends a run of a recurring job, and makes the next one due after `intervalMs`. */
  async queueNextRun(run: FinishedRun): Promise<void> {
    await this.db.query(QUEUE_NEXT_RUN, run);
  }

  /** Records that the queue with this ID has stopped and holds no jobs. */
  async deregister(id: string): Promise<void> {
    await this.db.prisma.instance.deleteMany({ where: { id } });
  }
}
