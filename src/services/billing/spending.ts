import { InputRejected } from '../../core/errors.js';
import { type InputFault } from '../../core/tasks/input-fault.js';
import { type BudgetScope } from '../../core/billing/money.js';
import { type PriceList } from '../../core/billing/prices.js';
import { type Budgets, type Standing } from '../../db/billing/budget-repository.js';
import { type NewTask } from '../../db/tasks/task-repository.js';

/** Others may free and take the same room again and again between our tries; then the answer is that there is none. */
const MAX_TRIES = 5;

const WHOSE: Record<BudgetScope, string> = {
  WORKSPACE: "the workspace's budget",
  KEY: "this key's budget",
  END_USER: "this end user's budget",
};

/** What a request may cost, and why it may not be made. The statement that writes a task is what holds the budgets. */
export class Spending {
  constructor(
    private readonly prices: PriceList,
    private readonly budgets: Budgets,
  ) {}

  /** What one picture of the model costs now; nulls where nobody knows. */
  priceOf(model: string): { unitPrice: string | null; currency: string | null } {
    const price = this.prices.find(model, new Date());
    return { unitPrice: price?.perImage ?? null, currency: price?.currency ?? null };
  }

  /**
   * Why a budget did not let a task in. Throws InputRejected BUDGET_EXCEEDED or PRICE_UNKNOWN. Returns when there is room:
   * the counter of a month was not there yet, or somebody has just given room back. Then try again.
   */
  async explain(task: NewTask, tries: number): Promise<void> {
    const standings = await this.budgets.explain(task);
    const faults = standings.flatMap((standing) => faultOf(task, standing));
    if (faults.length > 0) throw new InputRejected(faults);
    if (tries < MAX_TRIES) return;
    const message = 'Other requests take what the budgets have room for. Ask again.';
    throw new InputRejected([{ code: 'BUDGET_EXCEEDED', message, field: null }]);
  }
}

function faultOf({ model }: NewTask, { scope, month, currency, cost, hasRoom }: Standing): InputFault[] {
  if (hasRoom === true) return [];
  const whose = WHOSE[scope];
  if (hasRoom === null) {
    const advice =
      "Take a model that has one, have the operator add it to the price list, or have the budget's currency changed or the budget removed.";
    const message = `${model} has no price in ${currency}, so it cannot be counted in ${whose}. ${advice}`;
    return [{ code: 'PRICE_UNKNOWN', message, field: ['input', 'model'] }];
  }
  const advice = 'Ask for fewer pictures, wait for the next month, or have the budget raised.';
  const message = `This could cost ${cost} ${currency}, for which ${whose} of ${month} has no room. ${advice}`;
  return [{ code: 'BUDGET_EXCEEDED', message, field: null }];
}
