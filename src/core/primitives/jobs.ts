/** Names of the jobs in the queue, each with its payload. */
export interface JobPayloads {
  /** Submits the next task by fair scheduling, which need not be the task that the job was created with. */
  'submit-task': { taskId: string };
  /** Without IDs, ingests every image of the task that is not stored yet. */
  'ingest-images': { taskId: string; imageIds?: string[] };
  'queue-due-ingests': Record<string, never>;
  'expire-tasks': Record<string, never>;
  'reconcile-tasks': Record<string, never>;
  'deliver-webhook': { taskId: string };
  'deliver-due-webhooks': Record<string, never>;
  'delete-old-callbacks': Record<string, never>;
  'delete-old-records': Record<string, never>;
  'delete-old-images': Record<string, never>;
  'delete-unused-blobs': Record<string, never>;
  'analyze-grown-tables': Record<string, never>;
}
export type JobName = keyof JobPayloads;

/** Flag of the jobs that call the upstream. The queue skips them while the upstream is down. */
export const UPSTREAM_JOB_FLAG = 'upstream';
/** Flag of the jobs that download images, which may have to wait for the host of the image. */
export const INGEST_JOB_FLAG = 'ingest';

/** A job to add in the same commit as the rows that it is about. */
export interface NewJob<Name extends JobName = JobName> {
  name: Name;
  payload: JobPayloads[Name];
}

/**
 * One run of a `submit-task` job. Until a run succeeds, the job stays in the queue, and each run has its own number.
 */
export interface SubmitJob {
  /** ID of the job in the queue. */
  id: string;
  /** Number of this run, from 1. */
  runNumber: number;
  /** The task that the job was created with. */
  taskId: string;
}
