import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** The slots that an instance requests for one subject: the key, token, end user or workspace whose connections are limited. */
export interface SlotRequest {
  subject: string;
  /** The instance keeps a slot for each open connection, whatever the limit. */
  openConnections: number;
  wantedSlots: number;
  maxSlots: number;
}

const RENEW = statement<{ leaseId: string; leaseMs: number }>(
  'renew-connection-lease',
  `
  UPDATE connection_leases SET expires_at = clock_timestamp() + make_interval(secs => :leaseMs / 1000.0)
  WHERE id = :leaseId RETURNING id`,
);
const CREATE = statement<{ leaseId: string; leaseMs: number }>(
  'create-connection-lease',
  `
  INSERT INTO connection_leases (id, expires_at)
  VALUES (:leaseId, clock_timestamp() + make_interval(secs => :leaseMs / 1000.0))
  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`,
);
/** Waits for the length of another lease, so that an instance that was only slow to renew gets its slots back. */
const DELETE_EXPIRED = statement<{ leaseMs: number }>(
  'delete-expired-connection-leases',
  `
  DELETE FROM connection_leases WHERE id IN (
    SELECT id FROM connection_leases WHERE expires_at < clock_timestamp() - make_interval(secs => :leaseMs / 1000.0)
    FOR UPDATE SKIP LOCKED)`,
);
const ADJUST = statement<ReturnType<typeof adjustParameters>, { subject: string; slots: number }>(
  'adjust-connection-slots',
  `
  SELECT slot_subject AS subject, granted_slots AS slots
  FROM adjust_connection_slots(:leaseId, :subjects, :openConnections, :wantedSlots, :maxSlots)`,
);

function adjustParameters(leaseId: string, requests: readonly SlotRequest[]) {
  return {
    leaseId,
    subjects: requests.map(({ subject }) => subject),
    openConnections: requests.map(({ openConnections }) => openConnections),
    wantedSlots: requests.map(({ wantedSlots }) => wantedSlots),
    maxSlots: requests.map(({ maxSlots }) => maxSlots),
  };
}

/** The rows of `connection_leases` and `connection_slots`: how many connections each instance may have open. */
export class ConnectionSlotRepository {
  constructor(private readonly db: Database) {}

  /**
   * Takes or gives back slots of several subjects in one commit, and returns the slots that the instance holds afterwards, by
   * subject. Null when its lease has expired or does not exist yet.
   */
  async adjustSlots(leaseId: string, requests: readonly SlotRequest[]): Promise<Map<string, number> | null> {
    const rows = await this.db.query(ADJUST, adjustParameters(leaseId, requests));
    return rows.length === 0 ? null : new Map(rows.map(({ subject, slots }) => [subject, slots]));
  }

  /** Renews the lease of an instance. False when the lease was deleted, and its slots with it. */
  async renewLease(leaseId: string, leaseMs: number): Promise<boolean> {
    return (await this.db.query(RENEW, { leaseId, leaseMs })).length > 0;
  }

  /** Creates the lease of an instance that is new, or whose lease was deleted. */
  async createLease(leaseId: string, leaseMs: number): Promise<void> {
    await this.db.query(CREATE, { leaseId, leaseMs });
  }

  /** Deletes leases that expired more than `leaseMs` ago, with their slots. */
  async deleteExpiredLeases(leaseMs: number): Promise<void> {
    await this.db.query(DELETE_EXPIRED, { leaseMs });
  }

  /** Gives back all slots of an instance. */
  async releaseLease(leaseId: string): Promise<void> {
    await this.db.prisma.connectionLease.deleteMany({ where: { id: leaseId } });
  }
}
