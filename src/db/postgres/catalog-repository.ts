import { type Database } from './database.js';
import { statement } from './statement.js';

/** Identity columns have sequences too. A sequence of the queue that has run out would fail every creation of a task. */
const FIND_SEQUENCES_RUNNING_OUT = statement<{ percent: number }, { name: string; usedPercent: number }>(
  'find-sequences-running-out',
  `
  SELECT schemaname || '.' || sequencename AS name, floor(100.0 * last_value / max_value)::int AS "usedPercent"
  FROM pg_sequences WHERE 100.0 * last_value / max_value >= :percent ORDER BY 2 DESC, 1`,
);
/** A table of a million rows takes about two seconds. */
const ANALYZE_GROWN_TABLE = statement<{ without: readonly string[] }, { name: string | null }>(
  'analyze-grown-table',
  'SELECT analyze_grown_table(:without::text[]) AS name',
  { timeoutMs: 60_000 },
);

/** What PostgreSQL knows about the sequences and tables of the database, including those of the queue. */
export class CatalogRepository {
  constructor(private readonly db: Database) {}

  /** Sequences of which at least `percent` of the values are used. */
  async findSequencesRunningOut(percent: number): Promise<{ name: string; usedPercent: number }[]> {
    return this.db.query(FIND_SEQUENCES_RUNNING_OUT, { percent });
  }

  /**
   * Analyzes the table that has changed most of those whose rows have doubled since they were analyzed, without those given.
   * Returns its name. Null if there is none.
   */
  async analyzeGrownTable(without: readonly string[]): Promise<string | null> {
    const [row] = await this.db.query(ANALYZE_GROWN_TABLE, { without });
    return row?.name ?? null;
  }
}
