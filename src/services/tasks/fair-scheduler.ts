import { singleFlightWithRerun } from '../../core/primitives/async.js';
import { newId } from '../../core/primitives/ids.js';
import { type SubmitJob } from '../../core/primitives/jobs.js';
import { type Task } from '../../core/tasks/task.js';
import { type TaskClaim, type TaskClaimResult } from '../../db/tasks/task-claims.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Dependencies } from '../dependencies.js';

/** What one run of a submit job has to do. When both fields are absent, there is nothing to submit. */
export interface SubmissionClaim {
  /** The task to submit now. No other run submits it. */
  task?: Task;
  /** ID of the task that an earlier run of the same job was submitting when its process ended. */
  interruptedTaskId?: string;
  /** Whether a task waits, but all instances together submit as much as they may. */
  isPaused?: boolean;
  /** Whether the pace of all instances changes if the upstream accepts the task. */
  isProbe?: boolean;
}

interface PendingClaim {
  claim: TaskClaim;
  resolve: (result: TaskClaimResult) => void;
  reject: (error: unknown) => void;
}

/**
 * Picks the next task for each run of a submit job, and moves it to SUBMITTING for that run. Workspaces are served
 * round-robin, and so are the end users of a workspace. The tasks of one end user are submitted by priority, then oldest
 * first. The SQL function `pick_next_tasks` in prisma/migrations holds this rule.
 *
 *   PICKED with a task              -> submit it
 *   PICKED without a task           -> something else moved the task in the meantime: claim again
 *   RETRY                           -> claim again
 *   ALREADY_SUBMITTING by this run  -> the claim was committed, but its response was lost: submit the task
 *   ALREADY_SUBMITTING by another   -> that run ended while it was submitting: never submit the task again
 *   SUPERSEDED                      -> the queue took this run for dead and gave its job to another run: throw
 *   PAUSED                          -> a task is due, but all instances together submit as much as they may
 *   NONE                            -> no task is due
 *
 * The statement checks the job before it picks a task, under the same lock. A job therefore holds one task at most,
 * even when responses are lost or a statement that was given up is executed later. SUPERSEDED must throw, because a
 * run that returns removes its job from the queue, even when another run has that job.
 *
 * Claims of all instances wait for one lock. Each instance therefore runs one statement at a time, for all claims
 * that are pending, and the cost per claim falls under load. With one statement per claim, 48 slots that became free
 * at the same time waited one after the other.
 */
export class FairScheduler {
  private pendingClaims: PendingClaim[] = [];
  private readonly claimPending = singleFlightWithRerun(() => this.claimBatch());

  constructor(
    private readonly deps: Pick<Dependencies, 'log' | 'tasks'> & {
      /** Tasks that all instances together may be submitting at the same time. */
      maxSubmitting: number;
    },
  ) {}

  /**
   * Claims the next task. Retries while PostgreSQL is unavailable, and then throws DatabaseUnavailable. Throws when another
   * run has the job.
   */
  claimNext(submitJob: SubmitJob): Promise<SubmissionClaim> {
    const claim = { ...submitJob, submissionId: newId() };
    return retryUntilDatabaseReturns(async (): Promise<SubmissionClaim> => {
      for (;;) {
        const result = await this.enqueueClaim(claim);
        if (result.outcome === 'NONE') return {};
        if (result.outcome === 'SUPERSEDED') throw new Error('The queue has given this job to another run.');
        if (result.outcome === 'PAUSED') return { isPaused: true };
        if (result.outcome === 'PICKED' && result.task) return { task: result.task, isProbe: result.isProbe };
        if (result.outcome !== 'ALREADY_SUBMITTING') continue;
        const task = await this.deps.tasks.findSubmission(result.taskId, claim.submissionId);
        return task ? { task } : { interruptedTaskId: result.taskId };
      }
    }, this.deps.log);
  }

  /** ID of the task that an earlier run of the same job was submitting when its process ended. Claims no task. */
  findInterrupted(submitJob: SubmitJob): Promise<string | undefined> {
    const claim = { ...submitJob, submissionId: newId() };
    return retryUntilDatabaseReturns(async () => {
      for (;;) {
        const [result] = await this.deps.tasks.claimNextTasks([claim], 0);
        if (result?.outcome === 'RETRY') continue;
        return result?.outcome === 'ALREADY_SUBMITTING' ? result.taskId : undefined;
      }
    }, this.deps.log);
  }

  private enqueueClaim(claim: TaskClaim): Promise<TaskClaimResult> {
    return new Promise((resolve, reject) => {
      this.pendingClaims.push({ claim, resolve, reject });
      void this.claimPending();
    });
  }

  private async claimBatch(): Promise<void> {
    const batch = this.pendingClaims.splice(0);
    try {
      const { tasks, maxSubmitting } = this.deps;
      const results = await tasks.claimNextTasks(
        batch.map(({ claim }) => claim),
        maxSubmitting,
      );
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as TaskClaimResult);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
