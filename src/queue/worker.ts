import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Logger as WorkerLogger,
  makeWorkerUtils,
  run,
  type Runner,
  type RunnerOptions,
  type WorkerEvents,
  type WorkerUtils,
} from 'graphile-worker';
import { type Logger } from 'pino';
import { AppError } from '../core/errors.js';
import { type JobName, type JobPayloads } from '../core/primitives/jobs.js';
import { Progress } from '../core/primitives/progress.js';
import { type InstanceRepository } from '../db/postgres/instance-repository.js';
import { type Heartbeat } from './heartbeat.js';
import { RecurringRuns } from './recurring-runs.js';

/** What a handler receives besides the payload. */
export interface JobContext {
  jobId: string;
  /** 1 for the first run. */
  attempt: number;
  /** Aborted when a recurring job exceeds its time limit. The handler then stops at the next occasion. */
  signal: AbortSignal;
}
export type JobHandlers = {
  [Name in JobName]: (payload: JobPayloads[Name], context: JobContext) => Promise<void>;
};

export interface WorkerOptions {
  heartbeat: Heartbeat;
  instances: InstanceRepository;
  pool: NonNullable<RunnerOptions['pgPool']>;
  handlers: JobHandlers;
  /** Recurring jobs: milliseconds from the end of one run to the start of the next, across all instances. */
  recurringIntervalsMs: Partial<Record<JobName, number>>;
  /** How long one run of a recurring job may take, in milliseconds. Default: 10 min. */
  recurringTimeLimitsMs?: Partial<Record<JobName, number>>;
  /** Jobs with one of these flags are skipped for now. */
  forbiddenFlags: () => string[];
  /** Jobs that this instance runs at the same time. */
  concurrency: number;
  /** Called when replacing the queue does not help, although PostgreSQL responds. */
  onFatal?: (reason: string) => void;
  log: Logger;
}

/** A recurring job lost with its instance is queued again within this time. Orphaned jobs are found within twice as long. */
const SAFETY_POLL_INTERVAL_MS = 5_000;
/** Enough for the largest batches of the jobs that delete by age. */
const DEFAULT_TIME_LIMIT_MS = 600_000;
const NEVER_ABORTED = new AbortController().signal;
/** At shutdown, running jobs may take this long before they are released. */
const SHUTDOWN_GRACE_MS = 6_000;
/** Delay before a queue that stopped on its own is started again. */
const RESTART_DELAY_MS = 1_000;
/** A queue with a free slot that has not looked for jobs for this long, while PostgreSQL responds, is replaced. */
const STALLED_AFTER_MS = 3_000;
const PROGRESS_CHECK_INTERVAL_MS = 1_000;
/** Replaced queues without any progress before the instance is declared unable to work. */
const MAX_FRUITLESS_REPLACEMENTS = 5;
/** Time for the queue to record that the last job has finished. */
const FINAL_WRITE_WAIT_MS = 1_000;
/** LISTEN wakes the worker at once. Polling finds scheduled jobs that have become due, and jobs whose notification was lost. */
const POLL_INTERVAL_MS = 500;

/**
 * Runs jobs from PostgreSQL. A job whose handler throws runs again later, with the queue's exponential backoff, unless the
 * error says that a retry cannot help.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 *
 * While running, a queue that gave up (because it could not record that a job had finished) is replaced by a new one.
 */
export class Worker {
  private runner: Runner | null = null;
  private starting: Promise<void> | null = null;
  private utils: WorkerUtils | null = null;
  private timers = new Set<NodeJS.Timeout>();
  private isStopping = false;
  private queueId: string | null = null;
  /** The last time that a free slot asked for a job and PostgreSQL answered. */
  private readonly fetching = new Progress();
  private fruitlessReplacements = 0;
  /** For how long the recurring job that waits longest has been due, on any instance, at the last check. */
  private recurringLagMs = 0;
  /** Current runs of this instance, by job ID. */
  private readonly runningJobs = new Map<string, Promise<void>>();
  /** Jobs that were locked by this queue at the last check although nothing here runs them. */
  private suspectedOrphans = new Set<string>();
  private readonly recurringRuns = new RecurringRuns();

  constructor(private readonly options: WorkerOptions) {}

  async start(): Promise<void> {
    const { pool, log } = this.options;
    this.utils = await makeWorkerUtils({ pgPool: pool, logger: queueLogger(log) });
    await this.startRunner();
    await this.ensureRecurringJobs();
    this.timers.add(setInterval(() => void this.ensureRecurringJobs(), SAFETY_POLL_INTERVAL_MS));
    this.timers.add(setInterval(() => void this.replaceQueueWithOrphans(), SAFETY_POLL_INTERVAL_MS));
    this.timers.add(setInterval(() => void this.replaceStalledQueue(), PROGRESS_CHECK_INTERVAL_MS));
  }

  /** Takes no new jobs and lets the running ones finish. Those that take too long are released. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.timers.forEach((timer) => clearTimeout(timer));
    // A replacement queue that is still starting would otherwise keep running.
    await this.starting;
    // Without a runner, wait for the jobs of the queue that gave up.
    const stopped =
      this.runner?.stop().catch(() => undefined) ?? Promise.allSettled(this.runningJobs.values());
    await Promise.race([stopped, this.jobsFinished()]);
    if (this.queueId) await this.options.heartbeat.unregister(this.queueId);
    await this.utils?.release();
    this.runner = null;
  }

  private async startRunner(): Promise<void> {
    const { pool, concurrency, heartbeat, forbiddenFlags, log } = this.options;
    const events = new EventEmitter() as WorkerEvents;
    events.on('pool:create', ({ workerPool }) => heartbeat.start((this.queueId = workerPool.id)));
    const recordFetch = () => {
      this.fetching.record();
      this.fruitlessReplacements = 0;
    };
    events.on('worker:getJob:empty', recordFetch);
    events.on('job:start', recordFetch);
    this.fetching.record();
    const runner = await run({
      events,
      pgPool: pool,
      logger: queueLogger(log),
      concurrency,
      noHandleSignals: true,
      pollInterval: POLL_INTERVAL_MS,
      taskList: this.taskList(),
      forbiddenFlags,
      preset: {
        // Only batched writes are retried when PostgreSQL is down. Otherwise the queue ends the process.
        worker: {
          gracefulShutdownAbortTimeout: SHUTDOWN_GRACE_MS,
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    });
    this.runner = runner;
    const onRunnerStopped = (error?: unknown) => {
      if (this.isStopping || this.runner !== runner) return;
      log.warn({ err: error }, 'the queue stopped unexpectedly; restarting it');
      this.replaceRunner();
    };
    // React to the first sign of a shutdown: after two failed batch writes, graphile-worker 0.17.3 waits forever for its
    // last one. Its other resources, such as timers, are only released by calling stop().
    events.on('pool:gracefulShutdown', ({ message }) => {
      onRunnerStopped(new Error(message));
      setImmediate(() => void runner.stop().catch(() => undefined));
    });
    runner.promise.then(() => onRunnerStopped(), onRunnerStopped);
  }

  /** Resolves when no job runs here and the last result had time to be written. The queue itself may never report it. */
  private async jobsFinished(): Promise<void> {
    do {
      await Promise.allSettled(this.runningJobs.values());
      await delay(FINAL_WRITE_WAIT_MS, undefined, { ref: false });
    } while (this.runningJobs.size > 0);
  }

  /** Releases the jobs of a queue that gave up, once their runs have finished. If that fails, the heartbeat releases them. */
  private async releaseJobs(queueId: string, running: Promise<void>[]): Promise<void> {
    await Promise.allSettled(running);
    await this.utils?.forceUnlockWorkers([queueId]).catch((error: unknown) => {
      this.options.log.warn(
        { err: error, queueId },
        'could not release the jobs of a stopped queue; they are released when its heartbeat expires',
      );
    });
  }

  /**
   * When the connection breaks while the queue fetches a job, the job stays locked without running for as long as this queue
   * lives. A job found in that state twice in a row causes the queue to be replaced, which releases its jobs.
   */
  private async replaceQueueWithOrphans(): Promise<void> {
    if (!this.runner || !this.queueId) return;
    try {
      const lockedJobIds = await this.options.instances.findJobsLockedBy(
        this.queueId,
        SAFETY_POLL_INTERVAL_MS,
      );
      const orphanIds = lockedJobIds.filter((id) => !this.runningJobs.has(id));
      const confirmedOrphanIds = orphanIds.filter((id) => this.suspectedOrphans.has(id));
      this.suspectedOrphans = new Set(orphanIds);
      if (confirmedOrphanIds.length === 0) return;
      this.options.log.warn(
        { orphanedJobIds: confirmedOrphanIds },
        'found locked jobs that are not running; replacing the queue',
      );
      await this.runner.stop();
    } catch (error) {
      this.options.log.warn({ err: error }, 'could not check for orphaned jobs; retrying');
    }
  }

  private replaceRunner(): void {
    this.runner = null;
    if (this.queueId) void this.releaseJobs(this.queueId, [...this.runningJobs.values()]);
    this.scheduleRestart();
  }

  /**
   * A queue can exist and do nothing. For example, graphile-worker 0.17.3 keeps the result of its first statement forever,
   * even if that is an error. So progress decides: free slots ask for a job twice a second.
   */
  private async replaceStalledQueue(): Promise<void> {
    const { runner } = this;
    const { instances, log, onFatal } = this.options;
    if (!runner || this.stalledMs.queue < STALLED_AFTER_MS) return;
    try {
      await instances.ping();
    } catch {
      return; // PostgreSQL is down, which a new queue would not change
    }
    if (this.isStopping || this.runner !== runner) return;
    this.fruitlessReplacements += 1;
    log.warn({ replacements: this.fruitlessReplacements }, 'the queue makes no progress; replacing it');
    this.replaceRunner();
    runner.stop().catch(() => undefined);
    if (this.fruitlessReplacements > MAX_FRUITLESS_REPLACEMENTS)
      onFatal?.('the queue makes no progress although PostgreSQL responds');
  }

  private scheduleRestart(): void {
    if (this.isStopping) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.starting = this.startRunner().catch((error: unknown) => {
        this.options.log.warn({ err: error }, 'could not start the queue; retrying');
        this.scheduleRestart();
      });
    }, RESTART_DELAY_MS);
    this.timers.add(timer);
  }

  /** Whether there is a queue that takes jobs. */
  get isRunning(): boolean {
    return this.runner !== null;
  }

  /** For how long each part has made no progress. Zero while a part has nothing to do. */
  get stalledMs() {
    return {
      /** Free slots look for jobs all the time. */
      queue: this.isBusy ? 0 : this.fetching.ageMs,
      heartbeat: this.options.heartbeat.progress.ageMs,
      /** How long a recurring job has waited for any instance, at the last check. */
      recurringJobs: this.recurringLagMs,
    };
  }

  private get isBusy(): boolean {
    return this.runningJobs.size >= this.options.concurrency;
  }

  private taskList(): RunnerOptions['taskList'] {
    const names = Object.keys(this.options.handlers) as JobName[];
    return Object.fromEntries(names.map((name) => [name, this.createTaskHandler(name)]));
  }

  private createTaskHandler(name: JobName): NonNullable<RunnerOptions['taskList']>[string] {
    const handler = this.options.handlers[name] as (payload: unknown, context: JobContext) => Promise<void>;
    const { instances, recurringIntervalsMs, recurringTimeLimitsMs } = this.options;
    const intervalMs = recurringIntervalsMs[name];
    const timeLimitMs = recurringTimeLimitsMs?.[name] ?? DEFAULT_TIME_LIMIT_MS;
    const runJob = async (payload: unknown, context: JobContext) => {
      try {
        if (intervalMs === undefined) await handler(payload, context);
        else
          await this.recurringRuns.run(name, timeLimitMs, (signal) =>
            handler(payload, { ...context, signal }),
          );
      } catch (error) {
        const isPermanent = error instanceof AppError && 'retryable' in error && error.retryable === false;
        this.options.log.warn(
          { err: error, job: name, attempt: context.attempt, permanent: isPermanent },
          'a job failed',
        );
        if (!isPermanent && intervalMs === undefined) throw error;
      }
    };
    return async (payload, { job }) => {
      const run = runJob(payload, { jobId: job.id, attempt: job.attempts, signal: NEVER_ABORTED });
      this.runningJobs.set(job.id, run);
      try {
        await run;
      } finally {
        this.runningJobs.delete(job.id);
        if (intervalMs !== undefined) await instances.queueNextRun({ jobId: job.id, name, intervalMs });
      }
    };
  }

  private async ensureRecurringJobs(): Promise<void> {
    try {
      this.recurringLagMs = await this.options.instances.ensureRecurringJobs(
        this.options.recurringIntervalsMs,
      );
    } catch (error) {
      this.options.log.warn({ err: error }, 'could not queue the recurring jobs; retrying');
    }
  }
}

/**
 * Drops two kinds of the queue's messages. Failed jobs are already logged above. The advice on `maxPoolSize` is for jobs that
 * hold a database connection while they run, which these do not.
 */
function queueLogger(log: Logger): WorkerLogger {
  return new WorkerLogger(() => (level, message, meta) => {
    const isRelevant =
      ['error', 'warning'].includes(level) && !(meta && 'job' in meta) && !message.includes('maxPoolSize');
    log[isRelevant ? 'warn' : 'trace']({ queue: true }, message);
  });
}
