import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** What an instance wants of a rate limit: up to `requested` of `limit` for each `windowMs`. */
export interface RateLimitRequest {
  key: string;
  requested: number;
  limit: number;
  windowMs: number;
}

/** What an instance was granted of a rate limit. */
export interface RateLimitGrant {
  /** Amount that this instance may use. 0: the limit of this window is used up. */
  granted: number;
  /** Amount granted to all instances in this window, including this grant. */
  totalGranted: number;
  /** Time until the window ends, by the clock of PostgreSQL, because the clocks of instances can differ. */
  remainingMs: number;
  windowEndsAt: Date;
}

/** Grants no more than what is left of the window. When the window has ended, a new one begins with the whole limit. */
const ACQUIRE = statement<RateLimitRequest, RateLimitGrant>(
  'acquire-rate-limit',
  `
  INSERT INTO rate_limit_windows AS old (key, ends_at, total_granted, last_granted)
  SELECT :key, date_bin(length, clock_timestamp(), 'epoch') + length, least(:requested::int, :limit::int), least(:requested::int, :limit::int)
  FROM (SELECT make_interval(secs => :windowMs / 1000.0) AS length) AS time
  ON CONFLICT (key) DO UPDATE SET
    last_granted = CASE WHEN old.ends_at < excluded.ends_at THEN excluded.last_granted
                        ELSE greatest(0, least(:requested::int, :limit::int - old.total_granted)) END,
    total_granted = CASE WHEN old.ends_at < excluded.ends_at THEN excluded.last_granted
                         ELSE old.total_granted + greatest(0, least(:requested::int, :limit::int - old.total_granted)) END,
    ends_at = greatest(old.ends_at, excluded.ends_at)
  RETURNING last_granted AS granted, total_granted AS "totalGranted",
            extract(epoch FROM ends_at - clock_timestamp())::float8 * 1000 AS "remainingMs", ends_at AS "windowEndsAt"`,
);

/** An ended window says nothing that a missing one does not. The hour only keeps windows out of the way that are still in use. */
const DELETE_ENDED = statement<{ limit: number }, { key: string }>(
  'delete-ended-rate-limit-windows',
  `
  DELETE FROM rate_limit_windows WHERE key IN (
    SELECT key FROM rate_limit_windows WHERE ends_at < clock_timestamp() - interval '1 hour'
    ORDER BY ends_at LIMIT :limit FOR UPDATE SKIP LOCKED)
  RETURNING key`,
);

/** The rows of `rate_limit_windows`: how much of each rate limit all instances together have been granted. */
export class RateLimitRepository {
  constructor(private readonly db: Database) {}

  async acquire(request: RateLimitRequest): Promise<RateLimitGrant> {
    const [row] = await this.db.query(ACQUIRE, request);
    if (!row) throw new Error('Acquiring from a rate limit returned no row.');
    return row;
  }

  /** Deletes up to `limit` windows that ended more than an hour ago. Returns their number. */
  async deleteEnded(limit: number): Promise<number> {
    return (await this.db.query(DELETE_ENDED, { limit })).length;
  }
}
