/**
 * A time limit for what the network does. It stands still while this process does something else, such as writing to a disk,
 * because that is not the fault of the peer. `signal` aborts with a TimeoutError.
 */
export class NetworkTimeout {
  private readonly controller = new AbortController();
  private leftMs: number;
  private runningSince = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(readonly timeoutMs: number) {
    this.leftMs = timeoutMs;
    this.resume();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Stands still during `work`. */
  async exclude<Result>(work: () => Promise<Result>): Promise<Result> {
    this.stop();
    this.leftMs -= performance.now() - this.runningSince;
    try {
      return await work();
    } finally {
      this.resume();
    }
  }

  /** Ends the timeout without aborting. */
  stop(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
  }

  private resume(): void {
    this.runningSince = performance.now();
    const abort = () => this.controller.abort(new DOMException('The peer is too slow.', 'TimeoutError'));
    this.timer = setTimeout(abort, Math.max(0, this.leftMs)).unref();
  }
}
