import { Field, ObjectType } from 'type-graphql';
import { InputRejected } from '../../core/errors.js';
import { type InputFault } from '../../core/tasks/input-fault.js';

@ObjectType('UserError', {
  description: 'Something the caller can mend. Nothing was written and nothing was sent.',
  simpleResolvers: true,
})
export class UserErrorType {
  @Field(() => String, { description: 'Stable, SCREAMING_CASE, listed in docs/ERRORS.md.' })
  code!: string;

  @Field(() => String, { description: 'What is wrong and what works instead, as a sentence for a person.' })
  message!: string;

  @Field(() => [String], {
    nullable: true,
    description: 'The path in the arguments, such as ["input", "size"].',
  })
  field!: string[] | null;
}

/** Runs a mutation's service call; what the caller can mend becomes `userErrors` of the payload. */
export async function withUserErrors<Payload extends object, Refused extends object>(
  refused: Refused,
  call: () => Promise<Payload>,
): Promise<(Payload | Refused) & { userErrors: readonly InputFault[] }> {
  try {
    return { ...(await call()), userErrors: [] };
  } catch (error) {
    if (!(error instanceof InputRejected)) throw error;
    return { ...refused, userErrors: error.faults };
  }
}
