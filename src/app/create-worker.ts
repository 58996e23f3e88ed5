import { INGEST_JOB_FLAG, UPSTREAM_JOB_FLAG } from '../core/primitives/jobs.js';
import { InstanceRepository } from '../db/instances/instance-repository.js';
import { createJobHandlers } from '../jobs/handlers.js';
import { Heartbeat } from '../queue/heartbeat.js';
import { Worker } from '../queue/worker.js';
import { buildJobServices } from './build-job-services.js';
import { type Adapters } from './adapters.js';
import { type Services } from './services.js';
import { type AppContext } from './app-context.js';

/** Hourly is often enough, because retention is set in days. */
const RETENTION_INTERVAL_MS = 3_600_000;
const UNUSED_BLOB_INTERVAL_MS = 60_000;
/** In this time, a table can grow by some thousand rows, which a scan reads in milliseconds. */
const STATISTICS_INTERVAL_MS = 15_000;
/** The shortest delay before another attempt to store an image. */
const INGEST_POLL_INTERVAL_MS = 1_000;
/** A fifth of the shortest delay between two attempts. */
const WEBHOOK_POLL_INTERVAL_MS = 1_000;
/** Longer than the time limits of the calls that a run makes, one after another. The jobs that delete by age have ten minutes. */
const RECURRING_TIME_LIMITS_MS = {
  'expire-tasks': 120_000,
  'reconcile-tasks': 120_000,
  'deliver-due-webhooks': 10_000,
  'queue-due-ingests': 10_000,
  'delete-unused-blobs': 180_000,
  'analyze-grown-tables': 180_000,
};
/** Two images are decoded at a time, so more would only help while downloads are slow. */
const MAX_INGEST_JOBS = 8;
/** Every recurring job once, because each has one row, and one for the others, which end at once. */
const OTHER_JOBS = 10;

/** Creates the worker for queued and recurring jobs, without starting it. */
export function createWorker(adapters: Adapters, services: Services, context: AppContext): Worker {
  const { db, upstreamGate } = adapters;
  const { config, log, tuning } = context;
  const instances = new InstanceRepository(db);
  return new Worker({
    heartbeat: new Heartbeat(instances, log),
    instances,
    pool: db.pool,
    handlers: createJobHandlers(buildJobServices(adapters, services, context)),
    recurringIntervalsMs: {
      'expire-tasks': tuning.reconcileIntervalMs ?? 1_000,
      'reconcile-tasks': tuning.reconcileIntervalMs ?? 1_000,
      'deliver-due-webhooks': tuning.reconcileIntervalMs ?? WEBHOOK_POLL_INTERVAL_MS,
      'queue-due-ingests': tuning.reconcileIntervalMs ?? INGEST_POLL_INTERVAL_MS,
      'delete-old-callbacks': RETENTION_INTERVAL_MS,
      'delete-old-records': RETENTION_INTERVAL_MS,
      'delete-old-images': RETENTION_INTERVAL_MS,
      'delete-unused-blobs': tuning.unusedBlobIntervalMs ?? UNUSED_BLOB_INTERVAL_MS,
      'analyze-grown-tables': STATISTICS_INTERVAL_MS,
    },
    recurringTimeLimitsMs: RECURRING_TIME_LIMITS_MS,
    onFatal: tuning.onFatal,
    forbiddenFlags: () => (upstreamGate.isBlocked ? [UPSTREAM_JOB_FLAG] : []),
    maxRunningByFlag: {
      [UPSTREAM_JOB_FLAG]: config.flux.maxConcurrentSubmissions,
      [INGEST_JOB_FLAG]: MAX_INGEST_JOBS,
    },
    concurrency: config.flux.maxConcurrentSubmissions + MAX_INGEST_JOBS + OTHER_JOBS,
    log,
  });
}
