import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { type Logger } from 'pino';
import { AppError } from '../../core/errors.js';
import { type PublicError, reportError, UNKNOWN_ERROR_CODE } from '../../core/public-error.js';

export type FormatError = (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError;

/**
 * Turns any error of a GraphQL operation into what the client sees. An error of graphql-js or Apollo about the request
 * keeps its message and code. The error that a resolver threw is translated.
 */
export function createErrorFormatter(log: Logger): FormatError {
  return ({ message, locations, path }, error) => {
    const code = requestErrorCode(error);
    if (code !== null) return { message, locations, path, extensions: { code } };
    const cause = error instanceof GraphQLError ? (error.originalError ?? error) : error;
    return { ...toFormattedError(reportError(cause, log)), locations, path };
  };
}

/** The GraphQL form of a translated error. */
export function toFormattedError({ message, code, details }: PublicError): GraphQLFormattedError {
  return { message, extensions: { code, ...details } };
}

/** How graphql-js begins what it says of an argument. test/contract/apollo-internals.test.ts fails if a new version differs. */
const ARGUMENT = /^Argument "/;

/**
 * Whether the value of an argument is the fault. A variable that may be null can be used for an argument with a default value that
 * may not, so this shows only when the field is executed.
 */
export function isArgumentError({ originalError }: GraphQLError): boolean {
  return originalError instanceof GraphQLError && ARGUMENT.test(originalError.message);
}

/** The code of an error about the request. Null for any other. graphql-js gives errors about variables no code. */
function requestErrorCode(error: unknown): unknown {
  if (error instanceof GraphQLError && isArgumentError(error)) return 'BAD_USER_INPUT';
  if (!(error instanceof GraphQLError) || error.path || error.originalError instanceof AppError) return null;
  const { code = 'BAD_USER_INPUT' } = error.extensions;
  return code === UNKNOWN_ERROR_CODE ? null : code;
}
