import { Field, ObjectType } from 'type-graphql';
import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';

@ObjectType('UserError', {
  description:
    'A problem with the input of a mutation that the caller can fix. The mutation changed nothing.',
  simpleResolvers: true,
})
export class UserErrorType {
  @Field(() => String, { description: 'Stable code in SCREAMING_CASE, listed in docs/ERRORS.md.' })
  code!: string;

  @Field(() => String, { description: 'Human-readable sentence: what is wrong and how to fix it.' })
  message!: string;

  @Field(() => [String], {
    nullable: true,
    description:
      'Path of the offending argument, such as ["input", "size"]. Null if the problem is not in one argument.',
  })
  field!: string[] | null;
}

/** Base of every mutation's output. The schema shows only the classes that extend it. */
@ObjectType('Payload', { simpleResolvers: true })
export abstract class Payload {
  @Field(() => [UserErrorType], { description: 'Every problem with the input. Empty on success.' })
  userErrors!: readonly UserErrorType[];
}

/** Runs the service call of a mutation. An InputRejected becomes the `userErrors` of `failurePayload`. */
export async function withUserErrors<Success extends object, Failure extends object>(
  failurePayload: Failure,
  mutate: () => Promise<Success>,
): Promise<(Success | Failure) & { userErrors: readonly UserError[] }> {
  try {
    return { ...(await mutate()), userErrors: [] };
  } catch (error) {
    if (!(error instanceof InputRejected)) throw error;
    return { ...failurePayload, userErrors: error.errors };
  }
}
