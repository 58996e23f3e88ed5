import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type Budget, type BudgetScope } from '../../core/billing/money.js';
import { createConnectionType } from '../relay/connection.type.js';
import { Payload } from '../relay/payload.type.js';
import { createEnumType } from '../server/enum-type.js';

const BudgetScopeEnum = createEnumType<BudgetScope>('BudgetScope', 'Whose spending a budget limits.', {
  WORKSPACE: 'All tasks of the workspace.',
  API_KEY: 'Tasks requested with one API key.',
  END_USER: 'Tasks requested for one end user.',
});

@ObjectType('Budget', {
  description:
    'A monthly spending limit and how much of it is used. Months are in UTC, and a task counts in the month of its request. Amounts are decimal numbers as strings.',
  simpleResolvers: true,
})
export class BudgetType {
  @Field(() => BudgetScopeEnum, { description: 'Whose spending the budget limits.' })
  scope!: BudgetScope;

  @Field(() => ID, {
    description: "ID of the workspace or API key, or the workspace's own ID of the end user.",
  })
  scopeId!: string;

  @Field(() => String, { description: 'Month that the amounts are for, as YYYY-MM.' })
  month!: string;

  @Field(() => String, { description: 'ISO 4217 currency code, such as USD.' })
  currency!: string;

  @Field(() => String, { description: 'Maximum spending per month.' })
  limit!: string;

  @Field(() => String, { description: 'Maximum total cost of the tasks that are not final yet.' })
  reserved!: string;

  @Field(() => String, { description: 'Cost of the delivered images, including late ones.' })
  spent!: string;

  @Field(() => String, {
    description:
      'Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. It moves to `spent` if late images arrive, and is released if the upstream reports a failure.',
  })
  uncertain!: string;

  @Field(() => String, {
    description:
      '`limit` minus `reserved`, `spent` and `uncertain`. It can be negative if images arrived late, if more images arrived than were requested, or if the limit was lowered.',
  })
  remaining!: string;
}

export const BudgetConnection = createConnectionType(
  'Budget',
  BudgetType,
  'budgets: those of end users, then of API keys, then of the workspace, each by ID',
);

@InputType('SetBudgetInput', { description: 'Input for setting, changing or removing a budget.' })
export class SetBudgetInput {
  @Field(() => BudgetScopeEnum, { description: 'Whose spending to limit.' })
  scope!: BudgetScope;

  @Field(() => ID, {
    nullable: true,
    description:
      "ID of an API key of the workspace, or the workspace's own ID of an end user, 1 to 255 characters. Required for both. For WORKSPACE it can be omitted, and must be the ID of the caller's workspace otherwise.",
  })
  scopeId?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Maximum spending per month: a non-negative decimal number as a string, such as "12.50", with up to 12 digits before and 8 after the point. Null or omitted removes the budget.',
  })
  amount?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'ISO 4217 code of a currency in the price list, such as USD. It can be omitted if the price list has only one currency.',
  })
  currency?: string | null;
}

@ObjectType('SetBudgetPayload', { description: 'Output of `setBudget`.', simpleResolvers: true })
export class SetBudgetPayload extends Payload {
  @Field(() => BudgetType, {
    nullable: true,
    description:
      'The budget with its amounts in the current month. Null if it was removed or there are `userErrors`.',
  })
  budget!: Budget | null;
}
