/**
 * The delay before a breaker of cockatiel lets a probe through, from each of its openings. Cockatiel compares `duration` with the
 * time by the clock of the instance, which can jump. So this measures the time itself, and `duration` is all or nothing.
 */
export class ProbeDelay {
  private startedAt = -Infinity;

  constructor(private readonly delayMs: number) {}

  /** Called when the breaker opens. */
  next(): this {
    this.startedAt = performance.now();
    return this;
  }

  get isOver(): boolean {
    return performance.now() - this.startedAt >= this.delayMs;
  }

  get duration(): number {
    return this.isOver ? -Infinity : Infinity;
  }
}
