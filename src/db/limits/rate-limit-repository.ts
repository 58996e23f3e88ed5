import { type Database } from '../postgres/database.js';

/** What an instance was given of an allowance. */
export interface Grant {
  /** How much may be used by this instance; 0: all of it has been given away. */
  granted: number;
  /** Of all instances together, this grant included. */
  given: number;
  /** Until the allowance is renewed, by the clock of Postgres: those of instances may differ. */
  leftMs: number;
  /** When it is renewed. */
  endsAt: Date;
}

/** Gives no more than what is left. Where the time is over, everything is there again. */
const TAKE = {
  name: 'take-allowance',
  text: `
  INSERT INTO allowances AS old (name, ends_at, given, granted)
  SELECT $1, date_bin(length, clock_timestamp(), 'epoch') + length, least($2::int, $3::int), least($2::int, $3::int)
  FROM (SELECT make_interval(secs => $4 / 1000.0) AS length) AS time
  ON CONFLICT (name) DO UPDATE SET
    granted = CASE WHEN old.ends_at < excluded.ends_at THEN excluded.granted
                   ELSE greatest(0, least($2::int, $3::int - old.given)) END,
    given = CASE WHEN old.ends_at < excluded.ends_at THEN excluded.granted
                 ELSE old.given + greatest(0, least($2::int, $3::int - old.given)) END,
    ends_at = greatest(old.ends_at, excluded.ends_at)
  RETURNING granted, given, extract(epoch FROM ends_at - clock_timestamp())::float8 * 1000 AS "leftMs",
            ends_at AS "endsAt"`,
};

/** The rows of `allowances`: what may be done in a time, by all instances together. */
export class Allowances {
  constructor(private readonly db: Database) {}

  /** Up to `chunk` of an allowance of `limit` for each `windowMs`. */
  async take(name: string, chunk: number, limit: number, windowMs: number): Promise<Grant> {
    const [row] = await this.db.run<Grant>(TAKE, [name, chunk, limit, windowMs]);
    if (!row) throw new Error('The allowance gave no row.');
    return row;
  }
}
