import { withTimeout } from '../../core/primitives/async.js';
import { DatabaseUnavailable } from '../../core/errors.js';
import { UpstreamError, type UpstreamErrorData } from '../../core/tasks/upstream-error.js';
import { type Task } from '../../core/tasks/task.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Spool } from '../../storage/spool.js';
import { SPOOL_TIMEOUT_MS } from '../../storage/disk-operations.js';
import { SpoolDrain, type SpoolState, type UnwrittenValue } from '../../storage/spool-drain.js';
import { type Dependencies } from '../dependencies.js';
import { type BackPressure } from './back-pressure.js';
import { type Results, type SubmitResponse, type SubmittedTask } from './results.js';

/** A submission and what became of it. It has either a `result` or an `error`. */
interface KeptOutcome {
  task: SubmittedTask;
  result?: SubmitResponse;
  error?: UpstreamErrorData;
}

/**
 * Applies what became of submissions. A reply has the only ID that finds the result, which is billed, and only a refusal shows
 * that nothing was made. So while PostgreSQL is unavailable, an outcome waits on the disk of this instance, and is applied when
 * PostgreSQL returns, or at the next start. So does one that cannot be applied for another reason. It is tried again. What the
 * disk does not take waits in memory, for as long as the process lives.
 */
export class SubmitOutcomes {
  private readonly upstreamFailures = new UpstreamFailures();
  /**
   * What earlier processes left, and what could not be applied although PostgreSQL responds. During an outage the jobs of this
   * process apply their outcomes.
   */
  private readonly spooled: SpoolDrain;

  constructor(
    private readonly deps: Pick<Dependencies, 'log'> & {
      backPressure: BackPressure;
      results: Results;
      spool: Spool;
    },
  ) {
    this.spooled = new SpoolDrain({
      ...deps,
      subject: 'the outcome of a submission',
      apply: (outcome) => this.applyEarlier(outcome as KeptOutcome),
    });
  }

  /** Resolves when the response is applied. Waits for PostgreSQL for as long as the process lives. */
  async applyResponse(task: Task, result: SubmitResponse): Promise<void> {
    this.upstreamFailures.clear();
    await this.applyOrKeep({ task: identityOf(task), result }, () =>
      this.deps.results.applySubmitResponse(task, result),
    );
  }

  /**
   * The same for a failure. `sentAt` is of the clock `performance.now`. Returns whether the upstream is down, which means that
   * no request would succeed.
   */
  async applyFailure(task: Task, error: UpstreamError, sentAt: number): Promise<{ isUpstreamDown: boolean }> {
    const isUpstreamDown = error.outcome === 'not-sent' || this.upstreamFailures.record(task.id, error);
    const downMs = isUpstreamDown ? error.retryAfterMs(task.attempts, { untilDeadline: true }) : null;
    await this.applyOrKeep({ task: identityOf(task), error: error.data }, async () => {
      const pauseMs = await this.deps.backPressure.applyRefusal(error, sentAt);
      await this.deps.results.applySubmitFailure(task, error, { waitMs: pauseMs ?? downMs ?? undefined });
    });
    return { isUpstreamDown };
  }

  get spoolState(): SpoolState {
    return this.spooled.state;
  }

  /** Applies the outcomes that an earlier process left in the spool. A file that cannot be applied stays, and is logged. */
  async applySpooled(): Promise<void> {
    await this.spooled.load();
    await this.spooled.applyWaiting();
  }

  /** What an earlier process left and PostgreSQL has not taken stays for the next start. */
  stop(): Promise<void> {
    return this.spooled.stop();
  }

  /** Without back-pressure, because an old refusal says nothing about the upstream's load or about the account of today. */
  private async applyEarlier({ task, result, error }: KeptOutcome): Promise<void> {
    const { results } = this.deps;
    if (result) return results.applySubmitResponse(task, result);
    if (!error) throw new Error('The outcome has neither a result nor an error.');
    const waitMs = error.backPressure || error.outcome === 'not-sent' ? 0 : undefined;
    await results.applySubmitFailure(task, new UpstreamError(error.outcome, error.failure, error), {
      waitMs,
    });
  }

  private async applyOrKeep(outcome: KeptOutcome, apply: () => Promise<void>): Promise<void> {
    try {
      await apply();
      this.spooled.noteApplied();
    } catch (error) {
      const file = new OutcomeFile(outcome, this.deps);
      if (!(error instanceof DatabaseUnavailable)) return this.leaveFailed(file, error);
      try {
        // Beside the write, because the disk may never answer it.
        await retryUntilDatabaseReturns(apply, this.deps.log, Infinity);
      } catch (failure) {
        return this.leaveFailed(file, failure);
      }
      this.spooled.noteApplied();
      await file.removeFile();
    }
  }

  /** Keeps an outcome that could not be applied, to be tried again with growing pauses. Rejects with the error. */
  private async leaveFailed(file: OutcomeFile, error: unknown): Promise<never> {
    const isWritten = await file.isWritten();
    this.spooled.addFailed(file.name, error, isWritten ? undefined : file);
    throw error;
  }
}

/**
 * An outcome on its way to the disk. The disk that is full for PostgreSQL may be this one, and it may not answer at all. The
 * outcome still waits for as long as the process lives.
 */
class OutcomeFile implements UnwrittenValue {
  readonly name: string;
  /** Whether the file is on the disk, when that is known. */
  private readonly written: Promise<boolean>;
  private isKnown = false;

  constructor(
    readonly value: KeptOutcome,
    private readonly deps: Pick<Dependencies, 'log'> & { spool: Spool },
  ) {
    const { id: taskId, attempts } = value.task;
    this.name = `${taskId}-${attempts}`;
    this.written = this.write(taskId, value).finally(() => (this.isKnown = true));
  }

  /** Waits for the disk, for as long as it may take. False also when it has not answered by then. */
  async isWritten(): Promise<boolean> {
    return (await withTimeout(this.written, SPOOL_TIMEOUT_MS)) === true;
  }

  /**
   * Removes the file, later if it is still being written. One that is left is applied again at the next start, and changes
   * nothing.
   */
  async removeFile(): Promise<void> {
    const removed = this.removeWhenWritten();
    if (this.isKnown) await removed;
  }

  private async write(taskId: string, outcome: KeptOutcome): Promise<boolean> {
    const { spool, log } = this.deps;
    try {
      await spool.write(this.name, outcome);
      log.warn({ taskId }, 'the outcome of a submission waits in the spool');
      return true;
    } catch (error) {
      log.error({ err: error, taskId }, 'the outcome of a submission could not be written to the spool');
      return false;
    }
  }

  private async removeWhenWritten(): Promise<void> {
    const { spool, log } = this.deps;
    try {
      if (await this.written) await spool.remove(this.name);
    } catch (error) {
      log.error({ err: error, name: this.name }, 'a file in the spool could not be removed');
    }
  }
}

/** Different tasks in a row that failed at the upstream, before the upstream is considered down. */
const FAILED_TASKS_WHEN_DOWN = 3;

/**
 * Tells whether the upstream fails for every task, or for the request of one. Another answer than a failure shows that it works.
 * One task that it can never make therefore does not stop the others, and fails after a few attempts.
 */
class UpstreamFailures {
  private readonly taskIds = new Set<string>();

  clear(): void {
    this.taskIds.clear();
  }

  /** Records the error of a submission. True if the upstream fails for every task. */
  record(taskId: string, { outcome, failure, backPressure }: UpstreamError): boolean {
    // These say nothing about whether it can make images.
    if (outcome !== 'refused' || backPressure) return false;
    if (failure.code !== 'UPSTREAM_FAILED') this.clear();
    else if (failure.retryable && this.taskIds.size < FAILED_TASKS_WHEN_DOWN) this.taskIds.add(taskId);
    return this.taskIds.size >= FAILED_TASKS_WHEN_DOWN;
  }
}

function identityOf({ id, attempts, uncountedAttempts }: Task): SubmittedTask {
  return { id, attempts, uncountedAttempts };
}
