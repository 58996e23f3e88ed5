import { LRUCache } from 'lru-cache';
import { databaseTimeMs } from '../../../core/primitives/clock.js';
import { type Task } from '../../../core/tasks/task.js';
import { MAX_READ_TASK_IDS } from '../../../upstreams/acedata-client.js';
import { RUNNING_READ_LEASE } from '../reconciliation.js';

/** Name of the lease for reading overdue tasks. Not that of running ones, because overdue tasks could keep running ones from it. */
export const OVERDUE_READ_LEASE = 'overdue-reading';
/** More tasks that cannot be read are forgotten, and read again together with others. */
const MAX_UNREADABLE_TASKS = 5_000;
/** If this many different tasks fail alone, and no read succeeds meanwhile, the upstream is the reason and not the tasks. */
const OUTAGE_TASK_COUNT = 10;

/**
 * Finds the overdue tasks that cannot be read. The upstream answers for all tasks of a batch or for none, so one task that it
 * cannot answer for makes the whole batch fail, and says nothing about the others.
 *
 *   read in a batch -> failed -> in a batch of half the size -> failed alone -> read alone from time to time -> expires unread
 *                         |                                                           |
 *                         +-> the upstream cannot be reached -> expires unread        +-> read
 *
 * After a task has failed alone, the next one is read alone as well, and batches double with each read that succeeds.
 */
export class OverdueReads {
  /** Tasks that have failed alone, and since when, by the monotonic clock. The one that was read last comes first. */
  private readonly unreadable = new LRUCache<string, number>({ max: MAX_UNREADABLE_TASKS });
  /** Tasks that have failed alone since a read last succeeded, up to OUTAGE_TASK_COUNT. */
  private readonly failedInRow = new Set<string>();
  /** Since when every read has failed, by the monotonic clock. Null if the last one succeeded. */
  private failingSince: number | null = null;
  /** Since when every read has failed for a reason that is not about the tasks. */
  private unreachableSince: number | null = null;
  private lastReadId = '';
  private batchSize = MAX_READ_TASK_IDS;

  /** `limitMs`: an overdue task expires unread when reading it has failed for this long. */
  constructor(private readonly limitMs: number) {}

  /** The tasks that are not read together with others. */
  get unreadableIds(): string[] {
    return [...this.unreadable.keys()];
  }

  isUnreadable(id: string): boolean {
    return this.unreadable.has(id);
  }

  /** The first of these tasks, as many as may be read together. */
  batchOf(tasks: readonly Task[]): readonly Task[] {
    return tasks.slice(0, this.batchSize);
  }

  /**
   * The task to read alone now, which has failed alone before. While there are others, that is every second time at most, and only
   * a task that expires if it fails again.
   */
  nextUnreadable({ hasOthers }: { hasOthers: boolean }): string | undefined {
    if (hasOthers && this.unreadable.has(this.lastReadId)) return undefined;
    for (const id of this.unreadable.rkeys()) if (!hasOthers || this.hasFailedTooLong(id)) return id;
    return undefined;
  }

  /** Forgets a task that has ended. */
  forget(id: string): void {
    this.unreadable.delete(id);
  }

  recordSuccess(batch: readonly Task[]): void {
    this.lastReadId = batch[0]?.id ?? '';
    for (const { id } of batch) this.unreadable.delete(id);
    this.failedInRow.clear();
    this.failingSince = null;
    this.unreachableSince = null;
    this.batchSize = Math.min(2 * this.batchSize, MAX_READ_TASK_IDS);
  }

  /**
   * Returns the leases of the reads that pause now. `isAboutBatch`: its tasks may be the reason. Looking for the one that is takes
   * several reads, and does not wait between them. It does not keep running tasks from being read either.
   */
  recordFailure(batch: readonly Task[], { isAboutBatch }: { isAboutBatch: boolean }): string[] {
    const now = performance.now();
    this.failingSince ??= now;
    const [first, second] = batch;
    this.lastReadId = first?.id ?? '';
    if (!isAboutBatch) {
      this.unreachableSince ??= now;
      return [RUNNING_READ_LEASE, OVERDUE_READ_LEASE];
    }
    this.unreachableSince = null;
    this.batchSize = Math.ceil(batch.length / 2);
    if (!first || second) return [];
    const since = this.unreadable.get(first.id);
    if (since === undefined) this.unreadable.set(first.id, now);
    if (!this.isOutage) this.failedInRow.add(first.id);
    return since !== undefined || this.isOutage ? [OVERDUE_READ_LEASE] : [];
  }

  /** Whether an overdue task expires, although it could not be read. */
  expiresUnread({ id, deadlineAt }: Pick<Task, 'id' | 'deadlineAt'>): boolean {
    if (this.hasFailedTooLong(id)) return true;
    const since = this.isOutage ? this.failingSince : this.unreachableSince;
    if (since === null || performance.now() - since < this.limitMs) return false;
    return databaseTimeMs() - deadlineAt.getTime() >= this.limitMs;
  }

  /** False for a task that has not failed alone. */
  private hasFailedTooLong(id: string): boolean {
    return performance.now() - (this.unreadable.peek(id) ?? Infinity) >= this.limitMs;
  }

  private get isOutage(): boolean {
    return this.failedInRow.size >= OUTAGE_TASK_COUNT;
  }
}
