/** The work that waits in the queue: the name of each job and what it is given. */
export interface JobPayloads {
  /** A ticket: it sends the task whose turn it is, which need not be the one that it was queued with. */
  'submit-task': { taskId: string };
  'store-images': { taskId: string };
  'reconcile-tasks': Record<string, never>;
  'deliver-callback': { taskId: string };
  'deliver-callbacks': Record<string, never>;
  'forget-callbacks': Record<string, never>;
  'forget-pictures': Record<string, never>;
  'sweep-store': Record<string, never>;
}
export type JobName = keyof JobPayloads;

/** The flag on jobs that ask something of the upstream: the queue leaves them alone while it cannot be asked. */
export const UPSTREAM_FLAG = 'upstream';

/** A job to be added in the same commit as the rows that it is about. */
export interface NewJob<Name extends JobName = JobName> {
  name: Name;
  payload: JobPayloads[Name];
  /** Not before; absent: at once. */
  runAt?: Date;
}

/** A run of a ticket. While it is not over, the ticket stays in the queue, and another run of it has another attempt. */
export interface Ticket {
  /** The id of its job. */
  id: string;
  /** Which run of it, from 1. */
  attempt: number;
  /** The task that it was queued with. */
  taskId: string;
}
