import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../core/errors.js';

/** Between tries: quick at first, then once a second. */
const DELAYS_MS = [100, 250, 500];
const LAST_DELAY_MS = 1_000;
/** Longer than a restart of Postgres, or its moving to another machine. */
const PATIENCE_MS = 120_000;

/**
 * Writes down what the upstream has just said, also when Postgres is away for a while: what was paid for must not be
 * forgotten because of a restart. Throws DatabaseUnavailable when it stays away for
 * `patienceMs` (two minutes).
 */
export async function persistently<Result>(
  write: () => Promise<Result>,
  log: Logger,
  patienceMs = PATIENCE_MS,
): Promise<Result> {
  const start = Date.now();
  for (let attempt = 0; ; attempt += 1) {
    const delayMs = DELAYS_MS[attempt] ?? LAST_DELAY_MS;
    try {
      return await write();
    } catch (error) {
      const isOver = Date.now() + delayMs - start > patienceMs;
      if (!(error instanceof DatabaseUnavailable) || isOver) throw error;
      log.warn({ delayMs }, 'the database is away while a result waits to be written down; trying again');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}
