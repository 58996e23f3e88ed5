import { type Database } from '../postgres/database.js';

/** The workspace, API key and end user that a task counts for. */
export interface TaskOwner {
  workspaceId: string;
  keyId: string;
  endUserId: string | null;
}

/** How many tasks may be in flight. Null: unlimited. */
export interface InFlightLimits {
  key: number | null;
  endUser: number | null;
  workspace: number | null;
}

const ACQUIRE = {
  name: 'acquire-in-flight-lease',
  text: `SELECT acquire_in_flight_lease($1, $2, $3, $4, $5, $6, $7) AS "exceededLimit"`,
};
const RELEASE = { name: 'release-in-flight-lease', text: 'DELETE FROM in_flight_leases WHERE task_id = $1' };

/** The rows of `in_flight_leases`. The limits are exact even when several instances insert tasks at the same time. */
export class InFlightRepository {
  constructor(private readonly db: Database) {}

  /** Reserves room for a task that is about to be inserted. Null when there is room, otherwise the limit that is used up. */
  async acquire(
    taskId: string,
    owner: TaskOwner,
    limits: InFlightLimits,
  ): Promise<keyof InFlightLimits | null> {
    const { workspaceId, keyId, endUserId } = owner;
    const { key, endUser, workspace } = limits;
    const values = [taskId, workspaceId, keyId, endUserId, key, endUser, workspace];
    const [row] = await this.db.run<{ exceededLimit: keyof InFlightLimits | null }>(ACQUIRE, values);
    return row?.exceededLimit ?? null;
  }

  /** Gives the room back when the task was not inserted after all. */
  async release(taskId: string): Promise<void> {
    await this.db.run(RELEASE, [taskId]);
  }
}
