import express, { type Response, type Router } from 'express';
import { NotFound } from '../../core/errors.js';
import { API_ERRORS } from '../../core/flux-api/flux-error.js';
import { type FluxApi } from '../../services/flux-api/flux-api.js';
import { type Waiting } from '../../services/flux-api/held-requests.js';
import { readOrder, readWanted } from './flux-body.js';
import { answerFluxError } from './flux-error-reply.js';
import { callerOf, type Entry, identify } from '../access/authenticate.js';
import { onceClosed } from '../server/once-closed.js';

const MAX_BODY = '1mb';

/**
 * `/flux`: the Flux API with the paths, bodies and errors of the hosted one, so that its clients need another address and
 * another key, and nothing else.
 */
export function fluxRoutes(entry: Entry, api: FluxApi, waiting: Waiting): Router {
  const router = express.Router();
  // Not only objects: what else was sent is told in our words.
  const json = express.json({ limit: MAX_BODY, strict: false });

  router.post('/flux/images', identify(entry, 'tasks:write'), json, async (request, response) => {
    const caller = callerOf(response);
    const traceId = traceIdOf(response);
    const order = readOrder(request.body, request.get('idempotency-key'));
    if (!order.waits) {
      const { id } = await api.take(caller, order, traceId);
      response.json({ success: true, task_id: id, trace_id: traceId });
      return;
    }
    const hold = await waiting.hold(caller);
    // Its client may hang up, and every answer ends so too.
    onceClosed(response, () => hold.finish('left'));
    const reply = await api.fulfil(caller, order, traceId, hold);
    if (!reply) return;
    // Also with a status above 500: it is the task that has failed.
    response.locals.isExpected = true;
    response.status(reply.success ? 200 : API_ERRORS[reply.error.code].status).json(reply);
  });

  router.post('/flux/tasks', identify(entry, 'tasks:read'), json, async (request, response) => {
    const caller = callerOf(response);
    const wanted = readWanted(request.body);
    if (wanted.action === 'retrieve') {
      const [view = {}] = await api.views(caller, [wanted.id]);
      response.json(view);
      return;
    }
    const items = await api.views(caller, wanted.ids);
    response.json({ items, count: items.length });
  });

  router.use('/flux', () => {
    throw new NotFound('There is no such API. There are: POST /flux/images, POST /flux/tasks.');
  });
  router.use('/flux', answerFluxError);
  return router;
}

function traceIdOf(response: Response): string {
  return String(response.getHeader('x-request-id'));
}
