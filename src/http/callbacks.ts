import express, { type Router } from 'express';
import { BadRequest, Unauthenticated } from '../core/errors.js';
import { type Generation } from '../services/generation.js';

/** A result holds links and a prompt, far below this; more is not the upstream. */
const MAX_CALLBACK_BODY = '10mb';

/**
 * Takes the upstream's callbacks. The link is the authentication: the upstream signs nothing. Answers 200 for whatever was
 * taken, also for the second time; the upstream promises no retries, so an error answer is only for what was not taken.
 */
export function callbackRoutes(generation: Generation): Router {
  const router = express.Router();
  const rawBody = express.raw({ type: () => true, limit: MAX_CALLBACK_BODY });
  router.post('/callbacks/flux/:taskId/:token', rawBody, async (request, response) => {
    const { taskId, token } = request.params;
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const receipt = await generation.receive(taskId, token, body);
    if (receipt === 'FORGED') throw new Unauthenticated('This is not the callback link of a task.');
    if (receipt === 'MALFORMED') {
      throw new BadRequest('The body is not a result. The task goes on: send it again as JSON.');
    }
    response.json({ received: true });
  });
  return router;
}
