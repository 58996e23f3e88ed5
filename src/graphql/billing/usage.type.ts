import { GraphQLDateTime } from 'graphql-scalars';
import { ArgsType, Field, Int, ObjectType } from 'type-graphql';
import { type UsageGrouping } from '../../core/billing/money.js';
import { createConnectionType } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { createEnumType } from '../server/enum-type.js';

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
export class UsageArgs extends PageArgs {
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

@ObjectType('UsageGroup', {
  description:
    'Totals of a group of tasks. Each group has one currency, and tasks without a known price form a group of their own. Amounts are decimal numbers as strings.',
  simpleResolvers: true,
})
export class UsageGroupType {
  @Field(() => String, {
    nullable: true,
    description:
      'Value of the attribute that usage is grouped by: the day as YYYY-MM-DD in UTC, the model, or the ID of the API key or end user. Null for tasks without an API key or end user.',
  })
  groupKey!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Name of the API key. Null if usage is grouped by another attribute.',
  })
  keyName!: string | null;

  @Field(() => Int, { description: 'Number of tasks requested, whatever their status.' })
  taskCount!: number;

  @Field(() => Int, { description: 'Number of images delivered, including late ones.' })
  imageCount!: number;

  @Field(() => String, {
    nullable: true,
    description: 'ISO 4217 currency code. Null if the price was unknown at the time of the request.',
  })
  currency!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Cost of the delivered images, including late ones. Null if the price was unknown.',
  })
  cost!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Maximum total cost of the tasks that are not final yet. Null if the price was unknown.',
  })
  reserved!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. Null if the price was unknown.',
  })
  uncertain!: string | null;
}

export const UsageGroupConnection = createConnectionType(
  'UsageGroup',
  UsageGroupType,
  'usage groups, by group key, then by currency',
);
