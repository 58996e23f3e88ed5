import { setTimeout as delay } from 'node:timers/promises';
import { type TaskList } from 'graphile-worker';
import { type Logger } from 'pino';
import { AppError } from '../core/errors.js';
import { type JobName, type JobPayloads } from '../core/primitives/jobs.js';
import { type InstanceRepository } from '../db/instances/instance-repository.js';
import { RecurringRuns } from './recurring-runs.js';

/** What a handler receives besides the payload. */
export interface JobContext {
  jobId: string;
  /** 1 for the first run. */
  runNumber: number;
  /** Aborted when a recurring job exceeds its time limit. The handler then stops at the next occasion. */
  signal: AbortSignal;
}
export type JobHandlers = {
  [Name in JobName]: (payload: JobPayloads[Name], context: JobContext) => Promise<void>;
};

export interface JobRunsOptions {
  instances: InstanceRepository;
  handlers: JobHandlers;
  /** Recurring jobs: milliseconds from the end of one run to the start of the next, across all instances. */
  recurringIntervalsMs: Partial<Record<JobName, number>>;
  /** How long one run of a recurring job may take, in milliseconds. Default: 10 min. */
  recurringTimeLimitsMs?: Partial<Record<JobName, number>>;
  log: Logger;
}

/** Enough for the largest batches of the jobs that delete by age. */
const DEFAULT_TIME_LIMIT_MS = 600_000;
const NEVER_ABORTED = new AbortController().signal;
/** Time for the queue to record that the last job has finished. */
const FINAL_WRITE_WAIT_MS = 1_000;

/**
 * The jobs that this instance is running, whichever queue has fetched them. A job whose handler throws runs again later, with
 * the queue's exponential backoff, unless the error says that a retry cannot help.
 */
export class JobRuns {
  private readonly running = new Map<string, { ended: Promise<unknown>; flags: readonly string[] }>();
  private readonly recurringRuns = new RecurringRuns();

  constructor(private readonly options: JobRunsOptions) {}

  get count(): number {
    return this.running.size;
  }

  countWithFlag(flag: string): number {
    return [...this.running.values()].filter(({ flags }) => flags.includes(flag)).length;
  }

  has(jobId: string): boolean {
    return this.running.has(jobId);
  }

  /** Resolves when the jobs that are running now have finished. */
  async currentFinished(): Promise<void> {
    await Promise.allSettled([...this.running.values()].map(({ ended }) => ended));
  }

  /** Resolves when no job runs here and the last result had time to be written. The queue itself may never report it. */
  async allFinished(): Promise<void> {
    do {
      await this.currentFinished();
      await delay(FINAL_WRITE_WAIT_MS, undefined, { ref: false });
    } while (this.running.size > 0);
  }

  /** The handlers in the form that the queue calls. */
  taskList(): TaskList {
    const names = Object.keys(this.options.handlers) as JobName[];
    return Object.fromEntries(names.map((name) => [name, this.createTaskHandler(name)]));
  }

  private createTaskHandler(name: JobName): TaskList[string] {
    const { instances, recurringIntervalsMs } = this.options;
    const intervalMs = recurringIntervalsMs[name];
    return async (payload, { job }) => {
      const context = { jobId: job.id, runNumber: job.attempts, signal: NEVER_ABORTED };
      const ended = this.run(name, payload, context);
      const entry = { ended, flags: Object.keys(job.flags ?? {}) };
      this.running.set(job.id, entry);
      let hasFailed = true;
      try {
        hasFailed = (await ended).hasFailed;
      } finally {
        // A job that was taken over can have come back, and run twice here.
        if (this.running.get(job.id) === entry) this.running.delete(job.id);
        if (intervalMs !== undefined)
          await instances.queueNextRun({ jobId: job.id, name, intervalMs, hasFailed });
      }
    };
  }

  /** Returns whether the run failed because of us. Throws only if the queue has to run the job again. */
  private async run(name: JobName, payload: unknown, context: JobContext): Promise<{ hasFailed: boolean }> {
    const { handlers, recurringIntervalsMs, recurringTimeLimitsMs, log } = this.options;
    const handler = handlers[name] as (payload: unknown, context: JobContext) => Promise<void>;
    const isRecurring = recurringIntervalsMs[name] !== undefined;
    const timeLimitMs = recurringTimeLimitsMs?.[name] ?? DEFAULT_TIME_LIMIT_MS;
    try {
      if (isRecurring)
        await this.recurringRuns.run(name, timeLimitMs, (signal) => handler(payload, { ...context, signal }));
      else await handler(payload, context);
      return { hasFailed: false };
    } catch (error) {
      const isPermanent = error instanceof AppError && 'retryable' in error && error.retryable === false;
      log.warn({ err: error, job: name, run: context.runNumber, permanent: isPermanent }, 'a job failed');
      if (!isPermanent && !isRecurring) throw error;
      return { hasFailed: !isExpected(error) };
    }
  }
}

/** Whether an error is part of normal operation, such as that the upstream cannot be read. */
function isExpected(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isExpected);
  return error instanceof AppError && error.expected;
}
