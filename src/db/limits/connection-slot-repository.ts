import { type Database } from '../postgres/database.js';

/** What an instance asks for of one subject: whose connections are limited. */
export interface PlacesAsked {
  subject: string;
  /** Connections that it has open: it keeps a place for each, whatever the limit. */
  open: number;
  wanted: number;
  limit: number;
}

const BEAT = {
  name: 'beat-of-holder',
  text: `
  UPDATE connection_holders SET until = clock_timestamp() + make_interval(secs => $2 / 1000.0)
  WHERE id = $1 RETURNING id`,
};
const JOIN = {
  name: 'join-holders',
  text: `
  INSERT INTO connection_holders (id, until) VALUES ($1, clock_timestamp() + make_interval(secs => $2 / 1000.0))
  ON CONFLICT (id) DO UPDATE SET until = excluded.until`,
};
/** After another lease, so that those come back first who only could not say that they live. */
const BURY = {
  name: 'bury-holders',
  text: `
  DELETE FROM connection_holders WHERE id IN (
    SELECT id FROM connection_holders WHERE until < clock_timestamp() - make_interval(secs => $1 / 1000.0)
    FOR UPDATE SKIP LOCKED)`,
};
const LEAVE = { name: 'leave-holders', text: 'DELETE FROM connection_holders WHERE id = $1' };
const HOLD = {
  name: 'hold-connections',
  text: 'SELECT name, held FROM hold_connections($1, $2, $3, $4, $5)',
};

/** The rows of `connection_holders` and `connection_places`: how many connections which instance may have open. */
export class ConnectionPlaces {
  constructor(private readonly db: Database) {}

  /**
   * Takes or gives back places of several subjects, in one commit; what the instance holds of each then. Null: its lease has
   * ended, or it has none yet.
   */
  async hold(holderId: string, asked: readonly PlacesAsked[]): Promise<Map<string, number> | null> {
    const rows = await this.db.run<{ name: string; held: number }>(HOLD, [
      holderId,
      asked.map(({ subject }) => subject),
      asked.map(({ open }) => open),
      asked.map(({ wanted }) => wanted),
      asked.map(({ limit }) => limit),
    ]);
    return rows.length === 0 ? null : new Map(rows.map(({ name, held }) => [name, held]));
  }

  /** Says that the instance is alive; false when others have given it up, and its places with it. */
  async beat(holderId: string, leaseMs: number): Promise<boolean> {
    return (await this.db.run(BEAT, [holderId, leaseMs])).length > 0;
  }

  /** The same of one that is new, or was given up. */
  async join(holderId: string, leaseMs: number): Promise<void> {
    await this.db.run(JOIN, [holderId, leaseMs]);
  }

  /** Removes the rows of those whose lease ended more than `leaseMs` ago. */
  async bury(leaseMs: number): Promise<void> {
    await this.db.run(BURY, [leaseMs]);
  }

  /** Gives back all that it holds. */
  async leave(holderId: string): Promise<void> {
    await this.db.run(LEAVE, [holderId]);
  }
}
