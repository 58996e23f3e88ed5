import { databaseNow } from '../../core/primitives/clock.js';
import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';
import { type BudgetScope } from '../../core/billing/money.js';
import { type BudgetCheck } from '../../db/billing/budget-repository.js';
import { type NewTask } from '../../db/tasks/task-row.js';
import { type Dependencies } from '../dependencies.js';

/** Other requests can release and take the same room between attempts. After this many, the request is rejected. */
const MAX_ATTEMPTS = 5;

const BUDGET_LABELS: Record<BudgetScope, string> = {
  WORKSPACE: "the workspace's budget",
  API_KEY: "this API key's budget",
  END_USER: "this end user's budget",
};

/**
 * Prices requests and explains why a budget rejects them. The statement that inserts a task enforces the budgets
 * (src/db/billing/budget-enforcement.ts).
 */
export class RequestPricing {
  constructor(private readonly deps: Pick<Dependencies, 'budgets' | 'priceList'>) {}

  /** Returns the present price of one image of the model. Both values are null when it is unknown. */
  priceOf(model: string): { unitPrice: string | null; currency: string | null } {
    const price = this.deps.priceList.find(model, databaseNow());
    return { unitPrice: price?.perImage ?? null, currency: price?.currency ?? null };
  }

  /**
   * Explains why a budget rejected a task. Throws InputRejected BUDGET_EXCEEDED or PRICE_UNKNOWN. Returns when there is
   * room now, because the counter of the month did not exist yet or another task has released its reservation. The caller
   * should then try again.
   */
  async throwIfOverBudget(task: NewTask, attempt: number): Promise<void> {
    const budgetStatuses = await this.deps.budgets.explainRejection(task);
    const errors = budgetStatuses.flatMap((status) => budgetErrorsOf(task, status));
    if (errors.length > 0) throw new InputRejected(errors);
    if (attempt < MAX_ATTEMPTS) return;
    const message = 'Concurrent requests are using up the remaining budget. Try again.';
    throw new InputRejected([{ code: 'BUDGET_EXCEEDED', message, field: null }]);
  }
}

function budgetErrorsOf(
  { model }: NewTask,
  { scope, month, currency, requestCost, hasRoom }: BudgetCheck,
): UserError[] {
  if (hasRoom === true) return [];
  const budgetLabel = BUDGET_LABELS[scope];
  if (hasRoom === null) {
    const advice =
      "Use a model that has one, ask the operator to add the price, change the budget's currency, or remove the budget.";
    const message = `${model} has no price in ${currency}, which ${budgetLabel} requires. ${advice}`;
    return [{ code: 'PRICE_UNKNOWN', message, field: ['input', 'model'] }];
  }
  const advice = 'Request fewer images, wait for the next month, or raise the budget.';
  const message = `This request can cost ${requestCost} ${currency}, which exceeds what is left of ${budgetLabel} for ${month}. ${advice}`;
  return [{ code: 'BUDGET_EXCEEDED', message, field: null }];
}
