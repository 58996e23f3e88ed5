/**
 * Parts of statements that move money in the same commit as the change of its task. A movement takes an amount from one
 * account and adds it to another. The SQL function `record_ledger_movement` computes the amount of the account `budget` from
 * the others, so that the entries sum to zero. The counters of the task's budgets change with it. Every statement locks
 * counters in the order of their scopes, to avoid deadlocks.
 */

/** First day of the UTC month of a time. A task counts in the month of its request, whenever it ends. */
export const utcMonthSql = (time: string) => `date_trunc('month', ${time} AT TIME ZONE 'UTC')::date`;

/** Columns of a task's cost. The cost is final when the task has ended and no amount is uncertain. */
export const COST_COLUMNS = {
  estimatedCost: 'trim_scale(task.unit_price * task.requested_count)::text',
  finalCost:
    'CASE WHEN task.finished_at IS NOT NULL AND task.uncertain = 0 THEN trim_scale(task.spent)::text END',
  currency: 'task.currency',
};

/** The change of each account, in SQL over the columns of a task. Absent: no change. */
type AccountChanges = Partial<Record<'reserved' | 'spent' | 'uncertain', string>>;

/**
 * SQL of a CTE named `movement` that records a movement for the tasks of the CTE `task`, in the ledger and in the counters of
 * their budgets. The statement must count the rows of `movement`, because PostgreSQL does not run a SELECT that nothing reads.
 * Nothing is recorded for a task without a price, or when `condition` is false. A function does the work because it costs
 * nothing then: as further CTEs the same inserts cost a request 10 % and a final state 20 % more processor time.
 */
export function ledgerMovementSql(
  kind: string,
  { reserved = '0', spent = '0', uncertain = '0' }: AccountChanges,
  condition = 'true',
): string {
  return `
  movement AS (
    SELECT record_ledger_movement(id, workspace_id, key_lineage_id, end_user_id, currency, budget_mask,
                                  ${utcMonthSql('created_at')}, (${kind})::ledger_kind, ${reserved}, ${spent}, ${uncertain})
    FROM task WHERE unit_price IS NOT NULL AND ${condition}
  )`;
}
