import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** It reads every task with a price, every entry and every image, for the operator who waits for it. */
const LEDGER_CHECK_TIMEOUT_MS = 3_600_000;

/**
 * Compares all records of money in one snapshot. It finds movements whose entries do not sum to zero, tasks whose ledger, row
 * and images disagree, and budget counters that differ from the ledger of the tasks that they count. All agree at any time,
 * also while tasks are running.
 */
export const LEDGER_DRIFT = statement<object, LedgerDrift>(
  'find-ledger-drift',
  `
  WITH balance AS (
    SELECT task_id, sum(amount) FILTER (WHERE account = 'reserved') AS reserved,
           sum(amount) FILTER (WHERE account = 'spent') AS spent,
           sum(amount) FILTER (WHERE account = 'uncertain') AS uncertain,
           count(DISTINCT currency) AS currencies, min(currency) AS currency
    FROM ledger_entries GROUP BY task_id
  ), image_count AS (
    SELECT task_id, count(*) AS count FROM images WHERE task_id IS NOT NULL GROUP BY task_id
  ), expected AS (
    SELECT task.id, task.workspace_id, task.key_lineage_id, task.end_user_id, task.currency, task.budget_mask,
           date_trunc('month', task.created_at AT TIME ZONE 'UTC')::date AS month,
           CASE WHEN task.finished_at IS NULL THEN unit_price * requested_count ELSE 0 END AS reserved,
           CASE WHEN task.finished_at IS NULL THEN 0 ELSE unit_price * coalesce(image_count.count, 0) END AS spent,
           task.spent AS row_spent, task.uncertain, task.status
    FROM tasks task LEFT JOIN image_count ON image_count.task_id = task.id WHERE unit_price IS NOT NULL
  ), finding AS (
    SELECT 'movement of task ' || task_id AS description
    FROM ledger_entries GROUP BY task_id, transaction_id HAVING sum(amount) <> 0
    UNION ALL
    SELECT 'task ' || coalesce(expected.id, balance.task_id)
    FROM expected FULL JOIN balance ON balance.task_id = expected.id
    WHERE expected.id IS NULL OR balance.currencies > 1 OR balance.currency <> expected.currency
       OR coalesce(balance.reserved, 0) <> expected.reserved OR coalesce(balance.spent, 0) <> expected.spent
       OR coalesce(balance.uncertain, 0) <> expected.uncertain OR expected.row_spent <> expected.spent
       OR (expected.uncertain <> 0 AND expected.status NOT IN ('CANCELED', 'EXPIRED'))
    UNION ALL
    SELECT concat_ws(' ', 'counter of', scope, scope_id, to_char(month, 'YYYY-MM'), currency)
    FROM (SELECT * FROM budget_counters WHERE reserved <> 0 OR spent <> 0 OR uncertain <> 0) counter
    FULL JOIN (
      SELECT workspace_id, budget.scope::budget_scope AS scope, budget.scope_id, month, expected.currency,
             sum(balance.reserved) AS reserved, sum(balance.spent) AS spent, sum(balance.uncertain) AS uncertain
      FROM expected JOIN balance ON balance.task_id = expected.id,
           LATERAL (VALUES ('END_USER', end_user_id, 4), ('API_KEY', key_lineage_id::text, 2),
                           ('WORKSPACE', workspace_id::text, 1)) budget (scope, scope_id, bit)
      WHERE budget_mask & budget.bit <> 0 GROUP BY 1, 2, 3, 4, 5
    ) counted USING (workspace_id, scope, scope_id, month, currency)
    WHERE coalesce(counter.reserved, 0) <> coalesce(counted.reserved, 0)
       OR coalesce(counter.spent, 0) <> coalesce(counted.spent, 0)
       OR coalesce(counter.uncertain, 0) <> coalesce(counted.uncertain, 0)
  )
  SELECT count(*)::int AS count, (array_agg(description))[1:10] AS examples,
         (SELECT count(*)::int FROM expected) AS "taskCount", (SELECT count(*)::int FROM ledger_entries) AS "entryCount",
         (SELECT count(*)::int FROM budget_counters) AS "counterCount"
  FROM finding`,
  { timeoutMs: LEDGER_CHECK_TIMEOUT_MS },
);

/** The result of a ledger check. */
export interface LedgerDrift {
  /** Number of movements, tasks and counters that are wrong. */
  count: number;
  /** The first ten of them. Null when nothing is wrong. */
  examples: string[] | null;
  /** Checked tasks with a price, ledger entries and budget counters. */
  taskCount: number;
  entryCount: number;
  counterCount: number;
}

/** Reads the whole ledger, so it is for operators and tests, not for requests. */
export async function findLedgerDrift(db: Database): Promise<LedgerDrift> {
  const [row] = await db.query(LEDGER_DRIFT, {});
  if (!row) throw new Error('The ledger check returned no row.');
  return row;
}
