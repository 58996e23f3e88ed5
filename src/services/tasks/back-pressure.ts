import { UpstreamError } from '../../core/tasks/upstream-error.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type ReportedRefusal } from '../../db/tasks/submission-pace-repository.js';
import { type Dependencies } from '../dependencies.js';

const ACCOUNT_REFUSED = 'the upstream refuses the account; tasks stay queued until a probe is accepted';

/**
 * Slows all instances down after a refusal that every submission would get: the upstream has too much to do, or it refuses our
 * account. The task goes back to the queue without losing an attempt, and waits there until its deadline.
 *
 *   no limit -> 429 -> a rate that halves with each further 429 -> accepted -> eight times the rate, up to the safe one
 *     -> a rate that doubles every 5 s -> no limit
 *   no limit -> account refused -> one task at a time probes -> accepted -> no limit
 *
 * The safe rate is the one after the last 429 that followed an accepted submission. Before there is one, no rate is known to be
 * too high.
 */
export class BackPressure {
  /** Whether the account was refused by the last read. Reported once, because a probe says whether submissions are refused. */
  private isReadRefused = false;

  constructor(private readonly deps: Pick<Dependencies, 'log' | 'submissionPace'>) {}

  /**
   * Slows submissions down if a submission was refused with `error.backPressure`, and returns the time until the next one may
   * be sent. Undefined for any other error. `sentAt` is of the clock `performance.now`.
   */
  async applyRefusal(error: UpstreamError, sentAt: number): Promise<number | undefined> {
    const { submissionPace, log } = this.deps;
    const { backPressure, failure } = error;
    if (!backPressure) return undefined;
    const sentMsAgo = performance.now() - sentAt;
    const { changed, pauseMs } = await submissionPace.slowDown({ ...backPressure, failure, sentMsAgo });
    if (changed) {
      const text =
        backPressure.kind === 'ACCOUNT'
          ? ACCOUNT_REFUSED
          : 'the upstream is rate limiting; submitting more slowly';
      log.warn({ code: failure.code, pauseMs }, text);
    }
    return pauseMs;
  }

  /** Lets one task at a time probe the account when a result, or a read of results, shows that the upstream refuses our account. */
  async applyReport(report: ReportedRefusal): Promise<void> {
    if (await this.deps.submissionPace.probeOnly(report))
      this.deps.log.warn({ code: report.failure.code, taskId: report.taskId }, ACCOUNT_REFUSED);
  }

  /** Reads results. If the error of `read` says that the upstream refuses our account, does the same before it throws the error. */
  async watchRead<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      const result = await read();
      this.isReadRefused = false;
      return result;
    } catch (error) {
      if (error instanceof UpstreamError && error.backPressure?.kind === 'ACCOUNT' && !this.isReadRefused) {
        this.isReadRefused = true;
        await this.applyReport({ failure: error.failure, taskId: null });
      }
      throw error;
    }
  }

  /** Lets all instances submit faster when the upstream has accepted a probe. */
  async applyAcceptance(sentAt: number): Promise<void> {
    if (await this.deps.submissionPace.speedUp(performance.now() - sentAt))
      this.deps.log.info('the upstream accepts the account again; resuming submissions');
  }
}

/** The failure of a queued task whose deadline has passed, with the reason for which it was not submitted. */
export function queuedTooLong(cause: TaskFailure | null): Pick<TaskFailure, 'message' | 'upstreamCode'> {
  const reason = cause ? `: ${PRESSURE_REASONS[cause.code] ?? 'the upstream refuses submissions'}` : '';
  return {
    message: `The task could not be submitted before its deadline${reason}. No image was generated. Send a new request.`,
    upstreamCode: cause?.upstreamCode ?? null,
  };
}

const PRESSURE_REASONS: Partial<Record<TaskFailure['code'], string>> = {
  UPSTREAM_OUT_OF_CREDIT: 'the upstream account is out of credit',
  UPSTREAM_CREDENTIALS: "the upstream rejects Darkroom's API token",
  UPSTREAM_DISABLED: "the upstream has disabled Darkroom's access",
  UPSTREAM_RATE_LIMITED: 'the upstream is rate limiting requests',
};
