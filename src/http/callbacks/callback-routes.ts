import express, { type RequestHandler, type Router } from 'express';
import { BadRequest, Unauthenticated } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type ReceivedCallbacks } from '../../services/callbacks/received-callbacks.js';
import { MAX_CALLBACK_BYTES, type RequestBodies, takeBody } from '../server/request-bodies.js';

export interface CallbackServices {
  receivedCallbacks: ReceivedCallbacks;
  signedLinks: SignedLinks;
  bodies: RequestBodies;
}

/**
 * Receives the upstream's callbacks. The link authenticates them, because the upstream signs nothing. Responds with 200 to
 * every accepted callback, also to a duplicate. The upstream promises no retries, so an error status is reserved for what
 * was not accepted.
 */
export function callbackRoutes({ receivedCallbacks, signedLinks, bodies }: CallbackServices): Router {
  const router = express.Router();
  const authenticate: RequestHandler<{ taskId: string; token: string }> = ({ params }, _response, next) => {
    if (signedLinks.verifyCallbackToken(params.taskId, params.token) !== null) return next();
    throw new Unauthenticated(
      'The callback link is invalid. Post to the link that the task was submitted with.',
    );
  };
  const rawBody = bodies.raw(MAX_CALLBACK_BYTES);
  router.post('/callbacks/flux/:taskId/:token', authenticate, rawBody, async (request, response) => {
    const { taskId, token } = request.params;
    const attempt = signedLinks.verifyCallbackToken(taskId, token);
    const body = takeBody(request);
    const callback = { id: newId(), attempt, body: Buffer.isBuffer(body) ? body : Buffer.alloc(0) };
    const verdict = await receivedCallbacks.receive(taskId, callback);
    if (verdict === 'MALFORMED') {
      throw new BadRequest('The body is not a result. The task continues. Send the result again as JSON.');
    }
    response.json({ received: true });
  });
  return router;
}
