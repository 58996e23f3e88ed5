import { type Database } from './database.js';

const TAKE = {
  name: 'take-lease',
  text: `
  INSERT INTO leases (name, until) VALUES ($1, now() + make_interval(secs => $2 / 1000.0))
  ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE leases.until <= now()
  RETURNING name`,
};
const EXTEND = {
  name: 'extend-lease',
  text: `UPDATE leases SET until = greatest(until, now() + make_interval(secs => $2 / 1000.0)) WHERE name = $1`,
};

/** The rows of `leases`: what all instances together do only so often. */
export class Leases {
  constructor(private readonly db: Database) {}

  /** Whether it is ours to do now; then nobody has it again for `forMs`. */
  async take(name: string, forMs: number): Promise<boolean> {
    return (await this.db.run(TAKE, [name, forMs])).length > 0;
  }

  /** Nobody has it for at least `forMs` from now. */
  async rest(name: string, forMs: number): Promise<void> {
    await this.db.run(EXTEND, [name, forMs]);
  }
}
