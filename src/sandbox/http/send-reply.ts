import { type ErrorRequestHandler, type Response } from 'express';
import { type Logger } from 'pino';
import { FLUX_ERRORS } from '../../core/flux-api/flux-errors.js';
import { type Directives } from '../directives.js';
import { ApiRefusal, PlainStringRefusal } from './api-refusal.js';

/** The shortest delay that the header can express. */
const RETRY_AFTER_SECONDS = '1';

const HTML_502 = `<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>
`;

/** Sends the reply to a submission, or the fault that its prompt requests instead. @throws ApiRefusal for `timeout`. */
export function sendReply(
  response: Response,
  { fault, status, reply }: { fault: Directives['reply']; status: number; reply: object },
): void {
  switch (fault) {
    case 'dropped':
      response.destroy();
      break;
    case 'html':
      response.status(502).type('html').send(HTML_502);
      break;
    case 'timeout':
      throw new ApiRefusal('timeout');
    case undefined:
      sendJson(response, { status, reply });
  }
}

/** Turns any error of a handler into the API's error envelope. A body that is not JSON is a `bad_request`. */
export function createErrorHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error);
    if (error instanceof PlainStringRefusal || error instanceof ApiRefusal) {
      sendJson(response, error);
    } else if (isBodyError(error)) {
      sendJson(response, new ApiRefusal('bad_request', `The request body is invalid: ${error.message}`));
    } else {
      log.error({ err: error }, 'the sandbox failed');
      sendJson(response, new ApiRefusal('api_error'));
    }
  };
}

function sendJson(response: Response, { status, reply }: { status: number; reply: object }): void {
  if (status === FLUX_ERRORS.too_many_requests.status) response.set('retry-after', RETRY_AFTER_SECONDS);
  response.status(status).json(reply);
}

/** Express's body parser marks errors in the request with a 4xx status. */
function isBodyError(error: unknown): error is Error {
  return (
    error instanceof Error && 'status' in error && Number(error.status) >= 400 && Number(error.status) < 500
  );
}
