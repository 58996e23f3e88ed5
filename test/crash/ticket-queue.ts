import type pg from 'pg';
import { type Ticket } from '../../src/core/jobs.js';

/** What the queue does with tickets, in its own words, without its clock: a test decides when. */
export class TicketQueue {
  constructor(private readonly sql: pg.Pool) {}

  /** Locks one that waits for a run and is due, counted round by `on`. */
  async take(on: number): Promise<Ticket | null> {
    const { rows } = await this.sql.query<Ticket>(
      `UPDATE graphile_worker._private_jobs SET attempts = attempts + 1, locked_by = 'model', locked_at = now()
       WHERE id = (
         WITH due AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS all
                      FROM graphile_worker.jobs
                      WHERE task_identifier = 'submit-task' AND locked_by IS NULL AND run_at <= now())
         SELECT id FROM due WHERE place = $1 % "all")
       RETURNING id, attempts AS attempt, payload->>'taskId' AS "taskId"`,
      [on],
    );
    return rows[0] ?? null;
  }

  /** Its run has returned. The queue does not ask whose run. */
  async complete({ id }: Ticket): Promise<void> {
    await this.sql.query('DELETE FROM graphile_worker._private_jobs WHERE id = $1', [id]);
  }

  /** Its run has thrown, or its process is taken for dead. */
  async handBack({ id, attempt }: Ticket): Promise<void> {
    await this.sql.query(
      `UPDATE graphile_worker._private_jobs SET locked_by = NULL, locked_at = NULL WHERE id = $1 AND attempts = $2`,
      [id, attempt],
    );
  }

  /** The time comes of everything that was put off, tasks and tickets alike. */
  async letTimePass(): Promise<void> {
    await this.sql.query(
      `WITH tickets AS (UPDATE graphile_worker._private_jobs SET run_at = now() WHERE run_at > now())
       UPDATE tasks SET not_before = now() WHERE not_before > now()`,
    );
  }

  async clear(): Promise<void> {
    await this.sql.query('DELETE FROM graphile_worker._private_jobs');
  }
}
