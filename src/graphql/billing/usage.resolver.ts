import { GraphQLDateTime } from 'graphql-scalars';
import { Args, ArgsType, Authorized, Ctx, Field, Int, Query, Resolver } from 'type-graphql';
import { type UsageGroup, type UsageGrouping } from '../../core/billing/money.js';
import { Usage } from '../../services/billing/usage.js';
import { createConnectionType, toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { type Context } from '../server/context.js';
import { createEnumType, createObjectType, field, nullable } from '../server/schema-types.js';

const UsageGroupingEnum = createEnumType<UsageGrouping>(
  'UsageGrouping',
  'Attribute that usage is grouped by.',
  {
    DAY: 'Day of the request, in UTC.',
    MODEL: 'Model of the task.',
    API_KEY: 'API key that the request was made with.',
    END_USER: 'End user that the request was for.',
  },
);

@ArgsType()
class UsageArgs extends PageArgs {
  @Field(() => GraphQLDateTime, {
    description: 'Start of the period, inclusive. A task counts at the time of its request.',
  })
  from!: Date;

  @Field(() => GraphQLDateTime, {
    description: 'End of the period, exclusive. At most 366 days after `from`.',
  })
  to!: Date;

  @Field(() => UsageGroupingEnum, { description: 'Attribute to group by.' })
  groupBy!: UsageGrouping;

  @Field(() => Int, { description: 'Page size, from 1 to 100.' })
  override first = 100;
}

const UsageGroupType = createObjectType<UsageGroup>(
  'UsageGroup',
  'Totals of a group of tasks. Each group has one currency, and tasks without a known price form a group of their own. Amounts are decimal numbers as strings.',
  {
    groupKey: nullable(
      String,
      'Value of the attribute that usage is grouped by: the day as YYYY-MM-DD in UTC, the model, or the ID of the API key or end user. Null for tasks without an API key or end user.',
    ),
    keyName: nullable(String, 'Name of the API key. Null if usage is grouped by another attribute.'),
    taskCount: field(Int, 'Number of tasks requested, whatever their status.'),
    imageCount: field(Int, 'Number of images delivered, including late ones.'),
    currency: nullable(
      String,
      'ISO 4217 currency code. Null if the price was unknown at the time of the request.',
    ),
    cost: nullable(
      String,
      'Cost of the delivered images, including late ones. Null if the price was unknown.',
    ),
    reserved: nullable(
      String,
      'Maximum total cost of the tasks that are not final yet. Null if the price was unknown.',
    ),
    uncertain: nullable(
      String,
      'Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. Null if the price was unknown.',
    ),
  },
);

const UsageGroupConnection = createConnectionType(
  'UsageGroup',
  UsageGroupType,
  'usage groups, by group key, then by currency',
);

@Resolver(() => UsageGroupType)
export class UsageResolver {
  constructor(private readonly usageService: Usage) {}

  @Authorized('audit:read')
  @Query(() => UsageGroupConnection, {
    description:
      'Totals of the tasks requested in a period. `/usage.csv` returns the same as a CSV file. A report that takes longer than 30 s ends with the error `REPORT_TIMED_OUT`, and a shorter period avoids that. Requires the scope `audit:read`.',
  })
  async usage(@Ctx() { caller, makeLeftSignal }: Context, @Args() { first, after, ...query }: UsageArgs) {
    const page = { first, after, clientLeft: makeLeftSignal() };
    return toConnection(await this.usageService.page(caller, query, page));
  }
}
