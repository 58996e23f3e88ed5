/** The part of the time that work may take, after a burst. Whoever does the work asks how long to wait, and says what it took. */
export class TimeShare {
  /** When all work until now has had its share, in monotonic milliseconds. */
  private settledAt = -Infinity;

  /** `share`: between 0 and 1. `burstMs`: work that need not wait after a time with less work than the share allows. */
  constructor(
    private readonly share: number,
    private readonly burstMs: number,
  ) {}

  /** How long the next work has to wait. Negative: it need not. */
  get waitMs(): number {
    return this.settledAt - this.burstMs / this.share - performance.now();
  }

  /** `start`: in monotonic milliseconds. */
  spend(start: number, tookMs: number): void {
    this.settledAt = Math.max(this.settledAt, start) + tookMs / this.share;
  }
}
