import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import { type Budget, BUDGET_SCOPES, type BudgetScope } from '../../core/billing/money.js';
import { UserErrorType } from '../relay/user-error.type.js';

export const BudgetScopeEnum = Object.fromEntries(BUDGET_SCOPES.map((scope) => [scope, scope]));
registerEnumType(BudgetScopeEnum, {
  name: 'BudgetScope',
  description: 'Whose spending a budget bounds.',
  valuesConfig: {
    WORKSPACE: { description: 'Of the whole workspace.' },
    KEY: { description: 'Of what is asked for with one key.' },
    END_USER: { description: 'Of what is asked for on behalf of one user of the workspace.' },
  },
});

@ObjectType('Budget', {
  description:
    "What one month's spending may come to, by UTC, and how it stands. A task counts in the month of its request. Amounts are decimal numbers as text.",
  simpleResolvers: true,
})
export class BudgetType {
  @Field(() => BudgetScopeEnum, { description: 'Whose spending it bounds.' })
  scope!: BudgetScope;

  @Field(() => ID, {
    description: "The id of the workspace or the key, or the workspace's own id of its user.",
  })
  id!: string;

  @Field(() => String, { description: 'YYYY-MM.' })
  month!: string;

  @Field(() => String, { description: 'Three letters, as ISO 4217 has them.' })
  currency!: string;

  @Field(() => String, { description: 'What may be spent in a month.' })
  limit!: string;

  @Field(() => String, { description: 'What tasks that have not ended can cost.' })
  reserved!: string;

  @Field(() => String, { description: 'What was delivered has cost.' })
  spent!: string;

  @Field(() => String, {
    description:
      'For tasks that were canceled or expired after they had been sent: the upstream may have billed them, and nobody can know. It becomes `spent` where late pictures come.',
  })
  held!: string;

  @Field(() => String, {
    description:
      'The limit without the other three. Below zero where pictures came late, or more than were asked for, or the limit was lowered.',
  })
  remaining!: string;
}

@InputType('SetBudgetInput', { description: 'What may be spent in a month.' })
export class SetBudgetInput {
  @Field(() => BudgetScopeEnum, { description: 'Whose spending to bound.' })
  scope!: BudgetScope;

  @Field(() => ID, {
    nullable: true,
    description:
      'The id of a key of the workspace, or your id of your user. Of a workspace only your own, which is what it is when absent.',
  })
  id?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'A decimal number as text, such as "12.50": not below 0, up to 12 digits, and 8 after the point. Null or absent: there shall be no budget.',
  })
  amount?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      "One of the price list's currencies, such as USD. Absent: the one of the price list, where it has only one.",
  })
  currency?: string | null;
}

@ObjectType('SetBudgetPayload', { description: 'The answer to setBudget.', simpleResolvers: true })
export class SetBudgetPayload {
  @Field(() => BudgetType, {
    nullable: true,
    description: 'How it stands in the present month; null where it was removed, or there are userErrors.',
  })
  budget!: Budget | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
