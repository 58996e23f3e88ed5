/**
 * After work that took longer, no work of any share runs for three times as long, even in a burst. So a request meets one long
 * piece at a time, and pieces of up to 80 ms take a quarter of the loop at most. Short ones run together until they took as long.
 */
const SHORT_WORK_MS = 5;
const REST_PER_WORK = 3;
/** Work can seem longer than it was, for example when the process was suspended in the middle of it. */
const MAX_REST_MS = 250;

/** A LoopShare with work that waits. */
export interface WaitingShare {
  /** How long its next work has to wait for its share. Negative: it need not. */
  readonly waitMs: number;
  /** Runs it. Returns whether more waits. */
  runNext(): boolean;
}

/** The turns of the shares of an event loop, for work that waits. The share whose last turn is longest ago comes first. */
export class LoopTurns {
  static readonly ofThisLoop = new LoopTurns();
  private readonly waiting = new Set<WaitingShare>();
  /** In monotonic milliseconds. */
  private restsUntil = -Infinity;
  private timer: NodeJS.Timeout | undefined;

  /** How long everything has to wait, because long work has run. Negative: it need not. */
  get restMs(): number {
    return this.restsUntil - performance.now();
  }

  /** The next share whose work could run now. */
  get ready(): WaitingShare | undefined {
    return this.restMs > 0 ? undefined : [...this.waiting].find(({ waitMs }) => waitMs <= 0);
  }

  /** To be called after each work, with its monotonic times. */
  restAfter(start: number, end: number): void {
    if (end - start > SHORT_WORK_MS)
      this.restsUntil = end + Math.min(REST_PER_WORK * (end - start), MAX_REST_MS);
  }

  /** To be called when work of a share begins to wait. */
  wait(share: WaitingShare): void {
    this.waiting.add(share);
    this.schedule();
  }

  private runNext(): void {
    const start = performance.now();
    for (let next = this.ready; next && performance.now() - start < SHORT_WORK_MS; next = this.ready) {
      this.waiting.delete(next);
      if (next.runNext()) this.waiting.add(next);
    }
    this.schedule();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.waiting.size === 0) return;
    const waitMs = Math.min(...[...this.waiting].map((share) => share.waitMs));
    this.timer = setTimeout(() => this.runNext(), Math.max(0, waitMs, this.restMs)).unref();
  }
}
