import { type JobPayloads } from '../core/primitives/jobs.js';
import { runEach } from '../core/primitives/async.js';
import { type Audit } from '../services/access/audit.js';
import { type CallbackInbox } from '../services/callbacks/callback-inbox.js';
import { type WebhookSender } from '../services/webhooks/webhook-sender.js';
import { type Retention } from '../services/images/retention.js';
import { type RateLimits } from '../services/limits/rate-limits.js';
import { type Generation } from '../services/tasks/generation.js';
import { type ImageIngest } from '../services/images/ingest.js';
import { type Expiry } from '../services/tasks/expiry/expiry.js';
import { type Reconciliation } from '../services/tasks/reconciliation.js';
import { type Uploads } from '../services/images/uploads.js';
import { type TableStatistics } from '../services/operations/table-statistics.js';

export interface JobServices {
  generation: Generation;
  imageIngest: ImageIngest;
  expiry: Expiry;
  reconciliation: Reconciliation;
  webhookSender: WebhookSender;
  callbackInbox: CallbackInbox;
  audit: Audit;
  rateLimits: RateLimits;
  retention: Retention;
  uploads: Uploads;
  tableStatistics: TableStatistics;
}

/** Aborted when the run exceeds its time limit. */
interface RecurringRun {
  signal: AbortSignal;
}

/** The handler of each job. */
export function createJobHandlers(services: JobServices) {
  return {
    'submit-task': ({ taskId }: JobPayloads['submit-task'], run: { jobId: string; runNumber: number }) =>
      services.generation.submit({ id: run.jobId, runNumber: run.runNumber, taskId }),

    'ingest-images': ({ taskId, imageIds }: JobPayloads['ingest-images']) =>
      services.imageIngest.ingestTaskImages(taskId, imageIds),

    'queue-due-ingests': () => services.imageIngest.queueDue(),

    // Apart from reading the upstream, which can hang.
    'expire-tasks': () => services.expiry.expireUnread(),

    'reconcile-tasks': () =>
      runEach([() => services.expiry.settleAccepted(), () => services.reconciliation.reconcile()]),

    'deliver-webhook': () => Promise.resolve(services.webhookSender.wake()),

    'deliver-due-webhooks': () => Promise.resolve(services.webhookSender.wake()),

    'delete-old-callbacks': (_payload: unknown, { signal }: RecurringRun) =>
      runEach([
        () => services.callbackInbox.deleteOld(signal),
        () => services.webhookSender.deleteOldAttempts(signal),
      ]),

    'delete-old-records': (_payload: unknown, { signal }: RecurringRun) =>
      runEach([
        () => services.webhookSender.deleteOldDeliveries(signal),
        () => services.rateLimits.deleteEndedWindows(signal),
        () => services.rateLimits.deleteExpiredLeases(signal),
        () => services.audit.deleteOldFailures(signal),
      ]),

    'delete-old-images': (_payload: unknown, { signal }: RecurringRun) =>
      runEach([
        () => services.retention.deleteExpired(signal),
        () => services.uploads.deleteExpired(signal),
        () => services.retention.removeTemporaryFiles(),
      ]),

    'delete-unused-blobs': (_payload: unknown, { signal }: RecurringRun) =>
      services.retention.deleteUnusedBlobs(signal),

    'analyze-grown-tables': (_payload: unknown, { signal }: RecurringRun) =>
      services.tableStatistics.analyzeGrown(signal),
  };
}
