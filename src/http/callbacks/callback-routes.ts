import express, { type Router } from 'express';
import { BadRequest, Unauthenticated } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type Addresses } from '../../services/access/signed-links.js';
import { type Generation } from '../../services/tasks/generation.js';

/** A result holds links and a prompt, far below this; more is not the upstream. */
const MAX_CALLBACK_BODY = '10mb';

/**
 * Takes the upstream's callbacks. The link is the authentication: the upstream signs nothing. Answers 200 for whatever was
 * taken, also for the second time; the upstream promises no retries, so an error answer is only for what was not taken.
 */
export function callbackRoutes(generation: Generation, addresses: Addresses): Router {
  const router = express.Router();
  const rawBody = express.raw({ type: () => true, limit: MAX_CALLBACK_BODY });
  router.post('/callbacks/flux/:taskId/:token', rawBody, async (request, response) => {
    const { taskId, token } = request.params;
    if (!addresses.isCallbackToken(taskId, token)) {
      throw new Unauthenticated('This is not the callback link of a task.');
    }
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const verdict = await generation.receive(taskId, { id: newId(), body });
    if (verdict === 'MALFORMED') {
      throw new BadRequest('The body is not a result. The task goes on: send it again as JSON.');
    }
    response.json({ received: true });
  });
  return router;
}
