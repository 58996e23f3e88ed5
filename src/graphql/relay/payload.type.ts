import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';
import { createObjectType, field, type FieldDefinitions, nullable } from '../server/schema-types.js';

const UserErrorType = createObjectType<UserError>(
  'UserError',
  'A problem with the input of a mutation that the caller can fix. The mutation changed nothing.',
  {
    code: field(String, 'Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md.'),
    message: field(String, 'Human-readable sentence: what is wrong and how to fix it.'),
    field: nullable(
      [String],
      'Path of the offending argument, such as ["input", "size"]. Null if the problem is not in one argument.',
    ),
  },
);

/** Creates the output type of a mutation. */
export function createPayloadType(mutation: string, fields: FieldDefinitions) {
  const name = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Payload`;
  return createObjectType<Record<string, unknown>>(name, `Output of \`${mutation}\`.`, {
    userErrors: field([UserErrorType], 'The problems with the input. Empty on success.'),
    ...fields,
  });
}

/** A field of a payload that is null if there are `userErrors`. */
export function onSuccess(type: object, description: string) {
  return nullable(type, `${description} Null if there are \`userErrors\`.`);
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
