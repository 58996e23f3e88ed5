import { STATUS_CODES } from 'node:http';
import { type Request, type RequestHandler, type Response } from 'express';
import { type PublicError, reportError } from '../../core/public-error.js';

/** Builds the body of an error response from the translated error and the error itself. */
export type ErrorBody = (publicError: PublicError, context: { error: unknown; requestId: string }) => object;

/** The body on all paths without a protocol of their own. */
const defaultErrorBody = ({ code, message }: Pick<PublicError, 'code' | 'message'>) => ({
  error: { code, message },
});

/** The body of a GraphQL response without data. */
export const graphqlErrorBody = ({
  code,
  message,
  details,
}: Pick<PublicError, 'code' | 'message'> & Partial<PublicError>) => ({
  errors: [{ message, extensions: { code, ...details } }],
});

/** A body for clients of GraphQL and all others, where nothing is known of the request. */
export function bodyForAnyClient(error: Pick<PublicError, 'code' | 'message' | 'details'>): string {
  return JSON.stringify({ ...defaultErrorBody(error), ...graphqlErrorBody(error) });
}

/** A whole response before a connection is closed. */
export function lastResponse(status: number, error: Pick<PublicError, 'code' | 'message'>): string {
  const body = bodyForAnyClient({ ...error, details: {} });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'cache-control: no-store',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}

/** Creates middleware that gives the error responses of its path another body. */
export function withErrorBody(errorBody: ErrorBody): RequestHandler {
  return (_request, response, next) => {
    response.locals.errorBody = errorBody;
    next();
  };
}

/** Answers a request that failed. The request ID is also the ID of the error. */
export function replyWithError(error: unknown, request: Request, response: Response): void {
  const requestId = String(response.getHeader('x-request-id'));
  const publicError = reportError(error, request.log, requestId);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { errorBody = defaultErrorBody } = response.locals as { errorBody?: ErrorBody };
  // The request log warns of a 5xx status unless it is expected, such as the 504 of a held request that timed out.
  response.locals.isExpected = publicError.expected;
  response.set(publicError.headers).status(publicError.status);
  response.json(errorBody(publicError, { error, requestId }));
}
