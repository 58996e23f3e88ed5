import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseUnavailable } from '../../core/errors.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** A statement that writes tasks takes some milliseconds. */
const CHECK_INTERVAL_MS = 10;
/** Longer than a statement of a request may take. */
const MAX_WAIT_MS = 15_000;

/**
 * The transactions that are writing tasks. A statement locks its tables before it takes its snapshot, and until its transaction
 * ends. So every statement that does not see what was committed before this query is among them.
 */
const FIND_TASK_WRITERS = statement<object, { transactionId: string }>(
  'find-task-writers',
  `
  SELECT DISTINCT virtualtransaction AS "transactionId" FROM pg_locks
  WHERE relation = 'tasks'::regclass AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()`,
);

/**
 * Waits until the transactions that are writing tasks now have ended. It blocks none of them, and later ones are not waited for.
 * Throws DatabaseUnavailable when one of them takes far too long.
 */
export async function waitForTaskWriters(db: Database): Promise<void> {
  const findWriters = async () =>
    (await db.query(FIND_TASK_WRITERS, {})).map(({ transactionId }) => transactionId);
  const startedAt = performance.now();
  let remaining = await findWriters();
  while (remaining.length > 0) {
    if (performance.now() - startedAt > MAX_WAIT_MS) throw new DatabaseUnavailable();
    await delay(CHECK_INTERVAL_MS);
    const current = new Set(await findWriters());
    remaining = remaining.filter((transactionId) => current.has(transactionId));
  }
}
