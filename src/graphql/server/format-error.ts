import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { type Logger } from 'pino';
import { AppError, RateLimited } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';

/**
 * Turns any error of a GraphQL operation into what the client sees. An AppError keeps its message and code, and so does
 * an error of graphql-js about the document. Everything else is masked, with an ID that is also in the log. Stack traces
 * are never sent.
 */
export function createErrorFormatter(
  log: Logger,
): (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError {
  return (formatted, error) => {
    const original = unwrapResolverError(error);
    const { message, locations, path, extensions } = formatted;
    if (original instanceof AppError) {
      if (!original.expected) log.error({ err: original }, 'GraphQL request failed');
      const retryExtension = original instanceof RateLimited && { retryAfterMs: original.retryAfterMs };
      return {
        message: original.message,
        locations,
        path,
        extensions: { code: original.code, ...retryExtension },
      };
    }
    const isAboutDocument = original instanceof GraphQLError && extensions?.code !== 'INTERNAL_SERVER_ERROR';
    if (isAboutDocument) {
      const { code, retryAfterMs } = extensions ?? {};
      const retryExtension = retryAfterMs !== undefined && { retryAfterMs };
      return { message, locations, path, extensions: { code, ...retryExtension } };
    }

    const errorId = newId();
    log.error({ err: original, errorId }, 'GraphQL request failed unexpectedly');
    const maskedMessage = `Internal server error. Quote the error ID ${errorId} to the operator, whose log has the cause.`;
    return {
      message: maskedMessage,
      locations,
      path,
      extensions: { code: 'INTERNAL_SERVER_ERROR', errorId },
    };
  };
}
