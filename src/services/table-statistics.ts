import { type CatalogRepository } from '../db/postgres/catalog-repository.js';

/**
 * Keeps the statistics of tables that grow fast. PostgreSQL keeps the plans of statements until their tables are analyzed. A plan
 * that was made while a table was nearly empty reads all its rows each time: with 300,000 tasks, a list takes seconds. Autovacuum
 * analyzes once a minute at most.
 */
export class TableStatistics {
  constructor(private readonly deps: { catalog: CatalogRepository }) {}

  /** Analyzes each table that has outgrown its statistics. Leaves out one that another session has locked. */
  async analyzeGrown(signal: AbortSignal): Promise<void> {
    const names = new Set<string | null>([null]);
    for (;;) {
      const name = await this.deps.catalog.analyzeGrownTable();
      if (names.has(name) || signal.aborted) return;
      names.add(name);
    }
  }
}
