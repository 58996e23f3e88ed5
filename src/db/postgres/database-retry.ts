import { handleType, IterableBackoff, retry } from 'cockatiel';
import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../../core/errors.js';

/** The last one repeats. */
const RETRY_DELAYS_MS = [100, 250, 500, 1_000];
const MAX_RETRY_DELAY_MS = 1_000;
/** Longer than a restart or a failover of PostgreSQL takes. */
const MAX_RETRY_MS = 120_000;

/**
 * Retries `write` while PostgreSQL is unavailable, so that a restart does not lose what the upstream has just answered and
 * will bill. Throws DatabaseUnavailable after `maxRetryMs` (default: two minutes), and any other error at once.
 */
export function retryUntilDatabaseReturns<Result>(
  write: () => Promise<Result>,
  log: Logger,
  maxRetryMs = MAX_RETRY_MS,
): Promise<Result> {
  const lastRetryAt = performance.now() + maxRetryMs - MAX_RETRY_DELAY_MS;
  const policy = retry(
    handleType(DatabaseUnavailable, () => performance.now() <= lastRetryAt),
    { backoff: new IterableBackoff(RETRY_DELAYS_MS) },
  );
  policy.onRetry(({ delay: delayMs }) =>
    log.warn({ delayMs }, 'the database is unavailable; retrying a write'),
  );
  return policy.execute(write);
}
