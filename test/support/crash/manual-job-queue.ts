import type pg from 'pg';
import { type SubmitJob } from '../../../src/core/primitives/jobs.js';

/** Locks, completes and releases submit-task jobs with the same statements as graphile-worker, but only when a test says so. */
export class ManualJobQueue {
  constructor(private readonly sql: pg.Pool) {}

  /** Locks a job that is due. `index` picks one of them, modulo their number. */
  async lockNextJob(index: number): Promise<SubmitJob | null> {
    const { rows } = await this.sql.query<SubmitJob>(
      `WITH due AS (
         SELECT job.id FROM graphile_worker._private_jobs job
         JOIN graphile_worker._private_tasks name ON name.id = job.task_id
         WHERE name.identifier = 'submit-task' AND is_available AND run_at <= now())
       UPDATE graphile_worker._private_jobs SET attempts = attempts + 1, locked_by = 'model', locked_at = now()
       WHERE id = (
         SELECT id FROM graphile_worker._private_jobs WHERE id IN (SELECT id FROM due) AND is_available
         ORDER BY id OFFSET $1 % (SELECT greatest(count(*), 1) FROM due) LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, attempts AS "runNumber", payload->>'taskId' AS "taskId"`,
      [index],
    );
    return rows[0] ?? null;
  }

  /** Deletes a job whose run returned. Like graphile-worker, it does not check which run that was. */
  async complete({ id }: SubmitJob): Promise<void> {
    await this.sql.query('DELETE FROM graphile_worker._private_jobs WHERE id = $1', [id]);
  }

  /** Unlocks a job whose run threw, or whose process counts as dead. */
  async release({ id, runNumber }: SubmitJob): Promise<void> {
    await this.sql.query(
      `UPDATE graphile_worker._private_jobs SET locked_by = NULL, locked_at = NULL WHERE id = $1 AND attempts = $2`,
      [id, runNumber],
    );
  }

  /** Makes every postponed task and job due now, and forgets what the upstream has refused. */
  async makeAllDue(): Promise<void> {
    await this.sql.query(
      `WITH tickets AS (UPDATE graphile_worker._private_jobs SET run_at = now() WHERE run_at > now()),
         pace AS (UPDATE submission_pace SET kind = NULL, rate = NULL, failure = NULL, paused_until = NULL)
       UPDATE tasks SET not_before = now() WHERE not_before > now()`,
    );
  }

  async clear(): Promise<void> {
    await this.sql.query('DELETE FROM graphile_worker._private_jobs');
  }
}
