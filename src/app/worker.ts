import { UPSTREAM_FLAG } from '../core/jobs.js';
import { Instances } from '../db/postgres/instance-repository.js';
import { jobHandlers } from '../jobs/handlers.js';
import { Heartbeat } from '../queue/heartbeat.js';
import { Worker } from '../queue/worker.js';
import { type Machines } from './adapters.js';
import { type Services } from './services.js';
import { type Start } from './start.js';

/** Retention is in days. */
const FORGET_EVERY_MS = 3_600_000;
const SWEEP_EVERY_MS = 60_000;
/** A fifth of the shortest wait between two attempts. */
const DELIVER_EVERY_MS = 1_000;
/** Besides those that wait for the upstream: pictures being stored, mostly. */
const OTHER_JOBS_AT_ONCE = 8;

/** The door of time: jobs, and what comes round again. It is not started yet. */
export function makeWorker(
  { db, gate }: Machines,
  services: Services,
  { config, log, tuning }: Start,
): Worker {
  const instances = new Instances(db);
  return new Worker({
    heartbeat: new Heartbeat(instances, log),
    instances,
    pool: db.pool,
    handlers: jobHandlers(services),
    recurring: {
      'reconcile-tasks': tuning.reconcileEveryMs ?? 1_000,
      'deliver-callbacks': tuning.reconcileEveryMs ?? DELIVER_EVERY_MS,
      'forget-callbacks': FORGET_EVERY_MS,
      'forget-pictures': FORGET_EVERY_MS,
      'sweep-store': tuning.sweepEveryMs ?? SWEEP_EVERY_MS,
    },
    skip: () => (gate.isShut ? [UPSTREAM_FLAG] : []),
    concurrency: config.flux.concurrency + OTHER_JOBS_AT_ONCE,
    log,
  });
}
