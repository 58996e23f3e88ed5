import { type Database } from './database.js';

const BEAT = {
  name: 'beat',
  text: `INSERT INTO instances (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET beat_at = now()`,
};
const HAND_BACK = {
  name: 'hand-back-jobs',
  text: `
  WITH dead AS (
    DELETE FROM instances WHERE beat_at < now() - make_interval(secs => $1 / 1000.0) RETURNING id
  ), unknown AS (
    -- A queue that was stopped for a while, given up, and went on: it took jobs, and died before it beat again.
    SELECT DISTINCT locked_by AS id FROM graphile_worker.jobs
    WHERE locked_at < now() - make_interval(secs => $1 / 1000.0)
      AND NOT EXISTS (SELECT FROM instances WHERE instances.id = locked_by)
  ), lost AS (
    SELECT id FROM dead UNION SELECT id FROM unknown
  ), handed_back AS (
    SELECT graphile_worker.force_unlock_workers(array_agg(id)) FROM lost HAVING count(*) > 0
  )
  SELECT lost.id FROM lost WHERE EXISTS (SELECT FROM handed_back)`,
};
const HELD = {
  name: 'jobs-held-by-queue',
  text: `SELECT id FROM graphile_worker.jobs
         WHERE locked_by = $1 AND locked_at < now() - make_interval(secs => $2 / 1000.0)`,
};
const LEAVE = { name: 'leave', text: 'DELETE FROM instances WHERE id = $1' };

/** The rows of `instances`: which queues are alive. */
export class Instances {
  constructor(private readonly db: Database) {}

  /** Says that the queue with this id is alive now. */
  async beat(id: string): Promise<void> {
    await this.db.run(BEAT, [id]);
  }

  /**
   * Frees the jobs of queues that have not said so for `olderThanMs`, and those that a queue without a row has held for as
   * long, so that others run them; the ids of these queues.
   */
  async handBackJobsOfDead(olderThanMs: number): Promise<string[]> {
    return (await this.db.run<{ id: string }>(HAND_BACK, [olderThanMs])).map(({ id }) => id);
  }

  /** The jobs that a queue has held for `olderThanMs`. */
  async jobsHeldBy(id: string, olderThanMs: number): Promise<string[]> {
    return (await this.db.run<{ id: string }>(HELD, [id, olderThanMs])).map((job) => job.id);
  }

  /** Says that the queue with this id has ended in order and holds no jobs. */
  async leave(id: string): Promise<void> {
    await this.db.run(LEAVE, [id]);
  }
}
