import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type Task } from '../../core/tasks/task.js';
import { MAX_READ_TASK_IDS } from '../../upstreams/acedata-client.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { isFinalResult, type Results } from './results.js';
import { type Dependencies } from '../dependencies.js';

/** Name of the lease that lets one instance poll at a time. */
const UPSTREAM_POLL_LEASE = 'upstream-reading';
/**
 * Pause after a failed poll, such as a 429. Long enough to relieve the upstream, short enough to find lost callbacks
 * in time.
 */
const POLL_FAILURE_COOLDOWN_MS = 4_000;
/** Overdue tasks that one run expires. The next run follows a second later. */
const OVERDUE_BATCH_SIZE = 200;

export interface ReconciliationDependencies extends Pick<
  Dependencies,
  'eventLog' | 'leases' | 'log' | 'tasks' | 'upstream'
> {
  results: Results;
  /** A running task is polled when this much time has passed since its last poll, or since its submission. */
  pollAfterMs: number;
  /** Minimum time between two polls, of all instances together. */
  pollIntervalMs: number;
}

/** Finishes tasks that no callback has finished: polls the upstream for running tasks, and expires overdue ones. */
export class Reconciliation {
  constructor(private readonly deps: ReconciliationDependencies) {}

  /**
   * Polls up to 50 tasks in one request, unless an instance has polled within the interval. These are running tasks,
   * and for an hour also canceled and expired ones, whose images may be paid for. Throws UpstreamError when polling
   * fails. Then no task is changed, and no instance polls during the cooldown.
   */
  async reconcile(): Promise<void> {
    if (!(await this.deps.leases.acquire(UPSTREAM_POLL_LEASE, this.deps.pollIntervalMs))) return;
    const dueTasks = await this.deps.tasks.claimForReconciliation(this.deps.pollAfterMs, MAX_READ_TASK_IDS);
    if (dueTasks.length === 0) return;
    const upstreamIds = dueTasks.map((task) => task.upstreamTaskId);
    const upstreamTasks = await this.deps.upstream.readTasks(upstreamIds).catch(async (error: unknown) => {
      const ids = dueTasks.map((task) => task.id);
      await retryUntilDatabaseReturns(() => this.deps.tasks.clearCheckedAt(ids), this.deps.log);
      await this.deps.leases.extend(UPSTREAM_POLL_LEASE, POLL_FAILURE_COOLDOWN_MS);
      throw error;
    });
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

  /** Expires tasks whose deadline has passed. */
  async expireOverdue(): Promise<void> {
    for (const task of await this.deps.tasks.findOverdue(OVERDUE_BATCH_SIZE)) {
      const error = expiryFailure(task);
      await this.deps.tasks.transitionTo(task.id, 'EXPIRED', {
        fromStatuses: [task.status],
        failure: error,
        event: { type: 'TASK_EXPIRED', actor: EVENT_ACTORS.deadline, data: { error } },
      });
    }
    this.deps.eventLog.requestSeal();
  }
}

function expiryFailure(task: Task): TaskFailure {
  const common = { retryable: true, upstreamCode: null, upstreamTraceId: task.upstreamTraceId };
  if (task.status === 'UNCONFIRMED' || task.status === 'SUBMITTING') {
    const message =
      'The request may have reached the upstream, but no result arrived before the deadline. It was not sent again. ' +
      'An image that still arrives is kept in `lateImages`. A new request may be billed a second time.';
    return { ...common, code: 'SUBMIT_UNCONFIRMED', message };
  }
  const message =
    task.status === 'QUEUED'
      ? 'The task could not be submitted before its deadline. No image was generated. Send a new request.'
      : 'The upstream did not finish before the deadline. Send a new request, perhaps with a longer timeout.';
  return { ...common, code: 'DEADLINE_EXCEEDED', message };
}
