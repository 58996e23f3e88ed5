import { type Database } from './database.js';
import { statement } from './statement.js';

/** Identity columns have sequences too. A sequence of the queue that has run out would fail every creation of a task. */
const FIND_SEQUENCES_RUNNING_OUT = statement<{ percent: number }, { name: string; usedPercent: number }>(
  'find-sequences-running-out',
  `
  SELECT schemaname || '.' || sequencename AS name, floor(100.0 * last_value / max_value)::int AS "usedPercent"
  FROM pg_sequences WHERE 100.0 * last_value / max_value >= :percent ORDER BY 2 DESC, 1`,
);

/** The sequences of the database, including those of the queue. */
export class SequenceRepository {
  constructor(private readonly db: Database) {}

  /** Sequences of which at least `percent` of the values are used. */
  async findRunningOut(percent: number): Promise<{ name: string; usedPercent: number }[]> {
    return this.db.query(FIND_SEQUENCES_RUNNING_OUT, { percent });
  }
}
