import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { type JobName } from '../core/primitives/jobs.js';

/**
 * Gives runs of recurring jobs a time limit. A run that exceeds it counts as ended, so that the next run is queued, on any
 * instance. Until its work has really ended, this instance starts no other run of the job, so that runs cannot pile up.
 */
export class RecurringRuns {
  private readonly unfinished = new Map<JobName, { ended: Promise<void>; signal: AbortSignal }>();

  /**
   * Runs the work after any other run of the job on this instance. Throws RunTimedOut and aborts the signal after
   * `timeLimitMs`, and throws it at once while a run that was given up has not ended.
   */
  async run(name: JobName, timeLimitMs: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    for (let other = this.unfinished.get(name); other; other = this.unfinished.get(name)) {
      if (other.signal.aborted) throw new RunTimedOut(name, 'an earlier run has still not ended');
      await withTimeout(
        other.ended.catch(() => undefined),
        timeLimitMs,
      );
    }
    const controller = new AbortController();
    const { signal } = controller;
    const ended = work(signal).finally(() => this.unfinished.delete(name));
    this.unfinished.set(name, { ended, signal });
    if ((await withTimeout(ended, timeLimitMs)) !== TIMED_OUT) return;
    controller.abort();
    throw new RunTimedOut(name, `it has not ended within ${timeLimitMs / 1_000} s`);
  }
}

/** A run of a recurring job exceeded its time limit. */
export class RunTimedOut extends Error {
  constructor(name: JobName, reason: string) {
    super(`The recurring job ${name} was given up: ${reason}.`);
    this.name = new.target.name;
  }
}
