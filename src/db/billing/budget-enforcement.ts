import { utcMonthSql } from './ledger-statements.js';

/**
 * Parts of the statement that inserts a task, which enforce its budgets. They need its parameters. Every statement locks the
 * counters of budgets in the order of their scopes, to avoid deadlocks.
 */

/** The budgets that can limit a request. OFFSET 0 keeps the planner from reading all budgets of the workspace. */
export const BUDGETS_OF_REQUEST_SQL = `
    SELECT budget.* FROM (VALUES ('WORKSPACE'::budget_scope, :workspaceId::uuid::text), ('API_KEY', :keyLineageId::uuid::text),
                          ('END_USER', :endUserId::text)) target (scope, scope_id)
    CROSS JOIN LATERAL (
      SELECT * FROM budgets WHERE budgets.workspace_id = :workspaceId::uuid AND budgets.scope = target.scope
        AND budgets.scope_id = target.scope_id OFFSET 0) budget`;

/**
 * SQL of two CTEs: the budgets of a request (`request_budget`), and the amount left in each (`room`), with the counters in
 * the request's currency locked so that concurrent reservations are seen. Without budgets nothing is locked.
 */
export const LOCK_BUDGETS_SQL = `request_budget AS MATERIALIZED (${BUDGETS_OF_REQUEST_SQL}
  ), room AS MATERIALIZED (
    SELECT budget.scope, budget.amount - counter.reserved - counter.spent - counter.uncertain AS remaining
    FROM request_budget budget JOIN budget_counters counter USING (workspace_id, scope, scope_id)
    WHERE counter.currency = :currency::text AND counter.month = ${utcMonthSql('now()')}
    ORDER BY counter.scope FOR UPDATE OF counter
  )`;

/**
 * SQL that tells whether each limited budget has room. False while a counter is missing or the cost is unknown in its currency.
 * A budget that does not limit yet needs its counter too, if the request has a price: inserting the counter with the task's
 * reservation would lock it after the counters of later scopes, and another task could hold it and wait for those.
 */
export const HAS_BUDGET_ROOM_SQL = `NOT EXISTS (
      SELECT FROM request_budget budget WHERE (amount IS NOT NULL OR :unitPrice::numeric IS NOT NULL) AND NOT EXISTS (
        SELECT FROM room
        WHERE room.scope = budget.scope AND (amount IS NULL OR budget.currency = :currency::text
          AND room.remaining >= :unitPrice::numeric * :requestedCount::smallint)))`;

/** SQL of the bit mask of the budgets that a request counts in: 1 workspace, 2 API key, 4 end user. */
export const BUDGET_MASK_SQL = `(
      SELECT sum(CASE scope WHEN 'WORKSPACE' THEN 1 WHEN 'API_KEY' THEN 2 ELSE 4 END) FROM request_budget)`;
