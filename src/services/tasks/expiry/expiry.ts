import { LRUCache } from 'lru-cache';
import { UpstreamError } from '../../../core/tasks/upstream-error.js';
import { EVENT_ACTORS } from '../../../core/events/task-event.js';
import { type TaskFailure } from '../../../core/tasks/task-failure.js';
import { isFinal, type Task } from '../../../core/tasks/task.js';
import { MAX_READ_TASK_IDS } from '../../../upstreams/acedata-client.js';
import { type UpstreamResult } from '../../../upstreams/acedata-results.js';
import { type Dependencies } from '../../dependencies.js';
import { type BackPressure, queuedTooLong } from '../back-pressure.js';
import { changeEach } from '../change-each.js';
import { isAboutTheseTasks, READ_FAILURE_COOLDOWN_MS } from '../reconciliation.js';
import { isFinalResult, type Results } from '../results.js';
import { OVERDUE_READ_LEASE, OverdueReads } from './overdue-reads.js';

/** Overdue tasks without an upstream ID that one run expires. The next run follows a second later. */
const OVERDUE_BATCH_SIZE = 200;
/** Overdue tasks expire unread once reading them has failed for this long. Their images can still arrive as late ones. */
const OVERDUE_READ_LIMIT_MS = 60_000;
/** Pauses before a task that could not be ended is tried again. The last one repeats. */
const FAILED_RETRY_DELAYS_MS = [1_000, 10_000, 60_000] as const;
/** Of these, one run tries so many again. */
const MAX_RETRIED_TASKS = 20;
/** More tasks that cannot be ended are forgotten, and tried again at once. */
const MAX_STUCK_TASKS = 5_000;

export interface ExpiryDependencies extends Pick<
  Dependencies,
  'eventLog' | 'leases' | 'log' | 'submissionPace' | 'tasks' | 'upstream'
> {
  backPressure: BackPressure;
  results: Results;
  /** Minimum time between two reads of overdue tasks, of all instances together. */
  readIntervalMs: number;
  /** How long overdue tasks wait for the upstream if they cannot be read. Defaults to a minute. */
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
  /** The upstream could not be read, or not for this task. */
  | 'UNREADABLE';

/** Ends tasks whose deadline has passed. One that cannot be ended or read delays no other. */
export class Expiry {
  /** Tasks that could not be ended, and when that is tried again, by the monotonic clock. */
  private readonly stuck = new LRUCache<string, { failures: number; retryAt: number }>({
    max: MAX_STUCK_TASKS,
  });
  private readonly reads: OverdueReads;

  constructor(private readonly deps: ExpiryDependencies) {
    this.reads = new OverdueReads(deps.overdueReadLimitMs ?? OVERDUE_READ_LIMIT_MS);
  }

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
    const others = await this.findOverdue({ hasUpstreamId: true, limit: MAX_READ_TASK_IDS });
    const batch = await this.selectBatch(others);
    if (batch.length === 0) return;
    if (!(await this.deps.leases.acquire(OVERDUE_READ_LEASE, this.deps.readIntervalMs))) return;
    try {
      const results = await this.deps.backPressure.watchRead(() =>
        this.deps.upstream.readTasks(batch.map(({ upstreamTaskId }) => upstreamTaskId ?? '')),
      );
      this.reads.recordSuccess(batch);
      await this.endEach(batch, (task) => this.applyRead(task, results));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      await this.expireUnreadable(others, batch, error);
    }
    this.deps.eventLog.requestSeal();
  }

  /** Overdue tasks, except those that cannot be read, and after them a few of those that could not be ended before. */
  private async findOverdue(filter: { hasUpstreamId: boolean; limit: number }): Promise<Task[]> {
    const excludedIds = [...this.stuck.keys(), ...this.reads.unreadableIds];
    const overdue = await this.deps.tasks.findOverdue({ ...filter, excludedIds });
    const dueIds = [...this.stuck.entries()]
      .filter(([id, { retryAt }]) => retryAt <= performance.now() && !this.reads.isUnreadable(id))
      .map(([id]) => id);
    for (const id of dueIds.slice(-MAX_RETRIED_TASKS)) {
      const task = await this.deps.tasks.find(id);
      if (!task || isFinal(task.status)) this.stuck.delete(id);
      else if ((task.upstreamTaskId !== null) === filter.hasUpstreamId) overdue.push(task);
    }
    return overdue;
  }

  /** The tasks to read: one that cannot be read together with others, or a batch of these others. */
  private async selectBatch(others: readonly Task[]): Promise<readonly Task[]> {
    const hasOthers = others.length > 0;
    let id: string | undefined;
    while ((id = this.reads.nextUnreadable({ hasOthers })) !== undefined) {
      const task = await this.deps.tasks.find(id);
      if (task && !isFinal(task.status)) return [task];
      this.reads.forget(id);
    }
    return this.reads.batchOf(others);
  }

  private async applyRead(task: Task, results: Map<string, UpstreamResult>): Promise<void> {
    const result = results.get(task.upstreamTaskId ?? '');
    if (result && isFinalResult(result))
      await this.deps.results.apply(task.id, result, { actor: EVENT_ACTORS.reconciler });
    else await this.expire(task, result ? 'STILL_RUNNING' : 'UNKNOWN_TO_UPSTREAM');
  }

  /** Records that a read of `batch` has failed, and expires the overdue tasks that have waited for it too long. */
  private async expireUnreadable(
    others: readonly Task[],
    batch: readonly Task[],
    error: UpstreamError,
  ): Promise<void> {
    const leases = this.reads.recordFailure(batch, { isAboutBatch: isAboutTheseTasks(error) });
    await Promise.all(leases.map((lease) => this.deps.leases.extend(lease, READ_FAILURE_COOLDOWN_MS)));
    const expiring = [...new Set([...batch, ...others])].filter((task) => this.reads.expiresUnread(task));
    this.deps.log.warn(
      { err: error, tasks: batch.length, expiring: expiring.length },
      expiring.length > 0
        ? 'failed to read overdue tasks; they expire without having been read'
        : 'failed to read overdue tasks; trying again before they expire',
    );
    await this.endEach(expiring, async (task) => {
      await this.expire(task, 'UNREADABLE');
      this.reads.forget(task.id);
    });
  }

  private async endEach(tasks: readonly Task[], end: (task: Task) => Promise<unknown>): Promise<void> {
    const { submissionPace, log } = this.deps;
    await changeEach(tasks, {
      change: async (task) => {
        await end(task);
        this.stuck.delete(task.id);
      },
      onFailure: ({ id }) => {
        const failures = (this.stuck.get(id)?.failures ?? 0) + 1;
        const delayMs = FAILED_RETRY_DELAYS_MS[failures - 1] ?? FAILED_RETRY_DELAYS_MS[2];
        this.stuck.set(id, { failures, retryAt: performance.now() + delayMs });
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
