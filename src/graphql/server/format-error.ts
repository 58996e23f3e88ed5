import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { type Logger } from 'pino';
import { AppError, RateLimited } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';

/**
 * The one place where an error becomes an answer. Ours keep their message and code; what graphql says about a document
 * keeps its own; everything else is masked, with an id by which the log has it. Never a stack trace.
 */
export function formatError(
  log: Logger,
): (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError {
  return (formatted, error) => {
    const original = unwrapResolverError(error);
    const { message, locations, path, extensions } = formatted;
    if (original instanceof AppError) {
      if (!original.expected) log.error({ err: original }, 'a GraphQL request failed');
      const retry = original instanceof RateLimited && { retryAfterMs: original.retryAfterMs };
      return { message: original.message, locations, path, extensions: { code: original.code, ...retry } };
    }
    const isAboutDocument = original instanceof GraphQLError && extensions?.code !== 'INTERNAL_SERVER_ERROR';
    if (isAboutDocument) {
      const { code, retryAfterMs } = extensions ?? {};
      const retry = retryAfterMs !== undefined && { retryAfterMs };
      return { message, locations, path, extensions: { code, ...retry } };
    }

    const errorId = newId();
    log.error({ err: original, errorId }, 'a GraphQL request failed unexpectedly');
    const masked = `Something went wrong on our side. The log knows it as ${errorId}.`;
    return { message: masked, locations, path, extensions: { code: 'INTERNAL_SERVER_ERROR', errorId } };
  };
}
