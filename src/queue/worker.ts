import { makeWorkerUtils, type Runner, type RunnerOptions, type WorkerUtils } from 'graphile-worker';
import { Progress } from '../core/primitives/progress.js';
import { Watchdog } from '../core/primitives/watchdog.js';
import { FlagSlots } from './flag-slots.js';
import { type Heartbeat } from './heartbeat.js';
import { JobRuns, type JobRunsOptions } from './job-runs.js';
import { Poller } from './poller.js';
import { queueLogger, runQueue } from './run-queue.js';

export interface WorkerOptions extends JobRunsOptions {
  heartbeat: Heartbeat;
  pool: NonNullable<RunnerOptions['pgPool']>;
  /** Jobs with one of these flags are skipped for now. */
  forbiddenFlags: () => string[];
  /** Jobs that this instance runs at the same time. */
  concurrency: number;
  /** How many of them may have each of these flags. Default: any number. */
  maxRunningByFlag?: Readonly<Record<string, number>>;
  /** Called when replacing a part does not help, although PostgreSQL responds. */
  onFatal?: (reason: string) => void;
}

/** A recurring job lost with its instance is queued again within this time. */
const SAFETY_POLL_INTERVAL_MS = 5_000;
/** An orphaned job is released within three times as long: it is locked for one interval, and seen twice. */
const ORPHAN_POLL_INTERVAL_MS = 2_000;
/** Delay before a queue that stopped on its own is started again. */
const RESTART_DELAY_MS = 1_000;
/**
 * A queue with a free slot that has not looked for jobs for this long, while PostgreSQL responds, is replaced. A free slot looks
 * four times a second, or once a second while a fetch hangs. graphile-worker 0.17.3 keeps the result of its first statement
 * forever, even if that is an error.
 */
const QUEUE_STALLED_AFTER_MS = 3_000;
/** Heartbeats are sent every 1.5 s, and each waits 5 s at most. */
const HEARTBEAT_STALLED_AFTER_MS = 7_000;

/**
 * Runs jobs from PostgreSQL.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 *
 * While running, a queue that gave up (because it could not record that a job had finished) or that makes no progress is
 * replaced by a new one.
 */
export class Worker {
  private runner: Runner | null = null;
  private starting: Promise<void> | null = null;
  private poller: Poller | null = null;
  private utils: WorkerUtils | null = null;
  private timers = new Set<NodeJS.Timeout>();
  private isStopping = false;
  private queueId: string | null = null;
  /** The last time that a free slot asked for a job and PostgreSQL answered. */
  private readonly fetching = new Progress();
  /** The last time that a queue was started. */
  private readonly queueStart = new Progress();
  /** For how long a recurring job has been due, or has failed at every run, on any instance, at the last check. */
  private recurringLagMs = 0;
  private readonly runs: JobRuns;
  /** Jobs that were locked by this queue at the last check although nothing here runs them. */
  private suspectedOrphans = new Set<string>();
  private readonly watchdogs: Watchdog[];

  constructor(private readonly options: WorkerOptions) {
    const { heartbeat, instances, onFatal, log } = options;
    this.runs = new JobRuns(options);
    const shared = { onFatal, log };
    this.watchdogs = [
      new Watchdog({
        ...shared,
        part: 'queue',
        probe: () => instances.probeQueue(),
        stalledMs: () => this.stalledMs.queue,
        ageMs: () => this.queueStart.ageMs,
        stalledAfterMs: QUEUE_STALLED_AFTER_MS,
        replace: () => this.replaceStalledQueue(),
      }),
      new Watchdog({
        ...shared,
        part: 'heartbeat',
        probe: () => instances.probeHeartbeat(),
        stalledMs: () => this.stalledMs.heartbeat,
        stalledAfterMs: HEARTBEAT_STALLED_AFTER_MS,
        replace: () => {
          if (this.queueId) heartbeat.start(this.queueId);
        },
      }),
    ];
  }

  async start(): Promise<void> {
    const { pool, log } = this.options;
    this.utils = await makeWorkerUtils({ pgPool: pool, logger: queueLogger(log) });
    await this.startQueue();
    await this.ensureRecurringJobs();
    this.timers.add(setInterval(() => void this.ensureRecurringJobs(), SAFETY_POLL_INTERVAL_MS));
    this.timers.add(setInterval(() => void this.releaseOrphanedJobs(), ORPHAN_POLL_INTERVAL_MS));
    for (const watchdog of this.watchdogs) watchdog.start();
  }

  /** Takes no new jobs and lets the running ones finish. Those that take too long are released. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.timers.forEach((timer) => clearTimeout(timer));
    for (const watchdog of this.watchdogs) watchdog.stop();
    // A replacement queue that is still starting would otherwise keep running.
    await this.starting;
    // Without a runner, wait for the jobs of the queue that gave up.
    const stopped = this.runner?.stop().catch(() => undefined) ?? this.runs.currentFinished();
    await Promise.race([stopped, this.runs.allFinished()]);
    if (this.queueId) await this.options.heartbeat.unregister(this.queueId);
    await this.utils?.release();
    this.runner = null;
  }

  /** Looks for jobs now instead of at the next poll. Call it when jobs may have been added. */
  lookForJobs(): void {
    this.poller?.look();
  }

  private async startQueue(): Promise<void> {
    const { pool, concurrency, heartbeat, forbiddenFlags, maxRunningByFlag = {}, log } = this.options;
    this.queueStart.record();
    const poller = new Poller();
    this.poller = poller;
    this.runner = await runQueue({
      pgPool: pool,
      poller,
      taskList: this.runs.taskList(),
      concurrency,
      forbiddenFlags,
      flagSlots: new FlagSlots(maxRunningByFlag, (flag) => this.runs.countWithFlag(flag)),
      onCreated: (queueId) => heartbeat.start((this.queueId = queueId)),
      onFetched: () => this.fetching.record(),
      onGivingUp: (error, runner) => {
        if (this.isStopping || this.runner !== runner) return;
        log.warn({ err: error }, 'the queue stopped unexpectedly; restarting it');
        this.replaceQueue();
      },
      log,
    });
  }

  /** Releases the jobs of a queue that gave up, once their runs have finished. If that fails, the heartbeat releases them. */
  private async releaseJobs(queueId: string): Promise<void> {
    await this.runs.currentFinished();
    await this.utils?.forceUnlockWorkers([queueId]).catch((error: unknown) => {
      this.options.log.warn(
        { err: error, queueId },
        'could not release the jobs of a stopped queue; they are released when its heartbeat expires',
      );
    });
  }

  /**
   * When the connection breaks while the queue fetches a job, the job stays locked without running for as long as this queue
   * lives. A job found in that state twice in a row is released, so that any instance runs it. If its run begins here after all,
   * because the response was very slow, it runs twice, as a job that is taken over does.
   */
  private async releaseOrphanedJobs(): Promise<void> {
    const { queueId } = this;
    if (!this.runner || !queueId) return;
    const { instances, log } = this.options;
    try {
      const lockedJobIds = await instances.findJobsLockedBy(queueId, ORPHAN_POLL_INTERVAL_MS);
      const orphanIds = lockedJobIds.filter((id) => !this.runs.has(id));
      const confirmedOrphanIds = orphanIds.filter((id) => this.suspectedOrphans.has(id));
      this.suspectedOrphans = new Set(orphanIds);
      if (confirmedOrphanIds.length === 0) return;
      await instances.releaseJobs(queueId, confirmedOrphanIds);
      log.warn({ orphanedJobIds: confirmedOrphanIds }, 'released locked jobs that were not running');
    } catch (error) {
      log.warn({ err: error }, 'could not check for orphaned jobs; retrying');
    }
  }

  private replaceQueue(): void {
    this.runner = null;
    if (this.queueId) void this.releaseJobs(this.queueId);
    this.scheduleRestart();
  }

  private replaceStalledQueue(): void {
    const { runner } = this;
    if (!runner) return; // a new one is being started, again and again until it succeeds
    this.replaceQueue();
    runner.stop().catch(() => undefined);
  }

  private scheduleRestart(): void {
    if (this.isStopping) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.starting = this.startQueue().catch((error: unknown) => {
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
      /** While there is a free slot, one looks for jobs four times a second. */
      queue: this.runs.count >= this.options.concurrency ? 0 : this.fetching.ageMs,
      heartbeat: this.options.heartbeat.progress.ageMs,
      /** How long a recurring job has waited for any instance, or failed on all of them, at the last check. */
      recurringJobs: this.recurringLagMs,
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
