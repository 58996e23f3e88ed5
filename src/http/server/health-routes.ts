import express, { type Router } from 'express';
import { type Health } from '../../services/health.js';

/** `/healthz` reports that the process runs. `/readyz` reports the health of each component, with status 503 if one is down. */
export function healthRoutes(health: Health): Router {
  const router = express.Router();
  router.get('/healthz', (_request, response) => {
    response.json({ ok: true });
  });
  router.get('/readyz', async (_request, response) => {
    const readiness = await health.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  });
  return router;
}
