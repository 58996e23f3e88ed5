import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../core/errors.js';

/** Delays before the first retries. Later ones follow after MAX_RETRY_DELAY_MS. */
const RETRY_DELAYS_MS = [100, 250, 500];
const MAX_RETRY_DELAY_MS = 1_000;
/** Longer than a restart or a failover of PostgreSQL takes. */
const MAX_RETRY_MS = 120_000;

/**
 * Retries `write` while PostgreSQL is away, so that a restart does not lose what the upstream has just answered and
 * will bill. Throws DatabaseUnavailable after `maxRetryMs` (default: two minutes), and any other error at once.
 */
export async function retryUntilDatabaseReturns<Result>(
  write: () => Promise<Result>,
  log: Logger,
  maxRetryMs = MAX_RETRY_MS,
): Promise<Result> {
  const start = Date.now();
  for (let attempt = 0; ; attempt += 1) {
    const delayMs = RETRY_DELAYS_MS[attempt] ?? MAX_RETRY_DELAY_MS;
    try {
      return await write();
    } catch (error) {
      const isTimedOut = Date.now() + delayMs - start > maxRetryMs;
      if (!(error instanceof DatabaseUnavailable) || isTimedOut) throw error;
      log.warn({ delayMs }, 'the database is unavailable; retrying a write');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}
