import { type Allowances } from '../../db/limits/rate-limit-repository.js';

/**
 * The share of an allowance that an instance asks for at once: 1 %. Those of instances that do not use theirs up are lost to
 * the others, so with six instances no more than 5 % is; and there are at most a hundred statements for each window.
 */
const CHUNKS = 100;

/** How an allowance stands, as far as this instance knows: others may have used more by now. */
export interface Standing {
  limit: number;
  remaining: number;
  /** Until it is renewed. */
  leftMs: number;
  windowMs: number;
  resetAt: Date;
}

/**
 * One allowance, counted down by this instance.
 *
 *   unknown -> take -> some left -> used up here -> take -> ... -> all given away -> (window over) -> unknown
 *
 * Times are of the monotonic clock, from what Postgres says is left of the window, counted from before it was asked: our
 * window ends no later than that of Postgres.
 */
export class Allowance {
  private left = 0;
  private given = 0;
  private endsAt = -Infinity;
  /** The same by the clock of Postgres, for people. */
  private resetAt = new Date(0);
  private isGivenAway = false;
  private taking: Promise<void> | null = null;

  constructor(
    private readonly name: string,
    private readonly windowMs: number,
    private readonly allowances: Allowances,
  ) {}

  /** Uses `count` up; false: that much is not left. Without a query, and at once, as long as there is some left here. */
  use(count: number, limit: number): boolean | Promise<boolean> {
    const isOver = performance.now() >= this.endsAt;
    if (isOver) {
      this.left = 0;
      this.isGivenAway = false;
    }
    if (this.left >= count) {
      this.left -= count;
      return true;
    }
    if (this.isGivenAway || count > limit) return false;
    this.taking ??= this.take(count, limit).finally(() => {
      this.taking = null;
    });
    return this.taking.then(() => this.use(count, limit));
  }

  /** Gives back what was not used after all. */
  giveBack(count: number): void {
    if (performance.now() < this.endsAt) this.left += count;
  }

  standing(limit: number): Standing {
    const { windowMs } = this;
    const leftMs = Math.max(0, this.endsAt - performance.now());
    if (leftMs === 0) {
      const resetAt = new Date(Date.now() + windowMs);
      return { limit, remaining: limit, leftMs: windowMs, windowMs, resetAt };
    }
    const remaining = Math.max(0, limit - this.given) + this.left;
    return { limit, remaining, leftMs, windowMs, resetAt: this.resetAt };
  }

  private async take(count: number, limit: number): Promise<void> {
    const askedAt = performance.now();
    const chunk = Math.max(count, Math.ceil(limit / CHUNKS));
    const grant = await this.allowances.take(this.name, chunk, limit, this.windowMs);
    const { granted, given, leftMs, endsAt: resetAt } = grant;
    const endsAt = askedAt + leftMs;
    // Of a window before this one nothing is left.
    if (endsAt - this.endsAt > this.windowMs / 2) this.left = 0;
    this.endsAt = endsAt;
    this.resetAt = resetAt;
    this.left += granted;
    this.given = given;
    this.isGivenAway = granted < chunk;
  }
}
