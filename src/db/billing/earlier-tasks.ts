import { databaseNow } from '../../core/primitives/clock.js';
import { MAX_ID_SKEW_MS, minIdAt } from '../../core/primitives/ids.js';
import { type Budget, type BudgetScope, utcMonth } from '../../core/billing/money.js';
import { DatabaseUnavailable } from '../../core/errors.js';
import { type Database } from '../postgres/database.js';
import { isStatementTimeout } from '../postgres/database-errors.js';
import { statement } from '../postgres/statement.js';
import { utcMonthSql } from './ledger-statements.js';

/** Identifies a row of `budgets`. The `scopeId` of an API key is its lineage. */
export interface BudgetKey extends Pick<Budget, 'scope' | 'scopeId'> {
  workspaceId: string;
}

interface CountedBatch {
  /** ID of the last task of the batch. Null: the batch is empty. */
  lastTaskId: string | null;
  count: number;
}

/**
 * Counts those of a batch of the workspace's tasks that belong to the budget, were created in this month and are not counted yet.
 * It locks their rows first, as every movement of money does, and then reads their amounts from the locked rows. A batch is
 * `limit` tasks to look at, however few of them are to be counted, so its time is bounded.
 */
const COUNT_EARLIER_TASKS = statement<
  BudgetKey & { bit: number; after: string; limit: number },
  CountedBatch
>(
  'count-earlier-tasks',
  `
  WITH batch AS MATERIALIZED (
    (SELECT id FROM tasks
     WHERE :scope <> 'END_USER' AND workspace_id = :workspaceId AND id > :after ORDER BY id LIMIT :limit)
    UNION ALL
    (SELECT id FROM tasks
     WHERE :scope = 'END_USER' AND workspace_id = :workspaceId AND end_user_id = :scopeId AND id > :after
     ORDER BY id LIMIT :limit)
  ), found AS (
    SELECT id FROM tasks
    WHERE id = ANY (ARRAY(SELECT id FROM batch)) AND created_at >= ${utcMonthSql('now()')}::timestamp AT TIME ZONE 'UTC'
      AND unit_price IS NOT NULL AND coalesce(budget_mask, 0) & :bit::int = 0
      AND CASE :scope WHEN 'API_KEY' THEN key_lineage_id::text = :scopeId WHEN 'END_USER' THEN end_user_id = :scopeId ELSE true END
    ORDER BY id FOR NO KEY UPDATE
  ), task AS (
    UPDATE tasks SET budget_mask = coalesce(budget_mask, 0) | :bit::int FROM found
    WHERE tasks.id = found.id AND coalesce(budget_mask, 0) & :bit::int = 0
    RETURNING tasks.*
  ), counted AS (
    INSERT INTO budget_counters AS counter (workspace_id, scope, scope_id, month, currency, reserved, spent, uncertain)
    SELECT :workspaceId, :scope::text::budget_scope, :scopeId, ${utcMonthSql('now()')}, currency,
           sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 END), sum(spent), sum(uncertain)
    FROM task GROUP BY currency ORDER BY currency
    ON CONFLICT (workspace_id, scope, scope_id, month, currency) DO UPDATE SET
      reserved = counter.reserved + excluded.reserved, spent = counter.spent + excluded.spent,
      uncertain = counter.uncertain + excluded.uncertain
  )
  SELECT (SELECT max(id::text) FROM batch) AS "lastTaskId", (SELECT count(*) FROM task)::int AS count`,
);

const SCOPE_BITS: Record<BudgetScope, number> = { WORKSPACE: 1, API_KEY: 2, END_USER: 4 };
/** A callback for one of the locked tasks waits for about this time. */
const BATCH_TIME_MS = 200;
const FIRST_BATCH_SIZE = 64;
const MAX_BATCH_SIZE = 4_096;
/**
 * Counts the month's tasks that were created before the budget. Returns the number of tasks that it counted: when it is 0, there
 * are no more. Each batch is a commit, and its size follows the time that it takes: what a task costs depends on its size and on
 * the machine. A batch that takes longer than a statement may is tried again with half of its tasks. Throws DatabaseUnavailable
 * when even one task takes too long, or on any other outage. What was counted until then stays counted.
 */
export async function countEarlierTasks(db: Database, key: BudgetKey): Promise<number> {
  const bit = SCOPE_BITS[key.scope];
  let limit = FIRST_BATCH_SIZE;
  let counted = 0;
  let after: string | null = minIdAt(new Date(Date.parse(utcMonth(databaseNow())) - MAX_ID_SKEW_MS));
  while (after !== null) {
    const startedAt = performance.now();
    try {
      const [row]: CountedBatch[] = await db.query(COUNT_EARLIER_TASKS, { ...key, bit, limit, after });
      counted += row?.count ?? 0;
      after = row?.lastTaskId ?? null;
    } catch (error) {
      if (limit === 1 || !isTimeout(error)) throw error;
    }
    const durationMs = performance.now() - startedAt;
    if (durationMs > BATCH_TIME_MS) limit = Math.max(1, Math.floor(limit / 2));
    else if (durationMs < BATCH_TIME_MS / 4) limit = Math.min(MAX_BATCH_SIZE, limit * 2);
  }
  return counted;
}

function isTimeout(error: unknown): boolean {
  return error instanceof DatabaseUnavailable && isStatementTimeout(error.cause);
}
