import express, { type Router } from 'express';
import { type Health } from '../../services/health.js';

/** `/healthz`: the process runs. `/readyz`: it can do its work, or which part cannot; 503 then. */
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
