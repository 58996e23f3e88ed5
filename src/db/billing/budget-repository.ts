import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { firstIdAt } from '../../core/primitives/ids.js';
import { type Budget, type BudgetScope, monthOf as monthNow } from '../../core/billing/money.js';
import { type Reach } from '../../core/access/visibility.js';
import { audited, auditValue } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';
import { monthOf, subjectsOf } from './ledger-statements.js';

/** Whose budget: a workspace's own row of `budgets`. */
export interface BudgetKey {
  workspaceId: string;
  scope: BudgetScope;
  /** The id of the workspace or of the key, or the end user. */
  subject: string;
}

/** What a budget says to a request. */
export interface Standing extends Budget {
  /** Whether it is there; null: the price is not known in the budget's currency. */
  hasRoom: boolean | null;
  /** What the request could cost; null: unknown. */
  cost: string | null;
}

const COUNT = {
  name: 'count-budget',
  text: `INSERT INTO budgets (workspace_id, scope, subject) VALUES ($1, $2::budget_scope, $3) ON CONFLICT DO NOTHING`,
};
const LIMIT = {
  name: 'limit-budget',
  text: `
  WITH budget AS (
    UPDATE budgets SET amount = $4, currency = $5 WHERE workspace_id = $1 AND scope = $2::budget_scope AND subject = $3
    RETURNING subject
  ),${audited('$6', 'budget')}
  SELECT FROM budget`,
};
/** One that is not there is not removed, and not told of. */
const REMOVE = {
  name: 'remove-budget',
  text: `
  WITH budget AS (
    DELETE FROM budgets WHERE workspace_id = $1 AND scope = $2::budget_scope AND subject = $3 RETURNING subject
  ),${audited('$4', 'budget')}
  SELECT FROM budget`,
};

/**
 * Counts some of the month's tasks that were asked for before there was the budget. Their rows are locked first, as by
 * everything that moves money, and what they come to is read from the rows as they are then.
 */
const COUNT_EARLIER = {
  name: 'count-earlier-tasks',
  text: `
  WITH found AS (
    SELECT id FROM tasks
    WHERE workspace_id = $1 AND id > $5 AND created_at >= ${monthOf('now()')}::timestamp AT TIME ZONE 'UTC'
      AND unit_price IS NOT NULL AND coalesce(counted_in, 0) & $4::int = 0
      AND CASE $2 WHEN 'KEY' THEN key_id::text = $3 WHEN 'END_USER' THEN end_user_id = $3 ELSE true END
    ORDER BY id LIMIT $6 FOR NO KEY UPDATE
  ), task AS (
    UPDATE tasks SET counted_in = coalesce(counted_in, 0) | $4::int FROM found
    WHERE tasks.id = found.id AND coalesce(counted_in, 0) & $4::int = 0
    RETURNING tasks.*
  ), counted AS (
    INSERT INTO budget_counters AS counter (workspace_id, scope, subject, month, currency, reserved, spent, held)
    SELECT $1, $2::text::budget_scope, $3, ${monthOf('now()')}, currency,
           sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 END), sum(spent), sum(held)
    FROM task GROUP BY currency ORDER BY currency
    ON CONFLICT (workspace_id, scope, subject, month, currency) DO UPDATE SET
      reserved = counter.reserved + excluded.reserved, spent = counter.spent + excluded.spent,
      held = counter.held + excluded.held
  )
  SELECT max(id::text) AS last, count(*)::int AS count FROM task`,
};

const COLUMNS = `
  budget.scope, budget.subject AS id, to_char(month.day, 'YYYY-MM') AS month, budget.currency,
  trim_scale(budget.amount)::text AS limit, trim_scale(coalesce(counter.reserved, 0))::text AS reserved,
  trim_scale(coalesce(counter.spent, 0))::text AS spent, trim_scale(coalesce(counter.held, 0))::text AS held,
  trim_scale(budget.amount - coalesce(counter.reserved + counter.spent + counter.held, 0))::text AS remaining`;
const COUNTER = `
  LEFT JOIN budget_counters counter ON counter.workspace_id = budget.workspace_id AND counter.scope = budget.scope
    AND counter.subject = budget.subject AND counter.currency = budget.currency AND counter.month = month.day`;

const PAGE = {
  name: 'page-of-budgets',
  text: `
  SELECT ${COLUMNS} FROM budgets budget CROSS JOIN (SELECT coalesce($2::date, ${monthOf('now()')}) AS day) month ${COUNTER}
  WHERE budget.workspace_id = $1 AND budget.amount IS NOT NULL
    AND ($3::budget_scope IS NULL OR (budget.scope, budget.subject) > ($3::budget_scope, $4))
    AND ($6::text IS NULL OR budget.scope = 'END_USER' AND budget.subject = $6)
  ORDER BY budget.scope, budget.subject LIMIT $5`,
};
const FIND = {
  name: 'find-budget',
  text: `
  SELECT ${COLUMNS} FROM budgets budget CROSS JOIN (SELECT ${monthOf('now()')} AS day) month ${COUNTER}
  WHERE budget.workspace_id = $1 AND budget.scope = $2::budget_scope AND budget.subject = $3 AND budget.amount IS NOT NULL`,
};

/** Tells how a request's budgets stand, and makes the counters of the month, without which it is not let in. */
const ADMIT = {
  name: 'admit-to-budgets',
  text: `
  WITH budget AS (
    SELECT budget.* FROM ${subjectsOf({ workspace: '$1', key: '$2', endUser: '$3' })}
    JOIN budgets budget USING (scope, subject) WHERE budget.workspace_id = $1::uuid AND amount IS NOT NULL
  ), made AS (
    INSERT INTO budget_counters (workspace_id, scope, subject, month, currency)
    SELECT workspace_id, scope, subject, ${monthOf('now()')}, currency FROM budget ORDER BY scope
    ON CONFLICT DO NOTHING
  )
  SELECT ${COLUMNS}, trim_scale($4::numeric * $5)::text AS cost,
    CASE WHEN budget.currency = $6 THEN
      budget.amount - coalesce(counter.reserved + counter.spent + counter.held, 0) >= $4::numeric * $5 END AS "hasRoom"
  FROM budget CROSS JOIN (SELECT ${monthOf('now()')} AS day) month ${COUNTER} ORDER BY budget.scope`,
};

interface Counted {
  /** The last task of the batch; null: there was none. */
  last: string | null;
  count: number;
}

const BITS: Record<BudgetScope, number> = { WORKSPACE: 1, KEY: 2, END_USER: 4 };
/** Rows that are locked together: a callback for one of them waits for some milliseconds. */
const COUNT_AT_ONCE = 500;
/** Ids are made by the instances' clocks, and months begin by the database's. */
const CLOCK_SKEW_MS = 3_600_000;

/** The rows of `budgets` and `budget_counters`. Tasks move the counters themselves, in their own statements. */
export class Budgets {
  constructor(private readonly db: Database) {}

  /**
   * Sets a month's limit. A budget that is new counts first, the month's earlier tasks too, and bounds then; a process that
   * dies between leaves one that counts and does not bound, and setting it again goes on.
   */
  async set(
    { workspaceId, scope, subject }: BudgetKey,
    amount: string,
    currency: string,
    audit: NewAuditEntry | null = null,
  ): Promise<void> {
    const key = [workspaceId, scope, subject];
    await this.db.run(COUNT, key);
    // The last look finds nothing: also what was being written while the first began has been counted by then.
    while ((await this.countEarlier(key, BITS[scope])) > 0);
    await this.db.run(LIMIT, [...key, amount, currency, auditValue(audit)]);
  }

  /** Takes a limit away. What has been counted stays. */
  async remove(
    { workspaceId, scope, subject }: BudgetKey,
    audit: NewAuditEntry | null = null,
  ): Promise<void> {
    await this.db.run(REMOVE, [workspaceId, scope, subject, auditValue(audit)]);
  }

  /** How it stands in the present month; null where there is none. */
  async find({ workspaceId, scope, subject }: BudgetKey): Promise<Budget | null> {
    const [row] = await this.db.within<Budget>(workspaceId, FIND, [workspaceId, scope, subject]);
    return row ?? null;
  }

  /**
   * A page of the workspace's budgets in a month (null: the present one), behind the one given; of an end user's own alone
   * where one is named. `month`: a day of it.
   */
  async page(
    { workspaceId, endUserId }: Pick<Reach, 'workspaceId' | 'endUserId'>,
    month: string | null,
    after: { scope: BudgetScope; id: string } | null,
    limit: number,
  ): Promise<Budget[]> {
    const place = [after?.scope ?? null, after?.id ?? null];
    const values = [workspaceId, month, ...place, limit, endUserId];
    return this.db.within<Budget>(workspaceId, PAGE, values);
  }

  /** How the budgets of a request that was not let in stand; it may be let in by now, if all of them have room. */
  async explain(request: {
    workspaceId: string;
    keyId: string;
    endUserId: string | null;
    unitPrice: string | null;
    requestedCount: number;
    currency: string | null;
  }): Promise<Standing[]> {
    const { workspaceId, keyId, endUserId, unitPrice, requestedCount, currency } = request;
    const values = [workspaceId, keyId, endUserId, unitPrice, requestedCount, currency];
    return this.db.run<Standing>(ADMIT, values);
  }

  private async countEarlier(key: string[], bit: number): Promise<number> {
    let counted = 0;
    let after: string | null = firstIdAt(new Date(Date.parse(monthNow(new Date())) - CLOCK_SKEW_MS));
    while (after !== null) {
      const values: unknown[] = [...key, bit, after, COUNT_AT_ONCE];
      const [row]: Counted[] = await this.db.run<Counted>(COUNT_EARLIER, values);
      counted += row?.count ?? 0;
      after = row?.last ?? null;
    }
    return counted;
  }
}
