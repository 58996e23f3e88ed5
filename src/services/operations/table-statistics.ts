import { type Logger } from 'pino';
import { type CatalogRepository } from '../../db/postgres/catalog-repository.js';

/**
 * Keeps the statistics of tables that grow fast. PostgreSQL keeps the plans of statements until their tables are analyzed. A plan
 * that was made while a table was nearly empty reads all its rows each time: with 55,000 tasks, a list takes seconds. Autovacuum
 * analyzes once a minute at most.
 */
export class TableStatistics {
  constructor(private readonly deps: { catalog: CatalogRepository; log: Logger }) {}

  /**
   * Analyzes each table that has outgrown its statistics. Leaves out one that another session has locked. Never throws: autovacuum
   * does the same, later.
   */
  async analyzeGrown(signal: AbortSignal): Promise<void> {
    const { catalog, log } = this.deps;
    const names: string[] = [];
    try {
      while (!signal.aborted) {
        const name = await catalog.analyzeGrownTable(names);
        if (name === null) return;
        names.push(name);
      }
    } catch (error) {
      log.warn(
        { err: error, analyzed: names },
        'could not analyze the tables that have grown; autovacuum will',
      );
    }
  }
}
