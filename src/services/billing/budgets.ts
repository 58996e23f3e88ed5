import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, InputRejected } from '../../core/errors.js';
import { type InputFaultCode } from '../../core/tasks/input-fault.js';
import { isId } from '../../core/primitives/ids.js';
import { type Budget, BUDGET_SCOPES, type BudgetScope, isAmount } from '../../core/billing/money.js';
import { type PriceList } from '../../core/billing/prices.js';
import { type ApiKeys } from '../../db/access/api-key-repository.js';
import { type BudgetKey, type Budgets } from '../../db/billing/budget-repository.js';
import { requireScope } from '../access/access.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';

/** A budget as somebody wants it. */
export interface BudgetWish {
  scope: BudgetScope;
  /** Absent for WORKSPACE: the caller's own. */
  id?: string | null;
  /** Null or absent: there shall be none. */
  amount?: string | null;
  /** Absent: the one of the price list, where it has only one. */
  currency?: string | null;
}

const MONTH = /^(?!0000)\d{4}-(0[1-9]|1[0-2])$/;
const MAX_END_USER_LENGTH = 255;
const NUL = '\0';

/** Sets what may be spent in a month, and tells how that stands. */
export class Budgeting {
  constructor(
    private readonly budgets: Budgets,
    private readonly keys: ApiKeys,
    private readonly prices: PriceList,
  ) {}

  /**
   * Sets or removes a budget of the caller's workspace; the answer is how it stands, or null where it was removed. Throws
   * Forbidden, and InputRejected NOT_FOUND, INVALID_AMOUNT or INVALID_CURRENCY.
   */
  async set(caller: Caller, { scope, id, amount, currency }: BudgetWish): Promise<Budget | null> {
    requireScope(caller, scope === 'WORKSPACE' ? 'workspaces:admin' : 'keys:admin');
    const key = { workspaceId: caller.workspaceId, scope, subject: await this.subjectOf(caller, scope, id) };
    if (amount === null || amount === undefined) {
      await this.budgets.remove(
        key,
        auditEntry(caller, 'BUDGET_CHANGED', key.subject, { scope, amount: null }),
      );
      return null;
    }
    if (!isAmount(amount)) {
      const form =
        'a decimal number such as "12.50", not below 0, with up to 12 digits and 8 after the point';
      throw refusal('INVALID_AMOUNT', 'amount', `The amount is not ${form}.`);
    }
    const checked = { scope, amount, currency: this.checkCurrency(currency ?? null) };
    const audit = auditEntry(caller, 'BUDGET_CHANGED', key.subject, checked);
    await this.budgets.set(key, amount, checked.currency, audit);
    return this.budgets.find(key);
  }

  /**
   * A page of the workspace's budgets in a month (YYYY-MM; null: the present one); for a token of an end user, of their
   * own. Throws BadRequest.
   */
  async page(
    caller: Caller,
    month: string | null,
    first: number,
    after: string | null,
  ): Promise<Page<Budget>> {
    checkPageSize(first);
    if (month !== null && !MONTH.test(month))
      throw new BadRequest('`month` is not a month. Give one as YYYY-MM.');
    const place = after === null ? null : placeOf(after);
    const day = month === null ? null : `${month}-01`;
    // Of certain tasks alone there are no budgets.
    if (caller.taskIds !== null) return toPage([], first, after !== null, () => '');
    const rows = await this.budgets.page(caller, day, place, first + 1);
    return toPage(rows, first, after !== null, ({ scope, id }) =>
      Buffer.from(JSON.stringify([scope, id])).toString('base64url'),
    );
  }

  /** A foreign workspace or key is answered like one that never existed. An end user needs no record of ours. */
  private async subjectOf(
    { workspaceId }: Caller,
    scope: BudgetScope,
    id: string | null | undefined,
  ): Promise<BudgetKey['subject']> {
    if (scope === 'WORKSPACE') {
      if (id === null || id === undefined || id.toLowerCase() === workspaceId) return workspaceId;
      throw refusal('NOT_FOUND', 'id', 'There is no workspace with this id that you may administer.');
    }
    if (scope === 'KEY') {
      const keyId = id?.toLowerCase() ?? '';
      if (isId(keyId) && (await this.keys.belongsTo(workspaceId, keyId))) return keyId;
      throw refusal('NOT_FOUND', 'id', 'There is no key with this id in your workspace.');
    }
    if (id && id.length <= MAX_END_USER_LENGTH && !id.includes(NUL)) return id;
    throw refusal('NOT_FOUND', 'id', `Name the end user by 1 to ${MAX_END_USER_LENGTH} characters.`);
  }

  private checkCurrency(currency: string | null): string {
    const { currencies } = this.prices;
    const [only] = currencies;
    if (only === undefined) {
      const message = 'There is no price list to count by. The operator sets PRICES_FILE.';
      throw refusal('INVALID_CURRENCY', 'currency', message);
    }
    if (currency === null && currencies.length === 1) return only;
    if (currency !== null && currencies.includes(currency)) return currency;
    const message = `No price is in this currency. Use one of the price list's: ${currencies.join(', ')}.`;
    throw refusal('INVALID_CURRENCY', 'currency', message);
  }
}

function refusal(code: InputFaultCode, field: string, message: string): InputRejected {
  return new InputRejected([{ code, message, field: ['input', field] }]);
}

/** Throws BadRequest for a cursor that is not of this list. */
function placeOf(cursor: string): { scope: BudgetScope; id: string } {
  try {
    const [scope, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown];
    const known = BUDGET_SCOPES.find((each) => each === scope);
    if (known && typeof id === 'string' && !id.includes(NUL)) return { scope: known, id };
  } catch {
    // as below
  }
  throw new BadRequest('`after` is not a cursor of this list.');
}
