import type pg from 'pg';
import { type Ticket } from '../../../src/core/jobs.js';

/** What the queue does with tickets, in its own words, without its clock: a test decides when. */
export class TicketQueue {
  constructor(private readonly sql: pg.Pool) {}

  /** Locks one that waits for a run and is due, counted round by `on`. */
  async take(on: number): Promise<Ticket | null> {
    const { rows } = await this.sql.query<Ticket>(
      `WITH due AS (
         SELECT job.id FROM graphile_worker._private_jobs job
         JOIN graphile_worker._private_tasks name ON name.id = job.task_id
         WHERE name.identifier = 'submit-task' AND is_available AND run_at <= now())
       UPDATE graphile_worker._private_jobs SET attempts = attempts + 1, locked_by = 'model', locked_at = now()
       WHERE id = (
         SELECT id FROM graphile_worker._private_jobs WHERE id IN (SELECT id FROM due) AND is_available
         ORDER BY id OFFSET $1 % (SELECT greatest(count(*), 1) FROM due) LIMIT 1 FOR UPDATE SKIP LOCKED)
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
