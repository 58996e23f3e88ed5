import { type ClassType, Field, ObjectType } from 'type-graphql';
import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';

@ObjectType('UserError', {
  description:
    'A problem with the input of a mutation that the caller can fix. The mutation changed nothing.',
  simpleResolvers: true,
})
export class UserErrorType {
  @Field(() => String, { description: 'Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md.' })
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

/** Fields by name, each with its type and description. They are null if there are `userErrors`. */
export type PayloadFields = Record<string, [type: object, description: string]>;

/** Creates the output type of a mutation. */
export function createPayloadType(mutation: string, fields: PayloadFields): ClassType<Payload> {
  const name = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Payload`;
  @ObjectType(name, { description: `Output of \`${mutation}\`.`, simpleResolvers: true })
  class MutationPayload extends Payload {}
  for (const [field, [type, text]] of Object.entries(fields)) {
    const options = { nullable: true, description: `${text} Null if there are \`userErrors\`.` };
    Field(() => type, options)(MutationPayload.prototype, field);
  }
  return MutationPayload;
}

/** Runs the service call of a mutation. An InputRejected becomes `userErrors`, with `otherFields` that must not be null. */
export async function withUserErrors<Success extends object>(
  mutate: () => Promise<Success>,
  otherFields: Partial<Success> = {},
): Promise<(Success | Partial<Success>) & { userErrors: readonly UserError[] }> {
  try {
    return { ...(await mutate()), userErrors: [] };
  } catch (error) {
    if (!(error instanceof InputRejected)) throw error;
    return { ...otherFields, userErrors: error.errors };
  }
}
