import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/**
 * A lease that ends later than any lease can was written by a server whose clock was ahead, before a failover. It has expired.
 * The margin is longer than any extension.
 */
const MARGIN_MS = 10_000;

const ACQUIRE = statement<{ name: string; durationMs: number }>(
  'acquire-lease',
  `
  INSERT INTO leases (name, expires_at) VALUES (:name, now() + make_interval(secs => :durationMs / 1000.0))
  ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
  WHERE leases.expires_at <= now() OR leases.expires_at > now() + make_interval(secs => (:durationMs + ${MARGIN_MS}) / 1000.0)
  RETURNING name`,
);
const EXTEND = statement<{ name: string; durationMs: number }>(
  'extend-lease',
  `
  UPDATE leases SET expires_at = greatest(expires_at, now() + make_interval(secs => :durationMs / 1000.0))
  WHERE name = :name`,
);

/** The rows of `leases`: periodic work that one instance does for all. */
export class LeaseRepository {
  constructor(private readonly db: Database) {}

  /** Whether this instance got the lease. No instance gets it again for `durationMs`. */
  async acquire(name: string, durationMs: number): Promise<boolean> {
    return (await this.db.query(ACQUIRE, { name, durationMs })).length > 0;
  }

  /** Makes the lease last for at least `durationMs` from now, up to MARGIN_MS. */
  async extend(name: string, durationMs: number): Promise<void> {
    await this.db.query(EXTEND, { name, durationMs });
  }
}
