import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { minIdAt } from '../../core/primitives/ids.js';
import { type Budget, type BudgetScope, utcMonth } from '../../core/billing/money.js';
import { type Visibility } from '../../core/access/visibility.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';
import { budgetScopesSql } from './budget-enforcement.js';
import { utcMonthSql } from './ledger-statements.js';

/** Identifies a row of `budgets`. */
export interface BudgetKey {
  workspaceId: string;
  scope: BudgetScope;
  /** ID of the workspace, API key or end user. */
  scopeId: string;
}

/** A budget and whether it has room for a request. */
export interface BudgetCheck extends Budget {
  /** Null: the price is not known in the budget's currency. */
  hasRoom: boolean | null;
  /** Highest cost of the request. Null: unknown. */
  requestCost: string | null;
}

const START_COUNTING = {
  name: 'start-counting-budget',
  text: `INSERT INTO budgets (workspace_id, scope, scope_id) VALUES ($1, $2::budget_scope, $3) ON CONFLICT DO NOTHING`,
};
const SET_LIMIT = {
  name: 'set-budget-limit',
  text: `
  WITH budget AS (
    UPDATE budgets SET amount = $4, currency = $5 WHERE workspace_id = $1 AND scope = $2::budget_scope AND scope_id = $3
    RETURNING scope_id
  ),${insertAuditSql('$6', 'budget')}
  SELECT FROM budget`,
};
/** Writes an audit entry only if the budget existed. */
const DELETE_BUDGET = {
  name: 'delete-budget',
  text: `
  WITH budget AS (
    DELETE FROM budgets WHERE workspace_id = $1 AND scope = $2::budget_scope AND scope_id = $3 RETURNING scope_id
  ),${insertAuditSql('$4', 'budget')}
  SELECT FROM budget`,
};

/**
 * Counts a batch of the month's tasks that were created before the budget. It locks their rows first, as every movement of
 * money does, and then reads their amounts from the locked rows.
 */
const COUNT_EARLIER_TASKS = {
  name: 'count-earlier-tasks',
  text: `
  WITH found AS (
    SELECT id FROM tasks
    WHERE workspace_id = $1 AND id > $5 AND created_at >= ${utcMonthSql('now()')}::timestamp AT TIME ZONE 'UTC'
      AND unit_price IS NOT NULL AND coalesce(budget_mask, 0) & $4::int = 0
      AND CASE $2 WHEN 'API_KEY' THEN key_id::text = $3 WHEN 'END_USER' THEN end_user_id = $3 ELSE true END
    ORDER BY id LIMIT $6 FOR NO KEY UPDATE
  ), task AS (
    UPDATE tasks SET budget_mask = coalesce(budget_mask, 0) | $4::int FROM found
    WHERE tasks.id = found.id AND coalesce(budget_mask, 0) & $4::int = 0
    RETURNING tasks.*
  ), counted AS (
    INSERT INTO budget_counters AS counter (workspace_id, scope, scope_id, month, currency, reserved, spent, uncertain)
    SELECT $1, $2::text::budget_scope, $3, ${utcMonthSql('now()')}, currency,
           sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 END), sum(spent), sum(uncertain)
    FROM task GROUP BY currency ORDER BY currency
    ON CONFLICT (workspace_id, scope, scope_id, month, currency) DO UPDATE SET
      reserved = counter.reserved + excluded.reserved, spent = counter.spent + excluded.spent,
      uncertain = counter.uncertain + excluded.uncertain
  )
  SELECT max(id::text) AS "lastTaskId", count(*)::int AS count FROM task`,
};

const COLUMNS = `
  budget.scope, budget.scope_id AS "scopeId", to_char(month.day, 'YYYY-MM') AS month, budget.currency,
  trim_scale(budget.amount)::text AS limit, trim_scale(coalesce(counter.reserved, 0))::text AS reserved,
  trim_scale(coalesce(counter.spent, 0))::text AS spent, trim_scale(coalesce(counter.uncertain, 0))::text AS uncertain,
  trim_scale(budget.amount - coalesce(counter.reserved + counter.spent + counter.uncertain, 0))::text AS remaining`;
const COUNTER_JOIN = `
  LEFT JOIN budget_counters counter ON counter.workspace_id = budget.workspace_id AND counter.scope = budget.scope
    AND counter.scope_id = budget.scope_id AND counter.currency = budget.currency AND counter.month = month.day`;

const PAGE = {
  name: 'page-of-budgets',
  text: `
  SELECT ${COLUMNS} FROM budgets budget CROSS JOIN (SELECT coalesce($2::date, ${utcMonthSql('now()')}) AS day) month ${COUNTER_JOIN}
  WHERE budget.workspace_id = $1 AND budget.amount IS NOT NULL
    AND ($3::budget_scope IS NULL OR (budget.scope, budget.scope_id) > ($3::budget_scope, $4))
    AND ($6::text IS NULL OR budget.scope = 'END_USER' AND budget.scope_id = $6)
  ORDER BY budget.scope, budget.scope_id LIMIT $5`,
};
const FIND = {
  name: 'find-budget',
  text: `
  SELECT ${COLUMNS} FROM budgets budget CROSS JOIN (SELECT ${utcMonthSql('now()')} AS day) month ${COUNTER_JOIN}
  WHERE budget.workspace_id = $1 AND budget.scope = $2::budget_scope AND budget.scope_id = $3 AND budget.amount IS NOT NULL`,
};

/** Reads the limited budgets of a request, and inserts the counters of the month, which inserting the task needs. */
const CHECK_REQUEST = {
  name: 'check-request-against-budgets',
  text: `
  WITH budget AS (
    SELECT budget.* FROM ${budgetScopesSql({ workspace: '$1', key: '$2', endUser: '$3' })}
    JOIN budgets budget USING (scope, scope_id) WHERE budget.workspace_id = $1::uuid AND amount IS NOT NULL
  ), new_counter AS (
    INSERT INTO budget_counters (workspace_id, scope, scope_id, month, currency)
    SELECT workspace_id, scope, scope_id, ${utcMonthSql('now()')}, currency FROM budget ORDER BY scope
    ON CONFLICT DO NOTHING
  )
  SELECT ${COLUMNS}, trim_scale($4::numeric * $5)::text AS "requestCost",
    CASE WHEN budget.currency = $6 THEN
      budget.amount - coalesce(counter.reserved + counter.spent + counter.uncertain, 0) >= $4::numeric * $5 END AS "hasRoom"
  FROM budget CROSS JOIN (SELECT ${utcMonthSql('now()')} AS day) month ${COUNTER_JOIN} ORDER BY budget.scope`,
};

interface CountedBatch {
  /** ID of the last task of the batch. Null: the batch is empty. */
  lastTaskId: string | null;
  count: number;
}

const SCOPE_BITS: Record<BudgetScope, number> = { WORKSPACE: 1, API_KEY: 2, END_USER: 4 };
/** Rows that one statement locks. A callback for one of them waits for some milliseconds. */
const COUNT_BATCH_SIZE = 500;
/** IDs come from the clocks of instances, and months begin by the clock of the database. */
const CLOCK_SKEW_MS = 3_600_000;

/** The rows of `budgets` and `budget_counters`. The statements that change tasks also change the counters. */
export class BudgetRepository {
  constructor(private readonly db: Database) {}

  /**
   * Sets the monthly limit. A new budget first counts, including the earlier tasks of the month, and limits only then. If the
   * process dies in between, the budget counts without limiting, and setting it again continues.
   */
  async set(
    { workspaceId, scope, scopeId }: BudgetKey,
    amount: string,
    currency: string,
    audit: NewAuditEntry | null = null,
  ): Promise<void> {
    const key = [workspaceId, scope, scopeId];
    await this.db.run(START_COUNTING, key);
    // Repeats until nothing is found, so that tasks whose insert was in progress at the start are counted too.
    while ((await this.countEarlierTasks(key, SCOPE_BITS[scope])) > 0);
    await this.db.run(SET_LIMIT, [...key, amount, currency, auditParameter(audit)]);
  }

  /** Removes a limit. The counters stay. */
  async remove(
    { workspaceId, scope, scopeId }: BudgetKey,
    audit: NewAuditEntry | null = null,
  ): Promise<void> {
    await this.db.run(DELETE_BUDGET, [workspaceId, scope, scopeId, auditParameter(audit)]);
  }

  /** The budget in the current month. Null when there is none. */
  async findCurrent({ workspaceId, scope, scopeId }: BudgetKey): Promise<Budget | null> {
    const [row] = await this.db.runAsCaller<Budget>(workspaceId, FIND, [workspaceId, scope, scopeId]);
    return row ?? null;
  }

  /**
   * A page of the workspace's budgets in a month, after the budget `after`. With an end user, only the budget of that end
   * user. `month` is the first day of the month, or null for the current one.
   */
  async page(
    { workspaceId, endUserId }: Pick<Visibility, 'workspaceId' | 'endUserId'>,
    month: string | null,
    after: { scope: BudgetScope; id: string } | null,
    limit: number,
  ): Promise<Budget[]> {
    const cursor = [after?.scope ?? null, after?.id ?? null];
    const values = [workspaceId, month, ...cursor, limit, endUserId];
    return this.db.runAsCaller<Budget>(workspaceId, PAGE, values);
  }

  /** The limited budgets of a rejected request. If all of them have room, the request can succeed by now. */
  async explainRejection(request: {
    workspaceId: string;
    keyId: string;
    endUserId: string | null;
    unitPrice: string | null;
    requestedCount: number;
    currency: string | null;
  }): Promise<BudgetCheck[]> {
    const { workspaceId, keyId, endUserId, unitPrice, requestedCount, currency } = request;
    const values = [workspaceId, keyId, endUserId, unitPrice, requestedCount, currency];
    return this.db.run<BudgetCheck>(CHECK_REQUEST, values);
  }

  private async countEarlierTasks(key: string[], bit: number): Promise<number> {
    let counted = 0;
    let after: string | null = minIdAt(new Date(Date.parse(utcMonth(new Date())) - CLOCK_SKEW_MS));
    while (after !== null) {
      const values: unknown[] = [...key, bit, after, COUNT_BATCH_SIZE];
      const [row]: CountedBatch[] = await this.db.run<CountedBatch>(COUNT_EARLIER_TASKS, values);
      counted += row?.count ?? 0;
      after = row?.lastTaskId ?? null;
    }
    return counted;
  }
}
