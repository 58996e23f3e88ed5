import { type Database } from '../postgres/database.js';

/** The slots that an instance requests for one subject: the key, token, end user or workspace whose connections are limited. */
export interface SlotRequest {
  subject: string;
  /** The instance keeps a slot for each open connection, whatever the limit. */
  openConnections: number;
  wantedSlots: number;
  maxSlots: number;
}

const RENEW = {
  name: 'renew-connection-lease',
  text: `
  UPDATE connection_leases SET expires_at = clock_timestamp() + make_interval(secs => $2 / 1000.0)
  WHERE id = $1 RETURNING id`,
};
const CREATE = {
  name: 'create-connection-lease',
  text: `
  INSERT INTO connection_leases (id, expires_at) VALUES ($1, clock_timestamp() + make_interval(secs => $2 / 1000.0))
  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`,
};
/** Waits for the length of another lease, so that an instance that was only slow to renew gets its slots back. */
const DELETE_EXPIRED = {
  name: 'delete-expired-connection-leases',
  text: `
  DELETE FROM connection_leases WHERE id IN (
    SELECT id FROM connection_leases WHERE expires_at < clock_timestamp() - make_interval(secs => $1 / 1000.0)
    FOR UPDATE SKIP LOCKED)`,
};
const RELEASE = { name: 'release-connection-lease', text: 'DELETE FROM connection_leases WHERE id = $1' };
const ADJUST = {
  name: 'adjust-connection-slots',
  text: `SELECT slot_subject AS subject, granted_slots AS slots FROM adjust_connection_slots($1, $2, $3, $4, $5)`,
};

/** The rows of `connection_leases` and `connection_slots`: how many connections each instance may have open. */
export class ConnectionSlotRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes or gives back slots of several subjects in one commit, and returns the slots that the instance holds afterwards, by
   * subject. Null when its lease has expired or does not exist yet.
   */
  async adjustSlots(leaseId: string, requests: readonly SlotRequest[]): Promise<Map<string, number> | null> {
    const rows = await this.db.run<{ subject: string; slots: number }>(ADJUST, [
      leaseId,
      requests.map(({ subject }) => subject),
      requests.map(({ openConnections }) => openConnections),
      requests.map(({ wantedSlots }) => wantedSlots),
      requests.map(({ maxSlots }) => maxSlots),
    ]);
    return rows.length === 0 ? null : new Map(rows.map(({ subject, slots }) => [subject, slots]));
  }

  /** Renews the lease of an instance. False when the lease was deleted, and its slots with it. */
  async renewLease(leaseId: string, leaseMs: number): Promise<boolean> {
    return (await this.db.run(RENEW, [leaseId, leaseMs])).length > 0;
  }

  /** Creates the lease of an instance that is new, or whose lease was deleted. */
  async createLease(leaseId: string, leaseMs: number): Promise<void> {
    await this.db.run(CREATE, [leaseId, leaseMs]);
  }

  /** Deletes leases that expired more than `leaseMs` ago, with their slots. */
  async deleteExpiredLeases(leaseMs: number): Promise<void> {
    await this.db.run(DELETE_EXPIRED, [leaseMs]);
  }

  /** Gives back all slots of an instance. */
  async releaseLease(leaseId: string): Promise<void> {
    await this.db.run(RELEASE, [leaseId]);
  }
}
