import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Authorized, Ctx, Int, Query, Resolver } from 'type-graphql';
import { type UsageGrouping } from '../../core/billing/money.js';
import { Usage } from '../../services/billing/usage.js';
import { toConnection, UsageConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { UsageGroupingEnum, UsageGroupType } from './usage.type.js';

@Resolver(() => UsageGroupType)
export class UsageResolver {
  constructor(private readonly reports: Usage) {}

  @Authorized('audit:read')
  @Query(() => UsageConnection, {
    description:
      'What the tasks that were asked for in a time came to. `/usage.csv` has the same as a table. Scope audit:read.',
  })
  async usage(
    @Ctx() { caller }: Context,
    @Arg('from', () => GraphQLDateTime, { description: 'The first moment.' }) from: Date,
    @Arg('to', () => GraphQLDateTime, {
      description: 'The first moment that is no longer in it; at most 366 days after `from`.',
    })
    to: Date,
    @Arg('groupBy', () => UsageGroupingEnum, { description: 'What to add up by.' }) groupBy: UsageGrouping,
    @Arg('first', () => Int, { defaultValue: 100, description: 'How many groups, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.reports.page(caller, { from, to, groupBy }, first, after ?? null));
  }
}
