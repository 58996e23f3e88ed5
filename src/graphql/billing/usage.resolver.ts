import { Args, Authorized, Ctx, Query, Resolver } from 'type-graphql';
import { Usage } from '../../services/billing/usage.js';
import { toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { UsageArgs, UsageGroupConnection, UsageGroupType } from './usage.type.js';

@Resolver(() => UsageGroupType)
export class UsageResolver {
  constructor(private readonly usageService: Usage) {}

  @Authorized('audit:read')
  @Query(() => UsageGroupConnection, {
    description:
      'Totals of the tasks requested in a period. `/usage.csv` returns the same as a CSV file. Requires the scope `audit:read`.',
  })
  async usage(@Ctx() { caller }: Context, @Args() { first, after, ...query }: UsageArgs) {
    return toConnection(await this.usageService.page(caller, query, { first, after }));
  }
}
