import { Arg, Args, Authorized, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import { type Budget, type BudgetScope } from '../../core/billing/money.js';
import { type BudgetChange, Budgets } from '../../services/billing/budgets.js';
import { createConnectionType, toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { createPayloadType, withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';

const BudgetScopeEnum = createEnumType<BudgetScope>('BudgetScope', 'Whose spending a budget limits.', {
  WORKSPACE: 'All tasks of the workspace.',
  API_KEY: 'Tasks requested with one API key, or with the keys that it replaced or that replaced it.',
  END_USER: 'Tasks requested for one end user.',
});

const BudgetType = createObjectType<Budget>(
  'Budget',
  'A monthly spending limit and how much of it is used. Months are in UTC, and a task counts in the month of its request. Amounts are decimal numbers as strings.',
  {
    scope: field(BudgetScopeEnum, 'Scope of the budget: an API key, an end user or the workspace.'),
    scopeId: field(
      ID,
      "ID of the workspace, `lineageId` of the API key, or the workspace's own ID of the end user.",
    ),
    month: field(String, 'Month that the amounts are for, as YYYY-MM.'),
    currency: field(String, 'ISO 4217 currency code, such as USD.'),
    limit: field(String, 'Maximum spending per month.'),
    reserved: field(String, 'Maximum total cost of the tasks that are not final yet.'),
    spent: field(String, 'Cost of the delivered images, including late ones.'),
    uncertain: field(
      String,
      'Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. It moves to `spent` if late images arrive, and is released if the upstream reports a failure.',
    ),
    remaining: field(
      String,
      '`limit` minus `reserved`, `spent` and `uncertain`. It can be negative if images arrived late, if more images arrived than were requested, or if the limit was lowered.',
    ),
  },
);

const BudgetConnection = createConnectionType(
  'Budget',
  BudgetType,
  'budgets: those of end users, then of API keys, then of the workspace, each by ID',
);

const SetBudgetInput = createInputType<BudgetChange>(
  'SetBudgetInput',
  'Input for setting, changing or removing a budget.',
  {
    scope: field(BudgetScopeEnum, 'Scope of the budget.'),
    scopeId: nullable(
      ID,
      "ID of an API key of the workspace, or the workspace's own ID of an end user, 1 to 255 characters. Required for API_KEY and END_USER. For WORKSPACE, omit it or pass the ID of the caller's workspace.",
    ),
    amount: nullable(
      String,
      'Maximum spending per month: a non-negative decimal number as a string, such as "12.50", with up to 12 digits before and 8 after the point. Null or omitted removes the budget.',
    ),
    currency: nullable(
      String,
      'ISO 4217 code of a currency in the price list, such as USD. It can be omitted if the price list has only one currency.',
    ),
  },
);

const SetBudgetPayload = createPayloadType('setBudget', {
  budget: nullable(
    BudgetType,
    'The budget with its amounts in the current month. Null if it was removed or there are `userErrors`.',
  ),
});

@Resolver(() => BudgetType)
export class BudgetResolver {
  constructor(private readonly budgetService: Budgets) {}

  @Authorized('audit:read')
  @Query(() => BudgetConnection, {
    description:
      'Budgets of the workspace and how much of them is used in a month: those of end users, then of API keys, then of the workspace. Requires the scope `audit:read`.',
  })
  async budgets(
    @Ctx() { caller }: Context,
    @Arg('month', () => String, {
      nullable: true,
      description: 'Month in UTC, as YYYY-MM. Default: the current month.',
    })
    month: string | null,
    @Args() page: PageArgs,
  ) {
    return toConnection(await this.budgetService.page(caller, month ?? null, page));
  }

  // The scope depends on the input, so the service checks it.
  @Authorized()
  @Mutation(() => SetBudgetPayload, {
    description:
      'Sets, changes or removes a monthly spending limit. What the current month has cost so far counts toward it. Requires the scope `workspaces:admin` for WORKSPACE and `keys:admin` for the others.',
  })
  setBudget(
    @Ctx() { caller }: Context,
    @Input(SetBudgetInput, 'Scope and amount of the budget.') input: BudgetChange,
  ) {
    return withUserErrors(async () => ({ budget: await this.budgetService.set(caller, input) }));
  }
}
