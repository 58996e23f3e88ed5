import { type Logger } from 'pino';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { ACTORS } from '../../core/events/task-event.js';
import { type Task } from '../../core/tasks/task.js';
import { type Leases } from '../../db/postgres/lease-repository.js';
import { type Tasks } from '../../db/tasks/task-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type AceData, MAX_READ_IDS } from '../../upstreams/acedata.js';
import { persistently } from '../database-retry.js';
import { isFinished, type Results } from './results.js';

/** The name of the lease on reading. */
const READING = 'upstream-reading';
/** After a reading that failed, a 429 among others: long enough to help, short enough to find a lost callback in time. */
const REST_MS = 4_000;
/** Overdue tasks ended in one run; the next run is a second later. */
const OVERDUE_BATCH = 200;

/** Ends what no callback has ended: asks the upstream about running tasks, and lets deadlines pass. */
export class Reconciliation {
  constructor(
    private readonly tasks: Tasks,
    private readonly leases: Leases,
    private readonly results: Results,
    private readonly events: EventLog,
    private readonly upstream: AceData,
    private readonly log: Logger,
    /** A running task is asked about when nobody has for this long; the first time counts from its submission. */
    private readonly askAfterMs: number,
    /** From one reading to the next, of all instances together. */
    private readonly readEveryMs: number,
  ) {}

  /**
   * Reads up to 50 tasks in one request, unless an instance has read a moment ago: running ones, and for an hour those that
   * were given up, whose pictures are paid for. Throws UpstreamError when reading fails; no task is changed by that, and nobody
   * reads for a while.
   */
  async reconcile(): Promise<void> {
    if (!(await this.leases.take(READING, this.readEveryMs))) return;
    const unchecked = await this.tasks.claimUnchecked(this.askAfterMs, MAX_READ_IDS);
    if (unchecked.length === 0) return;
    const upstreamIds = unchecked.map((task) => task.upstreamTaskId);
    const read = await this.upstream.readTasks(upstreamIds).catch(async (error: unknown) => {
      const ids = unchecked.map((task) => task.id);
      await persistently(() => this.tasks.uncheck(ids), this.log);
      await this.leases.rest(READING, REST_MS);
      throw error;
    });
    for (const { id, upstreamTaskId } of unchecked) {
      const result = read.get(upstreamTaskId);
      if (!result) this.log.warn({ taskId: id }, 'the upstream does not know a task that it accepted');
      if (!result || !isFinished(result)) continue;
      await persistently(() => this.results.apply(id, result, ACTORS.reconciler), this.log);
    }
  }

  /** Ends tasks whose deadline has passed. */
  async expire(): Promise<void> {
    for (const task of await this.tasks.findOverdue(OVERDUE_BATCH)) {
      const error = expiry(task);
      await this.tasks.moveTo(task.id, 'EXPIRED', {
        from: [task.status],
        failure: error,
        event: { type: 'TASK_EXPIRED', actor: ACTORS.deadline, data: { error } },
      });
    }
    this.events.sealSoon();
  }
}

function expiry(task: Task): TaskFailure {
  const known = { retryable: true, upstreamCode: null, upstreamTraceId: task.upstreamTraceId };
  if (task.status === 'UNCONFIRMED' || task.status === 'SUBMITTING') {
    const message =
      'The request may or may not have reached the upstream, and nothing was heard of it until the deadline. ' +
      'It was not sent again. Asking again can cost a second time; a picture that still comes is kept as late.';
    return { ...known, code: 'SUBMIT_UNCONFIRMED', message };
  }
  const message =
    task.status === 'QUEUED'
      ? 'The task could not be sent before its deadline; nothing was made. Ask again.'
      : 'The upstream did not finish before the deadline. Ask again, or give a longer time-out.';
  return { ...known, code: 'DEADLINE_EXCEEDED', message };
}
