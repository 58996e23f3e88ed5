import { databaseTimeMs } from '../../core/primitives/clock.js';
import { singleFlight } from '../../core/primitives/async.js';
import { type RateLimitRepository } from '../../db/limits/rate-limit-repository.js';

/**
 * An instance takes 1 % of a limit at a time. An instance that does not use up its chunk withholds it from the others, so
 * with six instances at most 5 % of the limit is unavailable. A window needs at most a hundred statements.
 */
const CHUNKS_PER_LIMIT = 100;

/** The state of an allowance as this instance last knew it. Other instances may have used more since. */
export interface AllowanceStatus {
  limit: number;
  remaining: number;
  /** Time until the window ends. */
  resetsInMs: number;
  windowMs: number;
  resetAt: Date;
}

/**
 * One rate limit of one subject, counted down in chunks on this instance.
 *
 *   unknown -> take a chunk -> use it up -> take a chunk -> ... -> limit exhausted -> (window ends) -> unknown
 *
 * Times come from the monotonic clock. The end of the window is the remaining time that PostgreSQL returns, counted from
 * before the query, so the local window never ends later than the one in PostgreSQL.
 */
export class RateAllowance {
  private remainingHere = 0;
  private totalGranted = 0;
  private endsAt = -Infinity;
  /** The end of the window by the clock of PostgreSQL, for display. */
  private resetAt = new Date(0);
  private isExhausted = false;
  private readonly takeChunk = singleFlight((count: number, limit: number) =>
    this.acquireChunk(count, limit),
  );

  constructor(
    private readonly name: string,
    private readonly windowMs: number,
    private readonly rateLimits: RateLimitRepository,
  ) {}

  /** Uses up `count`. False when less than that is left. Returns at once, without a query, while the local chunk lasts. */
  tryUse(count: number, limit: number): boolean | Promise<boolean> {
    const isWindowOver = performance.now() >= this.endsAt;
    if (isWindowOver) {
      this.remainingHere = 0;
      this.isExhausted = false;
    }
    if (this.remainingHere >= count) {
      this.remainingHere -= count;
      return true;
    }
    if (this.isExhausted || count > limit) return false;
    return this.takeChunk(count, limit).then(() => this.tryUse(count, limit));
  }

  /** Returns what was not used after all. */
  refund(count: number): void {
    if (performance.now() < this.endsAt) this.remainingHere += count;
  }

  /** Returns the present state, without a query. */
  status(limit: number): AllowanceStatus {
    const { windowMs } = this;
    const resetsInMs = Math.max(0, this.endsAt - performance.now());
    if (resetsInMs === 0) {
      const resetAt = new Date(databaseTimeMs() + windowMs);
      return { limit, remaining: limit, resetsInMs: windowMs, windowMs, resetAt };
    }
    const remaining = Math.max(0, limit - this.totalGranted) + this.remainingHere;
    return { limit, remaining, resetsInMs, windowMs, resetAt: this.resetAt };
  }

  private async acquireChunk(count: number, limit: number): Promise<void> {
    const requestedAt = performance.now();
    const chunk = Math.max(count, Math.ceil(limit / CHUNKS_PER_LIMIT));
    const grant = await this.rateLimits.acquire({
      key: this.name,
      requested: chunk,
      limit,
      windowMs: this.windowMs,
    });
    const endsAt = requestedAt + grant.remainingMs;
    // What is left of an earlier window expires with it.
    if (endsAt - this.endsAt > this.windowMs / 2) this.remainingHere = 0;
    this.endsAt = endsAt;
    this.resetAt = grant.windowEndsAt;
    this.remainingHere += grant.granted;
    this.totalGranted = grant.totalGranted;
    this.isExhausted = grant.granted < chunk;
  }
}
