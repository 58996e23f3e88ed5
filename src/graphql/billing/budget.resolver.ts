import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import { Budgeting } from '../../services/billing/budgets.js';
import { BudgetType, SetBudgetInput, SetBudgetPayload } from './budget.type.js';
import { BudgetConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver(() => BudgetType)
export class BudgetResolver {
  constructor(private readonly budgeting: Budgeting) {}

  @Authorized('audit:read')
  @Query(() => BudgetConnection, {
    description:
      "The workspace's budgets, and how they stand: those of end users, then those of keys, then its own. Scope audit:read.",
  })
  async budgets(
    @Ctx() { caller }: Context,
    @Arg('month', () => String, {
      nullable: true,
      description: 'YYYY-MM; absent: the present one. In a month without spending all of a limit remains.',
    })
    month: string | null,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.budgeting.page(caller, month ?? null, first, after ?? null));
  }

  /** The scope depends on the input, so the service asks for it. */
  @Authorized()
  @Mutation(() => SetBudgetPayload, {
    description:
      'Bounds what may be spent in a month, from now on and counting what the month has cost so far; or removes the bound. Scope workspaces:admin for WORKSPACE, keys:admin for the others.',
  })
  setBudget(
    @Ctx() { caller }: Context,
    @Arg('input', () => SetBudgetInput, { description: 'Whose, and how much.' }) input: SetBudgetInput,
  ) {
    return withUserErrors({ budget: null }, async () => ({
      budget: await this.budgeting.set(caller, input),
    }));
  }
}
