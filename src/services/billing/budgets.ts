import { z } from 'zod';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type Budget, BUDGET_SCOPES, type BudgetScope, isAmount } from '../../core/billing/money.js';
import { type BudgetKey } from '../../db/billing/earlier-tasks.js';
import { requireScope } from '../access/access.js';
import { isEndUserId, MAX_END_USER_ID_LENGTH } from '../access/end-user.js';
import { byColumns, CURSOR_TEXT } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';
import { type Dependencies } from '../dependencies.js';

/** Input for setting or removing a budget. */
export interface BudgetChange {
  scope: BudgetScope;
  /** For WORKSPACE it can be omitted, and must be the caller's workspace otherwise. */
  scopeId?: string | null;
  /** Null or absent removes the budget. */
  amount?: string | null;
  /** Defaults to the price list's currency when it has only one. */
  currency?: string | null;
}

const MONTH = /^(?!0000)\d{4}-(0[1-9]|1[0-2])$/;
const BY_SCOPE = byColumns(z.object({ scope: z.enum(BUDGET_SCOPES), scopeId: CURSOR_TEXT }));

/** Sets and lists monthly budgets. */
export class Budgets {
  constructor(private readonly deps: Pick<Dependencies, 'budgets' | 'apiKeys' | 'priceList'>) {}

  /**
   * Sets or removes a budget of the caller's workspace. Returns the budget with this month's spending, or null when it was
   * removed. Throws Forbidden, and InputRejected NOT_FOUND, INVALID_AMOUNT or INVALID_CURRENCY.
   */
  async set(caller: Caller, { scope, scopeId, amount, currency }: BudgetChange): Promise<Budget | null> {
    requireScope(caller, scope === 'WORKSPACE' ? 'workspaces:admin' : 'keys:admin');
    const key = {
      workspaceId: caller.workspaceId,
      scope,
      scopeId: await this.validateScopeId(caller, scope, scopeId),
    };
    const auditEntryOf = (data: Record<string, unknown>) =>
      newAuditEntry(caller, 'BUDGET_CHANGED', { targetId: key.scopeId, data: { scope, ...data } });
    if (amount === null || amount === undefined) {
      await this.deps.budgets.remove(key, auditEntryOf({ amount: null }));
      return null;
    }
    if (!isAmount(amount)) {
      const message = `The amount "${amount.slice(0, 50)}" is invalid. Use a decimal number of at least 0, such as "12.50", with up to 12 digits before the point and 8 after it.`;
      throw InputRejected.argument('INVALID_AMOUNT', 'amount', message);
    }
    const validCurrency = this.validateCurrency(currency ?? null);
    const audit = auditEntryOf({ amount, currency: validCurrency });
    await this.deps.budgets.set(key, { amount, currency: validCurrency }, audit);
    return this.deps.budgets.findCurrent(key);
  }

  /**
   * Returns a page of the workspace's budgets in a month (YYYY-MM, by default the current one). A token of an end user
   * sees only that end user's budgets. Throws BadRequest.
   */
  async page(caller: Caller, month: string | null, page: PageRequest): Promise<Page<Budget>> {
    if (month !== null && !MONTH.test(month))
      throw new BadRequest(`\`month\` is "${month.slice(0, 50)}". Use a month as YYYY-MM.`);
    return readPage(page, BY_SCOPE, (after, limit) =>
      // A caller that is limited to certain tasks sees no budgets.
      caller.taskIds === null ? this.deps.budgets.page(caller, month, { after, limit }) : [],
    );
  }

  /** Reports a workspace or API key of others as not found. An end user needs no record in the database. */
  private async validateScopeId(
    { workspaceId }: Caller,
    scope: BudgetScope,
    id: string | null | undefined,
  ): Promise<BudgetKey['scopeId']> {
    if (scope === 'WORKSPACE') {
      if (id === null || id === undefined || id.toLowerCase() === workspaceId) return workspaceId;
      throw InputRejected.argument(
        'NOT_FOUND',
        'scopeId',
        'No workspace with this ID that you may administer. Omit scopeId for your own.',
      );
    }
    if (scope === 'API_KEY') {
      const keyId = id?.toLowerCase() ?? '';
      // A budget of one key would end when the key is rotated.
      const key = isId(keyId) ? await this.deps.apiKeys.find(workspaceId, keyId) : null;
      if (key) return key.lineageId;
      throw InputRejected.argument('NOT_FOUND', 'scopeId', 'No API key with this ID in your workspace.');
    }
    if (id && isEndUserId(id)) return id;
    throw InputRejected.argument(
      'NOT_FOUND',
      'scopeId',
      `The end user's ID must have 1 to ${MAX_END_USER_ID_LENGTH} characters and must not contain NUL.`,
    );
  }

  private validateCurrency(currency: string | null): string {
    const { currencies } = this.deps.priceList;
    const [only] = currencies;
    if (only === undefined) {
      const message = 'Budgets need a price list. The operator must set PRICES_FILE.';
      throw InputRejected.argument('INVALID_CURRENCY', 'currency', message);
    }
    if (currency === null && currencies.length === 1) return only;
    if (currency !== null && currencies.includes(currency)) return currency;
    const requested =
      currency === null ? 'A currency is required.' : `No price is in "${currency.slice(0, 50)}".`;
    const message = `${requested} Use one of: ${currencies.join(', ')}.`;
    throw InputRejected.argument('INVALID_CURRENCY', 'currency', message);
  }
}
