import { UpstreamError } from '../../core/errors.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type Task } from '../../core/tasks/task.js';
import { MAX_READ_TASK_IDS } from '../../upstreams/acedata-client.js';
import { type UpstreamResult } from '../../upstreams/acedata-results.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type BackPressure, queuedTooLong } from './back-pressure.js';
import { isFinalResult, type Results } from './results.js';
import { type Dependencies } from '../dependencies.js';

/** Name of the lease that lets one instance poll at a time. */
const UPSTREAM_POLL_LEASE = 'upstream-reading';
/**
 * Pause after a failed poll, such as a 429. Long enough to relieve the upstream, short enough to find lost callbacks
 * in time.
 */
const POLL_FAILURE_COOLDOWN_MS = 4_000;
/** Overdue tasks without an upstream ID that one run expires. The next run follows a second later. */
const OVERDUE_BATCH_SIZE = 200;
/** Name of the lease for reading overdue tasks. Not that of polling, because overdue tasks could keep running ones from it. */
const OVERDUE_READ_LEASE = 'overdue-reading';
/** Overdue tasks expire unread once every read has failed for this long. Their images can still arrive as late ones. */
const OVERDUE_READ_LIMIT_MS = 60_000;

export interface ReconciliationDependencies extends Pick<
  Dependencies,
  'eventLog' | 'leases' | 'log' | 'submissionPace' | 'tasks' | 'upstream'
> {
  backPressure: BackPressure;
  results: Results;
  /** A running task is polled when this much time has passed since its last poll, or since its submission. */
  pollAfterMs: number;
  /** Minimum time between two polls, of all instances together. */
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

/** Finishes tasks that no callback has finished: polls the upstream for running tasks, and expires overdue ones. */
export class Reconciliation {
  /** When the reads of overdue tasks began to fail, in monotonic milliseconds. Null: the last one worked. */
  private overdueUnreadableSince: number | null = null;

  /** Whether the account was refused by the last read. Reported once, because a probe says whether submissions are refused. */
  private isAccountRefused = false;

  constructor(private readonly deps: ReconciliationDependencies) {}

  /**
   * Polls up to 50 tasks in one request, unless an instance has polled within the interval. These are running tasks,
   * and for an hour also canceled and expired ones, whose images may be paid for. Throws UpstreamError when polling
   * fails. Then no task is changed, and no instance polls during the cooldown. Tasks about which the upstream answers
   * with an error are polled again later, in smaller batches, because one of them may be the reason.
   */
  async reconcile(): Promise<void> {
    if (!(await this.deps.leases.acquire(UPSTREAM_POLL_LEASE, this.deps.pollIntervalMs))) return;
    const dueTasks = await this.deps.tasks.claimForReconciliation(this.deps.pollAfterMs, MAX_READ_TASK_IDS);
    if (dueTasks.length === 0) return;
    const ids = dueTasks.map((task) => task.id);
    const upstreamIds = dueTasks.map((task) => task.upstreamTaskId);
    const upstreamTasks = await this.read(upstreamIds).catch(async (error: unknown) => {
      const { tasks, leases, log } = this.deps;
      const batchSize = isAboutTheseTasks(error) ? Math.ceil(ids.length / 2) : null;
      const recordFailure = () =>
        batchSize === null ? tasks.clearCheckedAt(ids) : tasks.setCheckBatchSize(ids, batchSize);
      await retryUntilDatabaseReturns(recordFailure, log);
      // One task that the upstream cannot answer for must not delay all others.
      if (batchSize === null || ids.length > 1)
        await leases.extend(UPSTREAM_POLL_LEASE, POLL_FAILURE_COOLDOWN_MS);
      throw error;
    });
    if (dueTasks.some(({ batchSize }) => batchSize !== null))
      await this.deps.tasks.setCheckBatchSize(ids, null);
    for (const { id, upstreamTaskId } of dueTasks) {
      const result = upstreamTasks.get(upstreamTaskId);
      if (!result) this.deps.log.warn({ taskId: id }, 'the upstream does not know a task that it accepted');
      if (!result || !isFinalResult(result)) continue;
      await retryUntilDatabaseReturns(
        () => this.deps.results.apply(id, result, { actor: EVENT_ACTORS.reconciler }),
        this.deps.log,
      );
    }
  }

  /**
   * Ends tasks whose deadline has passed. Those that the upstream has accepted are read first, up to 50 in one request,
   * because the result may have been missed, for example while the service was down. Without a result, they expire.
   */
  async expireOverdue(): Promise<void> {
    const unread = await this.deps.tasks.findOverdue({ hasUpstreamId: false, limit: OVERDUE_BATCH_SIZE });
    const pace = unread.length > 0 ? await this.deps.submissionPace.find() : null;
    for (const task of unread) await this.expire(task, 'NO_UPSTREAM_ID', pace?.failure);
    const accepted = await this.deps.tasks.findOverdue({ hasUpstreamId: true, limit: MAX_READ_TASK_IDS });
    await this.settleOverdue(accepted);
    this.deps.eventLog.requestSeal();
  }

  private async settleOverdue(tasks: readonly Task[]): Promise<void> {
    if (tasks.length === 0) return;
    if (!(await this.deps.leases.acquire(OVERDUE_READ_LEASE, this.deps.pollIntervalMs))) return;
    const results = await this.readOverdue(tasks);
    if (results === 'LATER') return;
    for (const task of tasks) {
      const result = results === 'UNREADABLE' ? undefined : results.get(task.upstreamTaskId ?? '');
      if (result && isFinalResult(result)) {
        await this.deps.results.apply(task.id, result, { actor: EVENT_ACTORS.reconciler });
        continue;
      }
      const unreadReason = results === 'UNREADABLE' ? 'UNREADABLE' : 'UNKNOWN_TO_UPSTREAM';
      await this.expire(task, result ? 'STILL_RUNNING' : unreadReason);
    }
  }

  /** Reads overdue tasks. LATER: that failed, and is tried again. UNREADABLE: that has failed for too long. */
  private async readOverdue(
    tasks: readonly Task[],
  ): Promise<Map<string, UpstreamResult> | 'LATER' | 'UNREADABLE'> {
    try {
      const results = await this.read(tasks.map((task) => task.upstreamTaskId ?? ''));
      this.overdueUnreadableSince = null;
      return results;
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const now = performance.now();
      this.overdueUnreadableSince ??= now;
      const leases = [UPSTREAM_POLL_LEASE, OVERDUE_READ_LEASE];
      await Promise.all(leases.map((lease) => this.deps.leases.extend(lease, POLL_FAILURE_COOLDOWN_MS)));
      const { overdueReadLimitMs = OVERDUE_READ_LIMIT_MS } = this.deps;
      const isTooLate = now - this.overdueUnreadableSince >= overdueReadLimitMs;
      this.deps.log.warn(
        { err: error, tasks: tasks.length },
        isTooLate
          ? 'failed to read overdue tasks; they expire without having been read'
          : 'failed to read overdue tasks; trying again before they expire',
      );
      return isTooLate ? 'UNREADABLE' : 'LATER';
    }
  }

  private async read(upstreamIds: readonly string[]): Promise<Map<string, UpstreamResult>> {
    try {
      const results = await this.deps.upstream.readTasks(upstreamIds);
      this.isAccountRefused = false;
      return results;
    } catch (error) {
      if (
        error instanceof UpstreamError &&
        error.backPressure?.kind === 'ACCOUNT' &&
        !this.isAccountRefused
      ) {
        this.isAccountRefused = true;
        await this.deps.backPressure.applyReport({ failure: error.failure, taskId: null });
      }
      throw error;
    }
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

/** Whether the tasks of a poll may be why it failed. False if every other poll would have failed as well. */
function isAboutTheseTasks(error: unknown): boolean {
  return error instanceof UpstreamError && error.outcome !== 'not-sent' && error.backPressure === null;
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
