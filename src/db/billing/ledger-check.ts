import { type Database } from '../postgres/database.js';

/**
 * How much is wrong with the money, in one snapshot; 0 at any moment, whatever is under way. Counted are transactions whose
 * entries do not add up to zero; tasks of which the ledger, the row and the pictures do not tell the same; and budget
 * counters that are not what the ledger says of the tasks that they count.
 */
export const LEDGER_DRIFT = {
  name: 'ledger-drift',
  text: `
  WITH balance AS (
    SELECT task_id, sum(amount) FILTER (WHERE account = 'reserved') AS reserved,
           sum(amount) FILTER (WHERE account = 'spent') AS spent, sum(amount) FILTER (WHERE account = 'held') AS held,
           count(DISTINCT currency) AS currencies, min(currency) AS currency
    FROM ledger_entries GROUP BY task_id
  ), picture AS (
    SELECT task_id, count(*) AS count FROM images WHERE task_id IS NOT NULL GROUP BY task_id
  ), expected AS (
    SELECT task.id, task.workspace_id, task.key_id, task.end_user_id, task.currency, task.counted_in,
           date_trunc('month', task.created_at AT TIME ZONE 'UTC')::date AS month,
           CASE WHEN task.finished_at IS NULL THEN unit_price * requested_count ELSE 0 END AS reserved,
           CASE WHEN task.finished_at IS NULL THEN 0 ELSE unit_price * coalesce(picture.count, 0) END AS spent,
           task.spent AS told_spent, task.held, task.status
    FROM tasks task LEFT JOIN picture ON picture.task_id = task.id WHERE unit_price IS NOT NULL
  ), off AS (
    SELECT task_id::text FROM ledger_entries GROUP BY task_id, transaction_id HAVING sum(amount) <> 0
    UNION ALL
    SELECT coalesce(expected.id, balance.task_id)::text
    FROM expected FULL JOIN balance ON balance.task_id = expected.id
    WHERE expected.id IS NULL OR balance.currencies > 1 OR balance.currency <> expected.currency
       OR coalesce(balance.reserved, 0) <> expected.reserved OR coalesce(balance.spent, 0) <> expected.spent
       OR coalesce(balance.held, 0) <> expected.held OR expected.told_spent <> expected.spent
       OR (expected.held <> 0 AND expected.status NOT IN ('CANCELED', 'EXPIRED'))
    UNION ALL
    SELECT coalesce(counter.subject, counted.subject)
    FROM (SELECT * FROM budget_counters WHERE reserved <> 0 OR spent <> 0 OR held <> 0) counter
    FULL JOIN (
      SELECT workspace_id, budget.scope::budget_scope AS scope, budget.subject, month, expected.currency,
             sum(balance.reserved) AS reserved, sum(balance.spent) AS spent, sum(balance.held) AS held
      FROM expected JOIN balance ON balance.task_id = expected.id,
           LATERAL (VALUES ('END_USER', end_user_id, 4), ('KEY', key_id::text, 2),
                           ('WORKSPACE', workspace_id::text, 1)) budget (scope, subject, bit)
      WHERE counted_in & budget.bit <> 0 GROUP BY 1, 2, 3, 4, 5
    ) counted USING (workspace_id, scope, subject, month, currency)
    WHERE coalesce(counter.reserved, 0) <> coalesce(counted.reserved, 0)
       OR coalesce(counter.spent, 0) <> coalesce(counted.spent, 0)
       OR coalesce(counter.held, 0) <> coalesce(counted.held, 0)
  )
  SELECT count(*)::int AS drift, (array_agg(task_id))[1:10] AS "first" FROM off`,
};

/** What a look at all the money came to: how much is off, and the ids of the first ten tasks or subjects of budgets. */
export interface LedgerDrift {
  drift: number;
  first: string[] | null;
}

/** Reads the whole ledger: a check for an operator, not for a request. */
export async function ledgerDrift(db: Database): Promise<LedgerDrift> {
  const [row] = await db.run<LedgerDrift>(LEDGER_DRIFT, []);
  return row ?? { drift: 0, first: null };
}
