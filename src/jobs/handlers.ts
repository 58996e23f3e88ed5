import { type JobPayloads } from '../core/jobs.js';
import { type CallbackInbox } from '../services/callbacks/callback-inbox.js';
import { type Delivering } from '../services/webhooks/webhook-sender.js';
import { type Forgetting } from '../services/images/retention.js';
import { type Generation } from '../services/tasks/generation.js';
import { type Pictures } from '../services/images/ingest.js';
import { type Reconciliation } from '../services/tasks/reconciliation.js';
import { type Uploading } from '../services/images/uploads.js';

export interface JobServices {
  generation: Generation;
  pictures: Pictures;
  reconciliation: Reconciliation;
  delivering: Delivering;
  inbox: CallbackInbox;
  forgetting: Forgetting;
  uploading: Uploading;
}

/** Time comes in: what each job does, one service call each. */
export function jobHandlers({
  generation,
  pictures,
  reconciliation,
  delivering,
  inbox,
  forgetting,
  uploading,
}: JobServices) {
  return {
    'submit-task': ({ taskId }: JobPayloads['submit-task'], run: { jobId: string; attempt: number }) =>
      generation.submit({ id: run.jobId, attempt: run.attempt, taskId }),

    'store-images': ({ taskId }: JobPayloads['store-images'], run: { attempt: number }) =>
      pictures.storeAll(taskId, run.attempt),

    'reconcile-tasks': async () => {
      await reconciliation.expire();
      await reconciliation.reconcile();
    },

    'deliver-callback': () => Promise.resolve(delivering.wake()),

    'deliver-callbacks': () => Promise.resolve(delivering.wake()),

    'forget-callbacks': async () => {
      await inbox.forgetOld();
      await delivering.forgetOld();
    },

    'forget-pictures': async () => {
      await forgetting.forgetOld();
      await uploading.forgetOld();
      await forgetting.cleanUp();
    },

    'sweep-store': () => forgetting.sweep(),
  };
}
