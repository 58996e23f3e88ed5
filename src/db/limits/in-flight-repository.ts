import { type Database } from '../postgres/database.js';

/** Whom a task is for. */
export interface FlightOwner {
  workspaceId: string;
  keyId: string;
  endUserId: string | null;
}

/** How many tasks may be in flight; null: any number. */
export interface FlightLimits {
  key: number | null;
  endUser: number | null;
  workspace: number | null;
}

const HOLD = {
  name: 'hold-flight',
  text: 'SELECT hold_flight($1, $2, $3, $4, $5, $6, $7) AS refused',
};
const RELEASE = { name: 'release-flight', text: 'DELETE FROM flight_holds WHERE task_id = $1' };

/** Places among the tasks in flight. Exact, also when several instances ask at once. */
export class Flights {
  constructor(private readonly db: Database) {}

  /** Keeps a place for a task that is about to be written; null, or whose limit is used up. */
  async hold(taskId: string, owner: FlightOwner, limits: FlightLimits): Promise<keyof FlightLimits | null> {
    const { workspaceId, keyId, endUserId } = owner;
    const { key, endUser, workspace } = limits;
    const values = [taskId, workspaceId, keyId, endUserId, key, endUser, workspace];
    const [row] = await this.db.run<{ refused: keyof FlightLimits | null }>(HOLD, values);
    return row?.refused ?? null;
  }

  /** For a task that was not written after all. */
  async release(taskId: string): Promise<void> {
    await this.db.run(RELEASE, [taskId]);
  }
}
