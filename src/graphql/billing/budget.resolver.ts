import { Arg, Args, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { Budgets } from '../../services/billing/budgets.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import { BudgetConnection, BudgetType, SetBudgetInput, SetBudgetPayload } from './budget.type.js';

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
    @Args() { first, after }: PageArgs,
  ) {
    return toConnection(await this.budgetService.page(caller, month ?? null, { first, after }));
  }

  // The scope depends on the input, so the service checks it.
  @Authorized()
  @Mutation(() => SetBudgetPayload, {
    description:
      'Sets, changes or removes a monthly spending limit. It includes what the current month has cost so far. Requires the scope `workspaces:admin` for WORKSPACE and `keys:admin` for the others.',
  })
  setBudget(
    @Ctx() { caller }: Context,
    @Arg('input', () => SetBudgetInput, { description: 'Whose spending to limit, and to how much.' })
    input: SetBudgetInput,
  ) {
    return withUserErrors(async () => ({
      budget: await this.budgetService.set(caller, input),
    }));
  }
}
