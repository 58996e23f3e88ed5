import { LRUCache } from 'lru-cache';
import { UpstreamError } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { isFinal, type Task } from '../../core/tasks/task.js';
import { MAX_READ_TASK_IDS } from '../../upstreams/acedata-client.js';
import { type UpstreamResult } from '../../upstreams/acedata-results.js';
import { type Dependencies } from '../dependencies.js';
import { type BackPressure, queuedTooLong } from './back-pressure.js';
import { changeEach } from './change-each.js';
import { isAboutTheseTasks, POLL_FAILURE_COOLDOWN_MS, UPSTREAM_POLL_LEASE } from './reconciliation.js';
import { isFinalResult, type Results } from './results.js';

/** Overdue tasks without an upstream ID that one run expires. The next run follows a second later. */
const OVERDUE_BATCH_SIZE = 200;
/** Name of the lease for reading overdue tasks. Not that of polling, because overdue tasks could keep running ones from it. */
const OVERDUE_READ_LEASE = 'overdue-reading';
/** Overdue tasks expire unread once every read of them has failed for this long. Their images can still arrive as late ones. */
const OVERDUE_READ_LIMIT_MS = 60_000;
/** Pauses before a task that could not be ended is tried again. The last one repeats. */
const FAILED_RETRY_DELAYS_MS = [1_000, 10_000, 60_000] as const;
/** Of these, one run tries so many again. */
const MAX_RETRIED_TASKS = 20;
/** More tasks that cannot be ended or read are forgotten, and tried again at once. */
const MAX_REMEMBERED_TASKS = 5_000;

export interface ExpiryDependencies extends Pick<
  Dependencies,
  'eventLog' | 'leases' | 'log' | 'submissionPace' | 'tasks' | 'upstream'
> {
  backPressure: BackPressure;
  results: Results;
  /** Minimum time between two reads of overdue tasks, of all instances together. */
  pollIntervalMs: number;
  /** How long overdue tasks wait for the upstream when it cannot be read. Defaults to a minute. */
  overdueReadLimitMs?: number;
}

/** What is known about an overdue task that has no result. */
type ExpiryReason =
  /** It has no upstream ID, so there is nothing to read. */
  | 'NO_UPSTREAM_ID'
  /** The upstream was read after the deadline, and has not finished the task. */
  | 'STILL_RUNNING'
  /** The upstream was read after the deadline, and does not know the task. */
  | 'UNKNOWN_TO_UPSTREAM'
  /** The upstream could not be read. */
  | 'UNREADABLE';

/** Ends tasks whose deadline has passed. One that cannot be ended or read delays no other. */
export class Expiry {
  /** Tasks that could not be ended, and when that is tried again, by the monotonic clock. */
  private readonly failed = new LRUCache<string, { failures: number; retryAt: number }>({
    max: MAX_REMEMBERED_TASKS,
  });
  /** Since when every read of a task has failed, by the monotonic clock. */
  private readonly unreadableSince = new LRUCache<string, number>({ max: MAX_REMEMBERED_TASKS });
  /** Tasks about which the upstream fails to answer even if it is asked for nothing else. */
  private readonly unreadableAlone = new LRUCache<string, true>({ max: MAX_REMEMBERED_TASKS });
  /** Halves after each failed read, until the task that may be the reason is read alone. */
  private readBatchSize = MAX_READ_TASK_IDS;

  constructor(private readonly deps: ExpiryDependencies) {}

  /** Expires overdue tasks that have no upstream ID, so that there is nothing to read. */
  async expireUnread(): Promise<void> {
    const overdue = await this.findOverdue({ hasUpstreamId: false, limit: OVERDUE_BATCH_SIZE });
    if (overdue.length === 0) return;
    const pace = await this.deps.submissionPace.find();
    await this.endEach(overdue, (task) => this.expire(task, 'NO_UPSTREAM_ID', pace.failure));
    this.deps.eventLog.requestSeal();
  }

  /**
   * Ends overdue tasks that the upstream has accepted. They are read first, up to 50 in one request, because the result may have
   * been missed, for example while the service was down. Without a result, they expire.
   */
  async settleAccepted(): Promise<void> {
    const overdue = await this.findOverdue({ hasUpstreamId: true, limit: MAX_READ_TASK_IDS });
    if (overdue.length === 0) return;
    if (!(await this.deps.leases.acquire(OVERDUE_READ_LEASE, this.deps.pollIntervalMs))) return;
    const batch = this.selectBatch(overdue);
    try {
      const results = await this.deps.backPressure.watchRead(() =>
        this.deps.upstream.readTasks(batch.map(({ upstreamTaskId }) => upstreamTaskId ?? '')),
      );
      this.readBatchSize = Math.min(2 * this.readBatchSize, MAX_READ_TASK_IDS);
      for (const { id } of batch) {
        this.unreadableSince.delete(id);
        this.unreadableAlone.delete(id);
      }
      await this.endEach(batch, (task) => this.applyRead(task, results));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      await this.expireUnreadable(overdue, batch, error);
    }
    this.deps.eventLog.requestSeal();
  }

  /** Overdue tasks, and after them a few of those that could not be ended before. */
  private async findOverdue(filter: { hasUpstreamId: boolean; limit: number }): Promise<Task[]> {
    const overdue = await this.deps.tasks.findOverdue({ ...filter, excludedIds: [...this.failed.keys()] });
    const dueIds = [...this.failed.entries()]
      .filter(([, { retryAt }]) => retryAt <= performance.now())
      .map(([id]) => id);
    for (const id of dueIds.slice(-MAX_RETRIED_TASKS)) {
      const task = await this.deps.tasks.find(id);
      if (!task || isFinal(task.status)) this.failed.delete(id);
      else if ((task.upstreamTaskId !== null) === filter.hasUpstreamId) overdue.push(task);
    }
    return overdue;
  }

  /** The tasks to read. What the upstream could not answer for alone comes last, and alone. */
  private selectBatch(overdue: readonly Task[]): readonly Task[] {
    const others = overdue.filter(({ id }) => !this.unreadableAlone.has(id));
    return others.length > 0 ? others.slice(0, this.readBatchSize) : overdue.slice(0, 1);
  }

  private async applyRead(task: Task, results: Map<string, UpstreamResult>): Promise<void> {
    const result = results.get(task.upstreamTaskId ?? '');
    if (result && isFinalResult(result))
      await this.deps.results.apply(task.id, result, { actor: EVENT_ACTORS.reconciler });
    else await this.expire(task, result ? 'STILL_RUNNING' : 'UNKNOWN_TO_UPSTREAM');
  }

  /** Notes that a read of `batch` has failed, and expires the overdue tasks that could not be read for too long. */
  private async expireUnreadable(
    overdue: readonly Task[],
    batch: readonly Task[],
    error: UpstreamError,
  ): Promise<void> {
    const now = performance.now();
    for (const { id } of batch) if (!this.unreadableSince.has(id)) this.unreadableSince.set(id, now);
    const isAboutBatch = isAboutTheseTasks(error);
    const [first, second] = batch;
    if (isAboutBatch && first && !second) this.unreadableAlone.set(first.id, true);
    if (isAboutBatch) this.readBatchSize = second ? Math.ceil(batch.length / 2) : MAX_READ_TASK_IDS;
    const leases = leasesToPause({ isAboutBatch, isAlone: !second });
    await Promise.all(leases.map((lease) => this.deps.leases.extend(lease, POLL_FAILURE_COOLDOWN_MS)));
    const { overdueReadLimitMs = OVERDUE_READ_LIMIT_MS } = this.deps;
    const tooLate = overdue.filter(
      ({ id }) => now - (this.unreadableSince.get(id) ?? Infinity) >= overdueReadLimitMs,
    );
    this.deps.log.warn(
      { err: error, tasks: batch.length, expiring: tooLate.length },
      tooLate.length > 0
        ? 'failed to read overdue tasks; they expire without having been read'
        : 'failed to read overdue tasks; trying again before they expire',
    );
    await this.endEach(tooLate, (task) => this.expire(task, 'UNREADABLE'));
  }

  private async endEach(tasks: readonly Task[], end: (task: Task) => Promise<unknown>): Promise<void> {
    const { submissionPace, log } = this.deps;
    await changeEach(tasks, {
      change: async (task) => {
        await end(task);
        this.failed.delete(task.id);
      },
      onFailure: ({ id }) => {
        const failures = (this.failed.get(id)?.failures ?? 0) + 1;
        const delayMs = FAILED_RETRY_DELAYS_MS[failures - 1] ?? FAILED_RETRY_DELAYS_MS[2];
        this.failed.set(id, { failures, retryAt: performance.now() + delayMs });
      },
      ping: () => submissionPace.find(),
      log,
    });
  }

  private async expire(task: Task, reason: ExpiryReason, pressure: TaskFailure | null = null): Promise<void> {
    const error = expiryFailure(task, reason, pressure);
    await this.deps.tasks.transitionTo(task.id, 'EXPIRED', {
      fromStatuses: [task.status],
      failure: error,
      event: { type: 'TASK_EXPIRED', actor: EVENT_ACTORS.deadline, data: { error } },
    });
  }
}

/**
 * The reads that pause after a failed one. Looking for the task that is the reason takes a few reads, and does not wait between them.
 * A task that the upstream cannot answer for does not keep running tasks from being read.
 */
function leasesToPause({ isAboutBatch, isAlone }: { isAboutBatch: boolean; isAlone: boolean }): string[] {
  if (!isAboutBatch) return [UPSTREAM_POLL_LEASE, OVERDUE_READ_LEASE];
  return isAlone ? [OVERDUE_READ_LEASE] : [];
}

/** What is known of a task that the upstream accepted, as a sentence. */
const ACCEPTED_TASK_STATES: Record<ExpiryReason, string> = {
  NO_UPSTREAM_ID: 'It reported no result before the deadline.',
  STILL_RUNNING: 'It had not finished at the deadline, when Darkroom asked for the result once more.',
  UNKNOWN_TO_UPSTREAM:
    'It did not know the task any more at the deadline, when Darkroom asked for the result.',
  UNREADABLE: 'It reported no result before the deadline, and could not be asked for it.',
};

/**
 * The failure is retryable only if it is certain that nothing was made. `pressure` is why the upstream refuses all submissions.
 * Null if it accepts them.
 */
function expiryFailure(task: Task, reason: ExpiryReason, pressure: TaskFailure | null): TaskFailure {
  const common = { upstreamCode: null, upstreamTraceId: task.upstreamTraceId };
  const advice =
    'An image that still arrives is kept in `lateImages`. A new request may be billed a second time.';
  switch (task.status) {
    case 'QUEUED':
      return { ...common, code: 'DEADLINE_EXCEEDED', retryable: true, ...queuedTooLong(pressure) };
    case 'UNCONFIRMED':
    case 'SUBMITTING': {
      const message = `The request may have reached the upstream, but no result arrived before the deadline. It was not sent again. ${advice}`;
      return { ...common, code: 'SUBMIT_UNCONFIRMED', message, retryable: false };
    }
    default: {
      const message = `The upstream accepted the request and may bill it. ${ACCEPTED_TASK_STATES[reason]} ${advice}`;
      return { ...common, code: 'DEADLINE_EXCEEDED', message, retryable: false };
    }
  }
}
