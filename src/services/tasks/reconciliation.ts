import { UpstreamError } from '../../core/tasks/upstream-error.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { MAX_READ_TASK_IDS } from '../../upstreams/acedata-client.js';
import { type UpstreamResult } from '../../upstreams/acedata-results.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Dependencies } from '../dependencies.js';
import { type BackPressure } from './back-pressure.js';
import { changeEach } from './change-each.js';
import { isFinalResult, type Results } from './results.js';

/** Name of the lease that lets one instance read at a time. */
export const RUNNING_READ_LEASE = 'upstream-reading';
/**
 * Pause after a failed read, such as a 429. Long enough to relieve the upstream. With the time limit of a read that hangs and a
 * second until the next one, lost callbacks are found within 10 s of its return.
 */
export const READ_FAILURE_COOLDOWN_MS = 3_000;

interface ReconciliationDependencies extends Pick<
  Dependencies,
  'leases' | 'log' | 'submissionPace' | 'tasks' | 'upstream'
> {
  backPressure: BackPressure;
  results: Results;
  /** A running task is read when this much time has passed since its last read, or since its submission. */
  readAfterMs: number;
  /** Minimum time between two reads, of all instances together. */
  readIntervalMs: number;
}

/**
 * Finishes tasks that no callback has finished: reads running tasks at the upstream. Overdue ones are the subject of
 * expiry/expiry.ts.
 */
export class Reconciliation {
  constructor(private readonly deps: ReconciliationDependencies) {}

  /**
   * Reads up to 50 tasks in one request, unless an instance has read within the interval. These are running tasks, unconfirmed
   * ones whose upstream ID is known, and for an hour also tasks that ended with fewer images than may be paid for. Throws
   * UpstreamError when reading fails. Then no task is changed, and no instance reads during the cooldown. Tasks about which the
   * upstream answers with an error are read again later, in smaller batches, because one of them may be the reason. A task
   * whose result cannot be applied delays no other, and is read again.
   */
  async reconcile(): Promise<void> {
    const { tasks, leases, log, results, submissionPace } = this.deps;
    if (!(await leases.acquire(RUNNING_READ_LEASE, this.deps.readIntervalMs))) return;
    const dueTasks = await tasks.claimForReconciliation(this.deps.readAfterMs, MAX_READ_TASK_IDS);
    if (dueTasks.length === 0) return;
    const ids = dueTasks.map((task) => task.id);
    const upstreamIds = dueTasks.map((task) => task.upstreamTaskId);
    const upstreamTasks = await this.read(upstreamIds).catch(async (error: unknown) => {
      const batchSize = isAboutTheseTasks(error) ? Math.ceil(ids.length / 2) : null;
      const recordFailure = () =>
        batchSize === null ? tasks.clearCheckedAt(ids) : tasks.setCheckBatchSize(ids, batchSize);
      await retryUntilDatabaseReturns(recordFailure, log);
      // One task that the upstream cannot answer for must not delay all others.
      if (batchSize === null || ids.length > 1)
        await leases.extend(RUNNING_READ_LEASE, READ_FAILURE_COOLDOWN_MS);
      throw error;
    });
    await changeEach(dueTasks, {
      change: async ({ id, upstreamTaskId }) => {
        const result = upstreamTasks.get(upstreamTaskId);
        if (!result) log.warn({ taskId: id }, 'the upstream does not know a task that it accepted');
        if (result && isFinalResult(result))
          await results.apply(id, result, { actor: EVENT_ACTORS.reconciler });
      },
      ping: () => submissionPace.find(),
      log,
    });
    const batchSize = dueTasks.find((task) => task.batchSize !== null)?.batchSize;
    if (batchSize) {
      await tasks.setCheckBatchSize(ids, null);
      // After an outage, every task would otherwise be read in a batch as small as the last one.
      await tasks.enlargeCheckBatches(batchSize, Math.min(2 * batchSize, MAX_READ_TASK_IDS));
    }
  }

  private read(upstreamIds: readonly string[]): Promise<Map<string, UpstreamResult>> {
    return this.deps.backPressure.watchRead(() => this.deps.upstream.readTasks(upstreamIds));
  }
}

/** Whether the tasks of a read may be why it failed. False if every other read would have failed as well. */
export function isAboutTheseTasks(error: unknown): boolean {
  return error instanceof UpstreamError && error.outcome !== 'not-sent' && error.backPressure === null;
}
