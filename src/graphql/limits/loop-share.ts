import { setTimeout as delay } from 'node:timers/promises';
import { Mutex } from 'async-mutex';
import { LRUCache } from 'lru-cache';
import { RateLimited } from '../../core/errors.js';

/** With a share of a tenth and work of some milliseconds, the last one waits for a second or two. */
const MAX_WAITING = 16;
const RETRY_AFTER_MS = 5_000;
/** One that is forgotten has at most a burst more. */
const MAX_WORKSPACES = 1_000;

export interface LoopShareOptions {
  /** The part of the event loop that the work may take, between 0 and 1. */
  share: number;
  /** Milliseconds of work that do not wait, after a time with less work than the share allows. */
  burstMs: number;
  /** What a client reads whose work was refused, because too much waits. */
  busyMessage: string;
}

/**
 * Gives synchronous work that takes milliseconds a part of the event loop, so that nothing else is served late because of it. Work
 * beyond that waits for its turn.
 */
export class LoopShare {
  private readonly turns = new Mutex();
  private waiting = 0;
  /** When all work until now has had its share, in monotonic milliseconds. */
  private settledAt = -Infinity;

  constructor(private readonly options: LoopShareOptions) {}

  /** Runs `work` in its turn. It counts as `assumedMs` at least. Throws RateLimited when too much waits. */
  async run<Result>(work: () => Result, assumedMs = 0): Promise<Result> {
    if (this.waiting === 0 && this.waitMs <= 0) return this.runNow(work, assumedMs);
    if (this.waiting >= MAX_WAITING) throw new RateLimited(this.options.busyMessage, RETRY_AFTER_MS);
    this.waiting += 1;
    const release = await this.turns.acquire();
    try {
      if (this.waitMs > 0) await delay(this.waitMs, undefined, { ref: false });
      return this.runNow(work, assumedMs);
    } finally {
      this.waiting -= 1;
      release();
    }
  }

  private runNow<Result>(work: () => Result, assumedMs: number): Result {
    const start = performance.now();
    try {
      return work();
    } finally {
      const tookMs = Math.max(assumedMs, performance.now() - start);
      this.settledAt = Math.max(this.settledAt, start) + tookMs / this.options.share;
    }
  }

  /** How long the next work has to wait. Negative: it need not. */
  private get waitMs(): number {
    const { share, burstMs } = this.options;
    return this.settledAt - burstMs / share - performance.now();
  }
}

/** A share for each workspace, so that work of one does not make another wait. */
export class WorkspaceLoopShares {
  private readonly shares = new LRUCache<string, LoopShare>({ max: MAX_WORKSPACES });

  constructor(private readonly options: LoopShareOptions) {}

  of(workspaceId: string): LoopShare {
    const known = this.shares.get(workspaceId);
    if (known) return known;
    const share = new LoopShare(this.options);
    this.shares.set(workspaceId, share);
    return share;
  }
}
