import { type UpstreamError } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type Task } from '../../core/tasks/task.js';
import { type Dependencies } from '../dependencies.js';
import { type Results } from './results.js';

type BackPressureDependencies = Pick<Dependencies, 'log' | 'submissionPace' | 'tasks'> & { results: Results };

/**
 * Answers refusals that every submission would get: the upstream has too much to do, or it refuses our account. The task goes
 * back to the queue without losing an attempt, and waits there until its deadline. All instances together submit more slowly.
 *
 *   no limit -> 429 -> a rate that halves with each further 429, and doubles every 5 s -> no limit
 *   no limit -> account refused -> one task at a time probes, at growing intervals -> accepted -> no limit
 */
export class BackPressure {
  constructor(private readonly deps: BackPressureDependencies) {}

  /** Slows submissions down after a refusal of `task` with `error.backPressure`. `sentAt` is of the clock `performance.now`. */
  async applyRefusal(task: Task, error: UpstreamError, sentAt: number): Promise<void> {
    const { submissionPace, tasks, results, log } = this.deps;
    const { backPressure, failure } = error;
    if (!backPressure) return;
    const sentMsAgo = performance.now() - sentAt;
    const { changed, pauseMs } = await submissionPace.slowDown({ ...backPressure, failure, sentMsAgo });
    const { code, message } = failure;
    if (changed) {
      const text =
        backPressure.kind === 'ACCOUNT'
          ? 'the upstream refuses the account; tasks stay queued until a probe is accepted'
          : 'the upstream is rate limiting; submitting more slowly';
      log.warn({ code, pauseMs }, text);
    }
    const data = { attempt: task.attempts, code, message };
    const event = { type: 'SUBMIT_REJECTED', actor: EVENT_ACTORS.submitter, data } as const;
    // A task whose deadline comes first stays queued until then.
    for (const delayMs of [pauseMs, 0]) {
      if (await tasks.requeue(task, delayMs, { event, isUncounted: true })) return;
    }
    await results.applySubmitFailure(task, error);
  }

  /** Lets all instances submit again when the upstream has accepted the account of a probe. */
  async applyAcceptance(sentAt: number): Promise<void> {
    if (await this.deps.submissionPace.resume(performance.now() - sentAt))
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
