import { appError } from '../errors.js';
import { type TaskFailure } from './task-failure.js';

/**
 * What is known about a request that failed.
 *
 * - `not-sent`: no byte of it left this process.
 * - `refused`: the upstream answered with its error envelope.
 * - `unknown`: it may have arrived, so the upstream may be making images. It must not be sent again.
 */
export type SubmitOutcome = 'not-sent' | 'refused' | 'unknown';

/**
 * A refusal that is not about the request. RATE: the upstream has too much to do. ACCOUNT: our account is out of credit,
 * disabled, or its token is not accepted. Every other request would be refused as well, so all instances slow down.
 */
export interface BackPressure {
  kind: 'RATE' | 'ACCOUNT';
  /** The time that the upstream asks to wait. Null when it does not say. */
  retryAfterMs: number | null;
}

/** What an UpstreamError knows, as it can be written to a file. */
export type UpstreamErrorData = Pick<
  UpstreamError,
  'outcome' | 'failure' | 'retryDelaysMs' | 'backPressure'
> &
  Partial<Pick<UpstreamError, 'upstreamTaskId'>>;

/** An error of the upstream, mapped to our codes where it occurred. It alone decides whether and when to try again. */
export class UpstreamError extends appError('UPSTREAM_ERROR', 502) {
  readonly retryDelaysMs: readonly number[];
  /** Present when the task waits for the upstream instead of using up its attempts. */
  readonly backPressure: BackPressure | null;
  /** The upstream's ID of the task, if the response to a submission with an unknown outcome names it. */
  readonly upstreamTaskId: string | null;
  constructor(
    readonly outcome: SubmitOutcome,
    readonly failure: TaskFailure,
    {
      retryDelaysMs,
      backPressure = null,
      upstreamTaskId = null,
      cause,
    }: {
      retryDelaysMs: readonly number[];
      backPressure?: BackPressure | null;
      upstreamTaskId?: string | null;
      cause?: unknown;
    },
  ) {
    super(failure.message, { cause });
    this.retryDelaysMs = retryDelaysMs;
    this.backPressure = backPressure;
    this.upstreamTaskId = upstreamTaskId;
  }

  get data(): UpstreamErrorData {
    const { outcome, failure, retryDelaysMs, backPressure, upstreamTaskId } = this;
    return { outcome, failure, retryDelaysMs, backPressure, upstreamTaskId };
  }

  /**
   * Milliseconds to wait after attempt number `attempt` (from 1), including up to 25 % of jitter. Null when another
   * attempt is pointless or unsafe. With `untilDeadline`, the last delay repeats.
   */
  retryAfterMs(attempt: number, { untilDeadline = false } = {}): number | null {
    const last = untilDeadline ? this.retryDelaysMs.at(-1) : undefined;
    const delay = this.outcome === 'unknown' ? undefined : (this.retryDelaysMs[attempt - 1] ?? last);
    return delay === undefined ? null : Math.round(delay * (1 + Math.random() / 4));
  }
}
