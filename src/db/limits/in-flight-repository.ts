import { type Task } from '../../core/tasks/task.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** The workspace, API key and end user that a task counts for. */
type TaskOwner = Pick<Task, 'workspaceId' | 'endUserId'> & { keyLineageId: string };

/** How many tasks may be in flight. Null: unlimited. */
type InFlightLimits = Record<'key' | 'endUser' | 'workspace', number | null>;

const ACQUIRE = statement<
  { taskId: string } & TaskOwner & InFlightLimits,
  { exceededLimit: keyof InFlightLimits | null }
>(
  'acquire-in-flight-lease',
  `
  SELECT acquire_in_flight_lease(:taskId, :workspaceId, :keyLineageId, :endUserId, :key, :endUser, :workspace) AS "exceededLimit"`,
);
const RELEASE = statement<{ taskId: string }>(
  'release-in-flight-lease',
  'DELETE FROM in_flight_leases WHERE task_id = :taskId',
);
const DELETE_EXPIRED = statement<{ limit: number }, { taskId: string }>(
  'delete-expired-in-flight-leases',
  `
  DELETE FROM in_flight_leases WHERE task_id IN (
    SELECT task_id FROM in_flight_leases WHERE expires_at <= clock_timestamp()
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED)
  RETURNING task_id AS "taskId"`,
);

/** The rows of `in_flight_leases`. The limits are exact even when several instances insert tasks at the same time. */
export class InFlightRepository {
  constructor(private readonly db: Database) {}

  /** Reserves room for a task that is about to be inserted. Null when there is room, otherwise the limit that is used up. */
  async acquire(
    taskId: string,
    owner: TaskOwner,
    limits: InFlightLimits,
  ): Promise<keyof InFlightLimits | null> {
    const [row] = await this.db.query(ACQUIRE, { taskId, ...owner, ...limits });
    return row?.exceededLimit ?? null;
  }

  /** Gives the room back when the task was not inserted after all. */
  async release(taskId: string): Promise<void> {
    await this.db.query(RELEASE, { taskId });
  }

  /** Deletes up to `limit` leases that have expired. Returns their number. */
  async deleteExpired(limit: number): Promise<number> {
    return (await this.db.query(DELETE_EXPIRED, { limit })).length;
  }
}
