import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../core/errors.js';

/** Milliseconds between tries, the last one repeated: about two minutes in all, longer than a restart of Postgres. */
const DELAYS_MS = [100, 250, 500, ...Array.from({ length: 115 }, () => 1_000)];

/**
 * Writes down what the upstream has just said, also when Postgres is away for a while: what was paid for must not be
 * forgotten because of a restart. Throws DatabaseUnavailable when it stays away.
 */
export async function persistently<Result>(write: () => Promise<Result>, log: Logger): Promise<Result> {
  for (const delayMs of DELAYS_MS) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      log.warn({ delayMs }, 'the database is away while a result waits to be written down; trying again');
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
  return write();
}
