import { type Response, Router } from 'express';
import { NotFound, ResultNotReady } from '../../core/errors.js';
import {
  fluxError,
  FLUX_ERRORS,
  FLUX_REQUEST_ERRORS,
  OTHER_FLUX_ERROR,
} from '../../core/flux-api/flux-errors.js';
import { type FluxApi } from '../../services/flux-api/flux-api.js';
import { type HeldRequests } from '../../services/flux-api/held-requests.js';
import { parseImagesRequest, parseTasksRequest, toTaskListing } from './flux-body.js';
import { authenticateAgain, type AuthServices, authorize, callerOf } from '../access/authorize.js';
import { idempotencyKeyOf } from '../tasks/idempotency-key.js';
import { onClose } from '../server/on-close.js';
import { type ErrorBody, withErrorBody } from '../server/reply-with-error.js';
import { MAX_JSON_BYTES, takeBody } from '../server/request-bodies.js';

/**
 * Routes below `/flux`: the Flux API with the paths, bodies and errors of the hosted one. Its clients only change the
 * base URL and the API key.
 */
export function fluxRoutes(auth: AuthServices, api: FluxApi, heldRequests: HeldRequests): Router {
  const router = Router();
  // Accepts every JSON value, so that our own message answers a body that is not an object.
  const jsonBody = Router().use(auth.bodies.json(MAX_JSON_BYTES, { strict: false }), authenticateAgain(auth));

  router.use('/flux', withErrorBody(fluxErrorBody));
  router.post('/flux/images', authorize(auth, 'tasks:write'), jsonBody, async (request, response) => {
    const caller = callerOf(response);
    const traceId = traceIdOf(response);
    const imageRequest = parseImagesRequest(takeBody(request), idempotencyKeyOf(request));
    if (!imageRequest.waitForResult) {
      const { id } = await api.createTask(caller, imageRequest, traceId);
      response.json({ success: true, task_id: id, trace_id: traceId });
      return;
    }
    const heldRequest = await heldRequests.hold(caller);
    // Runs when the client disconnects, and also after every response.
    onClose(response, () => heldRequest.finish('left'));
    const reply = await api.createAndWait(caller, imageRequest, { traceId, heldRequest });
    if (!reply) return;
    // A 5xx status here reports a failed task, not a failed request, so the request log does not warn of it.
    response.locals.isExpected = true;
    response.status(reply.success ? 200 : FLUX_ERRORS[reply.error.code].status).json(reply);
  });

  router.post('/flux/tasks', authorize(auth, 'tasks:read'), jsonBody, async (request, response) => {
    const caller = callerOf(response);
    const query = parseTasksRequest(takeBody(request));
    if (query.action === 'retrieve') {
      const [task = {}] = await api.retrieve(caller, [query.id]);
      response.json(task);
      return;
    }
    if (query.ids) {
      const items = await api.retrieve(caller, query.ids);
      response.json({ items, count: items.length });
      return;
    }
    const listing = toTaskListing(query);
    response.json(listing ? await api.list(caller, listing) : { items: [], count: 0 });
  });

  router.use('/flux', () => {
    throw new NotFound('Unknown API. Use POST /flux/images or POST /flux/tasks.');
  });
  return router;
}

/** The error envelope of the Flux API. */
const fluxErrorBody: ErrorBody = ({ code, message }, { error, requestId }) => ({
  success: false,
  ...(error instanceof ResultNotReady && { task_id: error.taskId }),
  error: fluxError((FLUX_REQUEST_ERRORS[code] ?? OTHER_FLUX_ERROR).code, message),
  trace_id: requestId,
});

function traceIdOf(response: Response): string {
  return String(response.getHeader('x-request-id'));
}
