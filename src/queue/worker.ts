import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
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
import { type JobName, type JobPayloads } from '../core/jobs.js';
import { type Instances } from '../db/postgres/instance-repository.js';
import { type Heartbeat } from './heartbeat.js';

/** What a handler is told about the run besides its payload. */
export interface JobRun {
  jobId: string;
  /** From 1. */
  attempt: number;
  /** Aborted when the process is about to end. */
  signal: AbortSignal;
}
export type JobHandlers = { [Name in JobName]: (payload: JobPayloads[Name], run: JobRun) => Promise<void> };

export interface WorkerOptions {
  heartbeat: Heartbeat;
  instances: Instances;
  pool: NonNullable<RunnerOptions['pgPool']>;
  handlers: JobHandlers;
  /** Jobs that come round again: milliseconds from the end of one run to the next, over all instances together. */
  recurring: Partial<Record<JobName, number>>;
  /** Flags of jobs that are not to be taken at this moment. */
  skip: () => string[];
  /** Jobs at once on this instance. */
  concurrency: number;
  log: Logger;
}

/** A recurring job whose instance died while it ran is put back within this time; forgotten jobs are found in two of it. */
const NET_MS = 5_000;
/** Running jobs get this long at shutdown before their signal is aborted and they are handed back. */
const GRACE_MS = 6_000;
/** Before a queue that stopped by itself is started again. */
const RESTART_DELAY_MS = 1_000;
/** For the queue to write down that the last job has ended. */
const LAST_WRITE_MS = 1_000;
/** LISTEN wakes the worker at once; polling is the net, and what finds jobs whose time has come. */
const POLL_INTERVAL_MS = 500;

/**
 * Runs jobs out of Postgres. A handler that throws is run again later, with the queue's exponential backoff, unless the
 * error says that trying again is pointless.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 *
 * While it is running, a queue that gave up (it could not write down that a job had ended) is replaced by a new one.
 */
export class Worker {
  private runner: Runner | null = null;
  private starting: Promise<void> | null = null;
  private utils: WorkerUtils | null = null;
  private timers = new Set<NodeJS.Timeout>();
  private stopping = false;
  private queueId: string | null = null;
  /** The runs under way here, by the id of their job. */
  private readonly underWay = new Map<string, Promise<void>>();
  /** Jobs that our queue held at the last look although nothing here runs them. */
  private forgotten = new Set<string>();

  constructor(private readonly options: WorkerOptions) {}

  async start(): Promise<void> {
    const { pool, log } = this.options;
    this.utils = await makeWorkerUtils({ pgPool: pool, logger: queueLogger(log) });
    await this.run();
    await this.keepRecurring();
    this.timers.add(setInterval(() => void this.keepRecurring(), NET_MS));
    this.timers.add(setInterval(() => void this.findForgotten(), NET_MS));
  }

  /** Takes no new jobs, lets the running ones end, aborts those that do not, and hands them back. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.timers.forEach((timer) => clearTimeout(timer));
    // A queue that is about to take the place of another would go on.
    await this.starting;
    // Without a queue there are the jobs of the one that gave up.
    const stopped = this.runner?.stop().catch(() => undefined) ?? Promise.allSettled(this.underWay.values());
    await Promise.race([stopped, this.allEnded()]);
    if (this.queueId) await this.options.heartbeat.leave(this.queueId);
    await this.utils?.release();
    this.runner = null;
  }

  private async run(): Promise<void> {
    const { pool, concurrency, heartbeat, skip, log } = this.options;
    const events = new EventEmitter() as WorkerEvents;
    events.on('pool:create', ({ workerPool }) => heartbeat.start((this.queueId = workerPool.id)));
    const runner = await run({
      events,
      pgPool: pool,
      logger: queueLogger(log),
      concurrency,
      noHandleSignals: true,
      pollInterval: POLL_INTERVAL_MS,
      taskList: this.taskList(),
      forbiddenFlags: skip,
      preset: {
        // Written down in batches: only then does the queue retry, and not end the process, when Postgres is away.
        worker: { gracefulShutdownAbortTimeout: GRACE_MS, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
      },
    });
    this.runner = runner;
    const onEnd = (error?: unknown) => {
      if (this.stopping || this.runner !== runner) return;
      log.warn({ err: error }, 'the queue stopped by itself; it is started again');
      this.runner = null;
      if (this.queueId) void this.handBack(this.queueId, [...this.underWay.values()]);
      this.runAgainSoon();
    };
    // Its first word counts: after two batches that could not be written it waits for ever for its own last one
    // (graphile-worker 0.17.3), and what it keeps besides, such as its clock, is let go only by who stops it.
    events.on('pool:gracefulShutdown', ({ message }) => {
      onEnd(new Error(message));
      setImmediate(() => void runner.stop().catch(() => undefined));
    });
    runner.promise.then(() => onEnd(), onEnd);
  }

  /** Resolves when no job runs here and what came of the last could be written; the queue itself may never say so. */
  private async allEnded(): Promise<void> {
    do {
      await Promise.allSettled(this.underWay.values());
      await pause(LAST_WRITE_MS, undefined, { ref: false });
    } while (this.underWay.size > 0);
  }

  /** Frees the jobs of a queue that gave up, once what they were doing here has ended. If that fails, the heartbeat does. */
  private async handBack(queueId: string, underWay: Promise<void>[]): Promise<void> {
    await Promise.allSettled(underWay);
    await this.utils?.forceUnlockWorkers([queueId]).catch((error: unknown) => {
      this.options.log.warn(
        { err: error, queueId },
        'jobs of a queue that stopped wait for its heartbeat to lapse',
      );
    });
  }

  /**
   * When the connection breaks while the queue fetches a job, the job is locked and nobody runs it, for as long as this
   * queue lives. So one that is seen like that twice makes the queue give up: another takes its place and its jobs.
   */
  private async findForgotten(): Promise<void> {
    if (!this.runner || !this.queueId) return;
    try {
      const held = await this.options.instances.jobsHeldBy(this.queueId, NET_MS);
      const idle = held.filter((id) => !this.underWay.has(id));
      const again = idle.filter((id) => this.forgotten.has(id));
      this.forgotten = new Set(idle);
      if (again.length === 0) return;
      this.options.log.warn({ jobs: again }, 'jobs are locked and nobody runs them; the queue is replaced');
      await this.runner.stop();
    } catch (error) {
      this.options.log.warn({ err: error }, 'looking for forgotten jobs failed; it is tried again');
    }
  }

  private runAgainSoon(): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.starting = this.run().catch((error: unknown) => {
        this.options.log.warn({ err: error }, 'the queue could not be started; it is tried again');
        this.runAgainSoon();
      });
    }, RESTART_DELAY_MS);
    if (!this.stopping) this.timers.add(timer);
    else clearTimeout(timer);
  }

  /** Whether jobs are being taken. */
  get isRunning(): boolean {
    return this.runner !== null;
  }

  private taskList(): RunnerOptions['taskList'] {
    const names = Object.keys(this.options.handlers) as JobName[];
    return Object.fromEntries(names.map((name) => [name, this.task(name)]));
  }

  private task(name: JobName): NonNullable<RunnerOptions['taskList']>[string] {
    const handler = this.options.handlers[name] as (payload: unknown, run: JobRun) => Promise<void>;
    const everyMs = this.options.recurring[name];
    return async (payload, { job, abortSignal }) => {
      const ended = this.begin(job.id);
      try {
        await handler(payload, {
          jobId: job.id,
          attempt: job.attempts,
          signal: abortSignal ?? new AbortController().signal,
        });
      } catch (error) {
        const pointless = error instanceof AppError && 'retryable' in error && error.retryable === false;
        this.options.log.warn({ err: error, job: name, attempt: job.attempts, pointless }, 'a job failed');
        if (!pointless && everyMs === undefined) throw error;
      } finally {
        ended();
        if (everyMs !== undefined) await this.addRecurring(name, everyMs, 'replace');
      }
    };
  }

  /** Remembers a run until the returned function is called. */
  private begin(jobId: string): () => void {
    let end = () => {};
    this.underWay.set(jobId, new Promise<void>((resolve) => (end = resolve)));
    return () => {
      this.underWay.delete(jobId);
      end();
    };
  }

  private async keepRecurring(): Promise<void> {
    const names = Object.keys(this.options.recurring) as JobName[];
    for (const name of names) {
      await this.addRecurring(name, 0, 'preserve_run_at').catch((error: unknown) =>
        this.options.log.warn(
          { err: error, job: name },
          'a recurring job could not be queued; it is tried again',
        ),
      );
    }
  }

  private async addRecurring(
    name: JobName,
    inMs: number,
    jobKeyMode: 'replace' | 'preserve_run_at',
  ): Promise<void> {
    const runAt = new Date(Date.now() + inMs);
    await this.utils?.addJob(name, {}, { jobKey: name, jobKeyMode, runAt, maxAttempts: 1 });
  }
}

/**
 * What the queue says of a job that failed is said already, by the handler's own line; and its advice on the pool's size is
 * for jobs that hold a connection all the while, which ours do not.
 */
function queueLogger(log: Logger): WorkerLogger {
  return new WorkerLogger(() => (level, message, meta) => {
    const matters =
      ['error', 'warning'].includes(level) && !(meta && 'job' in meta) && !message.includes('maxPoolSize');
    log[matters ? 'warn' : 'trace']({ queue: true }, message);
  });
}
