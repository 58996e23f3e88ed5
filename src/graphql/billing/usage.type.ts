import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { USAGE_GROUPINGS } from '../../core/billing/money.js';

export const UsageGroupingEnum = Object.fromEntries(USAGE_GROUPINGS.map((grouping) => [grouping, grouping]));
registerEnumType(UsageGroupingEnum, {
  name: 'UsageGrouping',
  description: 'What usage is added up by.',
  valuesConfig: {
    DAY: { description: 'By the day of the request, by UTC.' },
    MODEL: { description: 'By model.' },
    KEY: { description: 'By the key that the request came with.' },
    END_USER: { description: 'By the end user that the request was for.' },
  },
});

@ObjectType('UsageGroup', {
  description:
    'What the tasks of a group came to. Those without a known price, and those in another currency, are a group of their own. Amounts are decimal numbers as text.',
  simpleResolvers: true,
})
export class UsageGroupType {
  @Field(() => String, {
    nullable: true,
    description:
      'The day (YYYY-MM-DD), the model, the id of the key, or of the end user. Null: tasks that have none.',
  })
  key!: string | null;

  @Field(() => String, { nullable: true, description: 'The name of the key; null in other groupings.' })
  name!: string | null;

  @Field(() => Int, { description: 'Tasks that were asked for, whatever became of them.' })
  tasks!: number;

  @Field(() => Int, { description: 'Pictures that were delivered, in time or late.' })
  images!: number;

  @Field(() => String, {
    nullable: true,
    description: 'Three letters; null: no price was known when these were asked for.',
  })
  currency!: string | null;

  @Field(() => String, { nullable: true, description: 'What these pictures cost; null: unknown.' })
  cost!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'What those of the tasks that have not ended can cost; null: unknown.',
  })
  reserved!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'What the upstream may have billed for tasks that were given up after they had been sent, which nobody can know; null: unknown.',
  })
  held!: string | null;
}
