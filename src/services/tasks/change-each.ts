import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../../core/errors.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';

interface ChangeEachOptions<Item> {
  change: (item: Item) => Promise<unknown>;
  /** Resolves when PostgreSQL responds. Must not touch the rows of the items. */
  ping: () => Promise<unknown>;
  /** Called for a task that could not be changed. */
  onFailure?: (item: Item) => void;
  log: Logger;
}

/**
 * Changes tasks one after another. A task that cannot be changed, because of its data or because its row stays locked, is logged
 * and keeps no other task from being changed. While PostgreSQL is away, waits for it, and throws DatabaseUnavailable after two
 * minutes.
 */
export async function changeEach<Item extends { id: string }>(
  items: readonly Item[],
  { change, ping, onFailure, log }: ChangeEachOptions<Item>,
): Promise<void> {
  for (const item of items) {
    let error = await errorOf(change(item));
    if (error instanceof DatabaseUnavailable) {
      await retryUntilDatabaseReturns(ping, log);
      error = await errorOf(change(item));
    }
    if (error === undefined) continue;
    log.error({ err: error, taskId: item.id }, 'a task could not be changed; the others go on');
    onFailure?.(item);
  }
}

/** Undefined if the promise is fulfilled. */
function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
