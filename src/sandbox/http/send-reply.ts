import { type ErrorRequestHandler, type Response } from 'express';
import { type Logger } from 'pino';
import { API_ERRORS, apiError } from '../../core/flux-api/flux-error.js';
import { newId } from '../../core/primitives/ids.js';
import { type Directives } from '../directives.js';
import { ApiRefusal } from './api-refusal.js';
import { BareRefusal } from './refusals.js';

/** What a client that is told to wait a second may do; the shortest wait that the header can say. */
const RETRY_AFTER_S = '1';

const HTML_502 = `<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>
`;

/** Sends the reply to a submission, or what the prompt asked for in its place. */
export function sendReply(
  response: Response,
  fault: Directives['reply'],
  status: number,
  body: object,
): void {
  switch (fault) {
    case 'dropped':
      response.destroy();
      break;
    case 'html':
      response.status(502).type('html').send(HTML_502);
      break;
    case 'timeout':
      sendRefusal(response, new ApiRefusal('timeout'));
      break;
    case undefined:
      if (status === API_ERRORS.too_many_requests.status) response.set('retry-after', RETRY_AFTER_S);
      response.status(status).json(body);
  }
}

/** Turns whatever a handler threw into the API's error envelope. A body that is not JSON is a `bad_request`. */
export function errorReplies(log: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error);
    if (error instanceof BareRefusal) {
      response.status(error.status).json(error.body);
    } else if (error instanceof ApiRefusal) {
      sendRefusal(response, error);
    } else if (isBodyError(error)) {
      sendRefusal(response, new ApiRefusal('bad_request', `The request cannot be read: ${error.message}`));
    } else {
      log.error({ err: error }, 'the sandbox failed');
      sendRefusal(response, new ApiRefusal('api_error'));
    }
  };
}

function sendRefusal(response: Response, refusal: ApiRefusal): void {
  if (refusal.body.code === 'too_many_requests') response.set('retry-after', RETRY_AFTER_S);
  const { code, message } = refusal.body;
  response.status(refusal.status).json({ success: false, error: apiError(code, message), trace_id: newId() });
}

/** Errors of express's body parser say by a 4xx status that the request is at fault. */
function isBodyError(error: unknown): error is Error {
  return (
    error instanceof Error && 'status' in error && Number(error.status) >= 400 && Number(error.status) < 500
  );
}
