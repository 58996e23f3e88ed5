import { databaseNow } from '../../core/primitives/clock.js';
import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type Budget, utcMonth } from '../../core/billing/money.js';
import { type TaskRequest } from '../../core/tasks/task.js';
import { type Visibility } from '../../core/access/visibility.js';
import { auditRow } from '../access/audit-repository.js';
import { BudgetScope as ScopeEnum, Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { BUDGETS_OF_REQUEST_SQL } from './budget-enforcement.js';
import { type BudgetKey, countEarlierTasks } from './earlier-tasks.js';
import { utcMonthSql } from './ledger-statements.js';
import { waitForTaskWriters } from './writers-in-progress.js';

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

/** A budget with a limit and its counter, as text. */
interface CountedBudget extends Pick<Budget, 'scope' | 'scopeId'> {
  currency: string | null;
  amount: Prisma.Decimal | string | null;
  counter: Record<'reserved' | 'spent' | 'uncertain', Prisma.Decimal | string> | undefined;
}

/**
 * Reads the limited budgets of a request, and inserts the counters of the month, which inserting the task needs: also those of
 * budgets that do not limit yet, in the request's currency.
 */
const CHECK_REQUEST = statement<
  PricedRequest,
  CountedBudget & Omit<BudgetCheck, keyof Budget> & { month: string }
>(
  'check-request-against-budgets',
  `
  WITH budget AS (${BUDGETS_OF_REQUEST_SQL}
  ), new_counter AS (
    INSERT INTO budget_counters (workspace_id, scope, scope_id, month, currency)
    SELECT workspace_id, scope, scope_id, ${utcMonthSql('now()')}, coalesce(currency, :currency) FROM budget
    WHERE currency IS NOT NULL OR :currency IS NOT NULL ORDER BY scope
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
  WHERE budget.amount IS NOT NULL
  ORDER BY budget.scope`,
);

/** In the order of the enum in PostgreSQL, which orders pages. */
const ORDERED_SCOPES = Object.values(ScopeEnum);
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
    while ((await countEarlierTasks(this.db, key)) > 0);
    await this.change(audit, (prisma) => prisma.budget.updateMany({ where: key, data: limit }));
  }

  /** Removes a limit. The counters stay. */
  async remove(key: BudgetKey, audit: NewAuditEntry | null = null): Promise<void> {
    await this.change(audit, (prisma) => prisma.budget.deleteMany({ where: key }));
  }

  /** The budget in the current month. Null when there is none. */
  async findCurrent({ workspaceId, scope, scopeId }: BudgetKey): Promise<Budget | null> {
    const where = { workspaceId, scope, scopeId };
    const page = { month: utcMonth(databaseNow()), limit: 1 };
    const [budget] = await this.read(where, { ...page, needsSlot: false });
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
    return this.read(where, {
      month: month ?? utcMonth(databaseNow()),
      limit,
      needsSlot: endUserId === null,
    });
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
    { month, limit, needsSlot }: { month: string; limit: number; needsSlot: boolean },
  ): Promise<Budget[]> {
    const { workspaceId } = where;
    const readAll = async (prisma: Prisma.TransactionClient) => {
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
    };
    return this.db.withPrismaAsCaller({ workspaceId }, readAll, { needsSlot });
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
