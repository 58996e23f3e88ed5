import { LRUCache } from 'lru-cache';
import { partOf, type WorkOwner } from './work-owner.js';
import { RateLimited } from '../errors.js';
import { LoopTurns } from './loop-turns.js';
import { TimeShare } from './time-share.js';
import { WaitingLine, type WaitingWork } from './waiting-line.js';

/**
 * Work of a workspace that waits. With a share of a tenth and work of some milliseconds, the last one waits for a second or
 * two.
 */
const MAX_WAITING_PER_WORKSPACE = 16;
/** The same for all workspaces. */
const MAX_WAITING = 128;
const RETRY_AFTER_MS = 5_000;
/** No work takes longer. What did was interrupted, for example because the process was suspended, and must delay no other. */
const MAX_COUNTED_MS = 250;
/** One that is forgotten has at most a burst more. */
const MAX_WORKSPACES = 1_000;

export interface LoopShareOptions {
  /** The part of the event loop that the work of a workspace may take, between 0 and 1. */
  share: number;
  /** Milliseconds of work of a workspace that do not wait, after a time with less work than the share allows. */
  burstMs: number;
  /** The same for the work of all workspaces together. */
  shareInAll: number;
  burstInAllMs: number;
  /** What a client reads whose work was refused, because too much waits. */
  busyMessage: string;
  /** Default: 128. */
  maxWaiting?: number;
  /** Default: 16. */
  maxWaitingPerWorkspace?: number;
}

/**
 * Gives synchronous work that takes milliseconds a part of the event loop, so that nothing else is served late because of it. Work
 * beyond that waits. Workspaces take turns, and so do the end users of each, so that work of one makes no other wait for all of it.
 */
export class LoopShare {
  private readonly budgets = new LRUCache<string, TimeShare>({ max: MAX_WORKSPACES });
  private readonly budgetOfAll: TimeShare;
  /** What waits, by workspace. The first one is served next. */
  private readonly lines = new Map<string, WaitingLine>();
  private waitingCount = 0;

  constructor(
    private readonly options: LoopShareOptions,
    private readonly turns = LoopTurns.ofThisLoop,
  ) {
    this.budgetOfAll = new TimeShare(options.shareInAll, options.burstInAllMs);
  }

  /** Runs `work` in its turn. It counts as `assumedMs` at least. Rejects with RateLimited when too much waits. */
  run<Result>(owner: WorkOwner, work: () => Result, assumedMs = 0): Promise<Result> {
    const { workspaceId } = owner;
    return new Promise<Result>((resolve, reject) => {
      // The inner promise rejects with what `work` throws.
      const run = () =>
        resolve(new Promise<Result>((settle) => settle(this.runNow(workspaceId, work, assumedMs))));
      if (this.canRunNow(workspaceId)) return run();
      const refuse = () => reject(new RateLimited(this.options.busyMessage, RETRY_AFTER_MS));
      this.wait(owner, { run, refuse });
    });
  }

  private runNow<Result>(workspaceId: string, work: () => Result, assumedMs: number): Result {
    const start = performance.now();
    try {
      return work();
    } finally {
      const end = performance.now();
      this.turns.restAfter(start, end);
      const tookMs = Math.max(assumedMs, Math.min(end - start, MAX_COUNTED_MS));
      this.budgetOf(workspaceId).spend(start, tookMs);
      this.budgetOfAll.spend(start, tookMs);
      this.refuseBeyondLimit(workspaceId);
    }
  }

  /** Not before what waits and could run as well. */
  private canRunNow(workspaceId: string): boolean {
    return !this.lines.has(workspaceId) && this.waitMsOf(workspaceId) <= 0 && !this.turns.ready;
  }

  private wait(owner: WorkOwner, work: WaitingWork): void {
    const { workspaceId } = owner;
    const part = partOf(owner);
    const line = this.lines.get(workspaceId) ?? new WaitingLine();
    const isLineFull = line.length >= this.maxLength && this.shareWaitMsOf(workspaceId) > 0;
    const isFull = this.waitingCount >= (this.options.maxWaiting ?? MAX_WAITING);
    if (isLineFull || isFull) {
      const longer = isLineFull ? undefined : this.lineLongerThan(line);
      if (!longer && !line.hasMoreThan(part)) return work.refuse();
      this.refuseLast(longer ?? line);
    }
    this.lines.set(workspaceId, line);
    line.add(part, work);
    this.waitingCount += 1;
    this.turns.wait(this);
  }

  private get maxLength(): number {
    return this.options.maxWaitingPerWorkspace ?? MAX_WAITING_PER_WORKSPACE;
  }

  /** A line may be longer than its limit while its work only rests. When it waits for its share, it may not. */
  private refuseBeyondLimit(workspaceId: string): void {
    const line = this.lines.get(workspaceId);
    if (!line || this.shareWaitMsOf(workspaceId) <= 0) return;
    while (line.length > this.maxLength) this.refuseLast(line);
  }

  /** The longest one, if it is longer than the line would be with one more. */
  private lineLongerThan(line: WaitingLine): WaitingLine | undefined {
    const [longest] = [...this.lines.values()].sort((one, other) => other.length - one.length);
    return longest && longest.length > line.length + 1 ? longest : undefined;
  }

  private refuseLast(line: WaitingLine): void {
    line.takeLast()?.refuse();
    this.waitingCount -= 1;
  }

  /** For LoopTurns: how long the next of the works that wait has to wait for its share. Negative: it need not. */
  get waitMs(): number {
    return Math.min(...[...this.lines.keys()].map((workspaceId) => this.shareWaitMsOf(workspaceId)));
  }

  /** For LoopTurns: runs the next of the works that wait. Returns whether more of them wait. */
  runNext(): boolean {
    const next = [...this.lines].find(([workspaceId]) => this.shareWaitMsOf(workspaceId) <= 0);
    if (next) {
      const [workspaceId, line] = next;
      const first = line.takeNext();
      this.waitingCount -= 1;
      // The others come first now.
      this.lines.delete(workspaceId);
      if (line.length > 0) this.lines.set(workspaceId, line);
      first?.run();
    }
    return this.lines.size > 0;
  }

  /** How long the next work of the workspace has to wait. Negative: it need not. */
  private waitMsOf(workspaceId: string): number {
    return Math.max(this.shareWaitMsOf(workspaceId), this.turns.restMs);
  }

  /** The same for its share alone, without the rest after long work. */
  private shareWaitMsOf(workspaceId: string): number {
    return Math.max(this.budgetOf(workspaceId).waitMs, this.budgetOfAll.waitMs);
  }

  private budgetOf(workspaceId: string): TimeShare {
    const known = this.budgets.get(workspaceId);
    if (known) return known;
    const budget = new TimeShare(this.options.share, this.options.burstMs);
    this.budgets.set(workspaceId, budget);
    return budget;
  }
}
