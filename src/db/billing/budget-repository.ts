import { databaseNow } from '../../core/primitives/clock.js';
import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { minIdAt } from '../../core/primitives/ids.js';
import { type Budget, type BudgetScope, utcMonth } from '../../core/billing/money.js';
import { type TaskRequest } from '../../core/tasks/task.js';
import { type Visibility } from '../../core/access/visibility.js';
import { auditRow } from '../access/audit-repository.js';
import { BudgetScope as ScopeEnum, Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { BUDGET_SCOPES_SQL } from './budget-enforcement.js';
import { utcMonthSql } from './ledger-statements.js';
import { waitForTaskWriters } from './writers-in-progress.js';

/** Identifies a row of `budgets`. The `scopeId` of an API key is its lineage. */
export interface BudgetKey extends Pick<Budget, 'scope' | 'scopeId'> {
  workspaceId: string;
}

/** A budget and whether it has room for a request. */
export interface BudgetCheck extends Budget {
  /** Null: the price is not known in the budget's currency. */
  hasRoom: boolean | null;
  /** Highest cost of the request. Null: unknown. */
  requestCost: string | null;
}

/** A request, for the budgets that it counts in. */
interface PricedRequest extends Pick<
  TaskRequest,
  'workspaceId' | 'endUserId' | 'requestedCount' | 'currency'
> {
  keyLineageId: string;
  unitPrice: string | null;
}

interface CountedBatch {
  /** ID of the last task of the batch. Null: the batch is empty. */
  lastTaskId: string | null;
  count: number;
}

/**
 * Counts a batch of the month's tasks that were created before the budget. It locks their rows first, as every movement of
 * money does, and then reads their amounts from the locked rows.
 */
const COUNT_EARLIER_TASKS = statement<
  BudgetKey & { bit: number; after: string; limit: number },
  CountedBatch
>(
  'count-earlier-tasks',
  `
  WITH found AS (
    SELECT id FROM tasks
    WHERE workspace_id = :workspaceId AND id > :after AND created_at >= ${utcMonthSql('now()')}::timestamp AT TIME ZONE 'UTC'
      AND unit_price IS NOT NULL AND coalesce(budget_mask, 0) & :bit::int = 0
      AND CASE :scope WHEN 'API_KEY' THEN key_lineage_id::text = :scopeId WHEN 'END_USER' THEN end_user_id = :scopeId ELSE true END
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE
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
  SELECT max(id::text) AS "lastTaskId", count(*)::int AS count FROM task`,
);

/** A budget with a limit and its counter, as text. */
interface CountedBudget extends Pick<Budget, 'scope' | 'scopeId'> {
  currency: string | null;
  amount: Prisma.Decimal | string | null;
  counter: Record<'reserved' | 'spent' | 'uncertain', Prisma.Decimal | string> | undefined;
}

/** Reads the limited budgets of a request, and inserts the counters of the month, which inserting the task needs. */
const CHECK_REQUEST = statement<
  PricedRequest,
  CountedBudget & Omit<BudgetCheck, keyof Budget> & { month: string }
>(
  'check-request-against-budgets',
  `
  WITH budget AS (
    SELECT budget.* FROM ${BUDGET_SCOPES_SQL}
    JOIN budgets budget USING (scope, scope_id) WHERE budget.workspace_id = :workspaceId::uuid AND amount IS NOT NULL
  ), new_counter AS (
    INSERT INTO budget_counters (workspace_id, scope, scope_id, month, currency)
    SELECT workspace_id, scope, scope_id, ${utcMonthSql('now()')}, currency FROM budget ORDER BY scope
    ON CONFLICT DO NOTHING
  )
  SELECT budget.scope, budget.scope_id AS "scopeId", to_char(month.day, 'YYYY-MM') AS month, budget.currency,
    budget.amount::text AS amount, CASE WHEN counter.month IS NOT NULL THEN json_build_object(
      'reserved', reserved::text, 'spent', spent::text, 'uncertain', uncertain::text) END AS counter,
    trim_scale(:unitPrice::numeric * :requestedCount)::text AS "requestCost",
    CASE WHEN budget.currency = :currency THEN
      budget.amount - coalesce(counter.reserved + counter.spent + counter.uncertain, 0) >= :unitPrice::numeric * :requestedCount
    END AS "hasRoom"
  FROM budget CROSS JOIN (SELECT ${utcMonthSql('now()')} AS day) month
  LEFT JOIN budget_counters counter ON counter.workspace_id = budget.workspace_id AND counter.scope = budget.scope
    AND counter.scope_id = budget.scope_id AND counter.currency = budget.currency AND counter.month = month.day
  ORDER BY budget.scope`,
);

/** In the order of the enum in PostgreSQL, which orders pages. */
const ORDERED_SCOPES = Object.values(ScopeEnum);
const SCOPE_BITS: Record<BudgetScope, number> = { WORKSPACE: 1, API_KEY: 2, END_USER: 4 };
/** Rows that one statement locks. A callback for one of them waits for some milliseconds. */
const COUNT_BATCH_SIZE = 500;
/** An ID is made before the row, and PostgreSQL's clock may have been corrected in between. */
const CLOCK_SKEW_MS = 3_600_000;

/** Exact for sums of numeric(24, 8). */
const Decimal = Prisma.Decimal.clone({ precision: 50 });

/** The rows of `budgets` and `budget_counters`. The statements that change tasks also change the counters. */
export class BudgetRepository {
  constructor(private readonly db: Database) {}

  /**
   * Sets the monthly limit. A new budget first counts, including the earlier tasks of the month, and limits only then. If the
   * process dies in between, the budget counts without limiting, and setting it again continues.
   */
  async set(
    key: BudgetKey,
    limit: { amount: string; currency: string },
    audit: NewAuditEntry | null = null,
  ): Promise<void> {
    await this.db.prisma.budget.createMany({ data: key, skipDuplicates: true });
    // An insert in progress does not see the budget. Later ones count in it by themselves.
    await waitForTaskWriters(this.db);
    while ((await this.countEarlierTasks(key)) > 0);
    await this.change(audit, (prisma) => prisma.budget.updateMany({ where: key, data: limit }));
  }

  /** Removes a limit. The counters stay. */
  async remove(key: BudgetKey, audit: NewAuditEntry | null = null): Promise<void> {
    await this.change(audit, (prisma) => prisma.budget.deleteMany({ where: key }));
  }

  /** The budget in the current month. Null when there is none. */
  async findCurrent({ workspaceId, scope, scopeId }: BudgetKey): Promise<Budget | null> {
    const where = { workspaceId, scope, scopeId };
    const [budget] = await this.read(where, { month: utcMonth(databaseNow()), limit: 1 });
    return budget ?? null;
  }

  /**
   * A page of the workspace's budgets in a month, after the budget `after`. With an end user, only the budget of that end
   * user. `month` is YYYY-MM, or null for the current one.
   */
  async page(
    { workspaceId, endUserId }: Pick<Visibility, 'workspaceId' | 'endUserId'>,
    month: string | null,
    { after, limit }: { after: Pick<Budget, 'scope' | 'scopeId'> | null; limit: number },
  ): Promise<Budget[]> {
    const laterScopes = after ? ORDERED_SCOPES.slice(ORDERED_SCOPES.indexOf(after.scope) + 1) : [];
    const where = {
      workspaceId,
      ...(endUserId !== null && { scope: 'END_USER' as const, scopeId: endUserId }),
      ...(after && {
        OR: [{ scope: after.scope, scopeId: { gt: after.scopeId } }, { scope: { in: laterScopes } }],
      }),
    };
    return this.read(where, { month: month ?? utcMonth(databaseNow()), limit });
  }

  /** The limited budgets of a rejected request. If all of them have room, the request can succeed by now. */
  async explainRejection(request: PricedRequest): Promise<BudgetCheck[]> {
    const rows = await this.db.query(CHECK_REQUEST, request);
    return rows.map((row) => ({
      ...toBudget(row, row.month),
      requestCost: row.requestCost,
      hasRoom: row.hasRoom,
    }));
  }

  /** Reads the limited budgets and then their counters, which Prisma cannot join without a foreign key. */
  private async read(
    where: Prisma.BudgetWhereInput & { workspaceId: string },
    { month, limit }: { month: string; limit: number },
  ): Promise<Budget[]> {
    const { workspaceId } = where;
    return this.db.withPrismaAsCaller(workspaceId, async (prisma) => {
      const budgets = await prisma.budget.findMany({
        where: { amount: { not: null }, AND: where },
        orderBy: [{ scope: 'asc' }, { scopeId: 'asc' }],
        take: limit,
      });
      const scopeIds = budgets.map(({ scopeId }) => scopeId);
      const counters = await prisma.budgetCounter.findMany({
        where: { workspaceId, month: new Date(`${month}-01`), scopeId: { in: scopeIds } },
      });
      return budgets.map((budget) => {
        const counter = counters.find(
          ({ scope, scopeId, currency }) =>
            scope === budget.scope && scopeId === budget.scopeId && currency === budget.currency,
        );
        return toBudget({ ...budget, counter }, month);
      });
    });
  }

  /** Changes a budget and inserts the audit entry in one commit. Inserts no entry if the budget did not exist. */
  private async change(
    audit: NewAuditEntry | null,
    write: (prisma: Prisma.TransactionClient) => Promise<{ count: number }>,
  ): Promise<void> {
    await this.db.transactionWithPrisma(async (prisma) => {
      const { count } = await write(prisma);
      if (count > 0 && audit) await prisma.auditEntry.create({ data: auditRow(audit) });
    });
  }

  private async countEarlierTasks(key: BudgetKey): Promise<number> {
    const batch = { ...key, bit: SCOPE_BITS[key.scope], limit: COUNT_BATCH_SIZE };
    let counted = 0;
    let after: string | null = minIdAt(new Date(Date.parse(utcMonth(databaseNow())) - CLOCK_SKEW_MS));
    while (after !== null) {
      const [row]: CountedBatch[] = await this.db.query(COUNT_EARLIER_TASKS, { ...batch, after });
      counted += row?.count ?? 0;
      after = row?.lastTaskId ?? null;
    }
    return counted;
  }
}

function toBudget({ scope, scopeId, currency, amount, counter }: CountedBudget, month: string): Budget {
  const limit = new Decimal(amount ?? 0);
  const { reserved = 0, spent = 0, uncertain = 0 } = counter ?? {};
  return {
    ...{ scope, scopeId, month, currency: currency ?? '' },
    limit: limit.toFixed(),
    reserved: new Decimal(reserved).toFixed(),
    spent: new Decimal(spent).toFixed(),
    uncertain: new Decimal(uncertain).toFixed(),
    remaining: limit.minus(reserved).minus(spent).minus(uncertain).toFixed(),
  };
}
