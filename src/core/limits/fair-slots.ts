/** Urgent work that starts in a row while other work waits, so that the other work goes on. */
const MAX_URGENT_IN_A_ROW = 3;

/** No slot was free in time, or before the caller left. */
export class NoFreeSlot extends Error {
  override readonly name = 'NoFreeSlot';
  constructor() {
    super('No slot was free in time.');
  }
}

export interface FairSlotsOptions {
  /** The weight of all work at the same time. */
  capacity: number;
  /** The same for one owner, so that something is left for the others. One piece of work may weigh more. Default: `capacity`. */
  maxPerOwner?: number;
}

export interface SlotRequest {
  /** Whose work it is, such as a workspace. Owners take turns. */
  owner: string;
  /**
   * What the work takes of the capacity, and at most all of it. An integer, because sums of others do not return to where they
   * were. Default: 1.
   */
  weight?: number;
  /** Whether it comes before work that is not urgent, of all owners. Three are started in a row while other work waits. */
  isUrgent?: boolean;
  /** How long to wait for the slot. By default it is waited for without a limit. */
  maxWaitMs?: number;
  /** Aborted when the caller has left. Work that waits then does not start, and leaves nothing in memory. */
  signal?: AbortSignal | undefined;
}

interface Waiter {
  owner: string;
  weight: number;
  isUrgent: boolean;
  start: () => void;
  reject: (error: Error) => void;
}

/**
 * Bounds work that runs at the same time, and starts what waits in turns by owner: the next one of the owner that has waited
 * longest for its turn. So an owner with thousands of pieces of work delays another one by the work that is running.
 */
export class FairSlots {
  private free: number;
  private readonly maxPerOwner: number;
  private readonly usedByOwner = new Map<string, number>();
  private readonly urgent = new Turns();
  private readonly others = new Turns();
  private urgentInARow = 0;

  constructor(private readonly options: FairSlotsOptions) {
    this.free = options.capacity;
    this.maxPerOwner = options.maxPerOwner ?? options.capacity;
  }

  /** Runs `work` in its turn. Throws NoFreeSlot. */
  async run<Result>(request: SlotRequest, work: () => Promise<Result>): Promise<Result> {
    const release = await this.acquire(request);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Waits for a slot, and returns the function that releases it. Throws NoFreeSlot. */
  async acquire(request: SlotRequest): Promise<() => void> {
    const { owner, weight = 1, isUrgent = false, maxWaitMs, signal } = request;
    if (signal?.aborted) throw new NoFreeSlot();
    const taken = Math.min(this.options.capacity, weight);
    if (!Number.isInteger(taken)) throw new Error(`A weight must be an integer, not ${weight}.`);
    const waiter: Waiter = {
      owner,
      weight: taken,
      isUrgent,
      start: () => {},
      reject: () => {},
    };
    const started = new Promise<void>((resolve, reject) => {
      waiter.start = resolve;
      waiter.reject = reject;
    });
    const turns = isUrgent ? this.urgent : this.others;
    turns.add(waiter);
    this.startNext();
    const giveUp = () => {
      turns.remove(waiter);
      waiter.reject(new NoFreeSlot());
      // It may have kept lighter work waiting.
      this.startNext();
    };
    const timer = maxWaitMs === undefined ? undefined : setTimeout(giveUp, maxWaitMs);
    signal?.addEventListener('abort', giveUp);
    try {
      await started;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    }
    return this.releaseOnce(waiter);
  }

  /** Rejects everything that waits. */
  rejectWaiting(error: Error): void {
    for (const waiter of [...this.urgent.clear(), ...this.others.clear()]) waiter.reject(error);
  }

  private startNext(): void {
    for (let next = this.findNext(); next && next.weight <= this.free; next = this.findNext()) {
      const turns = next.isUrgent ? this.urgent : this.others;
      turns.remove(next);
      turns.moveToEnd(next.owner);
      this.urgentInARow = next.isUrgent ? this.urgentInARow + 1 : 0;
      this.use(next, next.weight);
      next.start();
    }
  }

  private findNext(): Waiter | undefined {
    const hasRoom = (waiter: Waiter) => this.hasRoom(waiter);
    const [first, second] =
      this.urgentInARow < MAX_URGENT_IN_A_ROW ? [this.urgent, this.others] : [this.others, this.urgent];
    return first.find(hasRoom) ?? second.find(hasRoom);
  }

  private hasRoom({ owner, weight }: Waiter): boolean {
    const used = this.usedByOwner.get(owner) ?? 0;
    return used === 0 || used + weight <= this.maxPerOwner;
  }

  private use({ owner }: Waiter, weight: number): void {
    this.free -= weight;
    const used = (this.usedByOwner.get(owner) ?? 0) + weight;
    if (used === 0) this.usedByOwner.delete(owner);
    else this.usedByOwner.set(owner, used);
  }

  private releaseOnce(waiter: Waiter): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.use(waiter, -waiter.weight);
      // An owner that asks again while its work runs would otherwise come before those that wait for their first turn.
      (waiter.isUrgent ? this.urgent : this.others).moveToEnd(waiter.owner);
      this.startNext();
    };
  }
}

/** What waits, by owner. The owner that was served last comes last. */
class Turns {
  private readonly byOwner = new Map<string, Set<Waiter>>();

  add(waiter: Waiter): void {
    const waiting = this.byOwner.get(waiter.owner);
    if (waiting) waiting.add(waiter);
    else this.byOwner.set(waiter.owner, new Set([waiter]));
  }

  remove(waiter: Waiter): void {
    const waiting = this.byOwner.get(waiter.owner);
    waiting?.delete(waiter);
    if (waiting?.size === 0) this.byOwner.delete(waiter.owner);
  }

  /** The first one of the first owner that may start. An owner's own order is kept. */
  find(mayStart: (waiter: Waiter) => boolean): Waiter | undefined {
    for (const waiting of this.byOwner.values()) {
      const [first] = waiting;
      if (first && mayStart(first)) return first;
    }
    return undefined;
  }

  /** What the owner has left comes after that of the other owners. */
  moveToEnd(owner: string): void {
    const waiting = this.byOwner.get(owner);
    if (!waiting) return;
    this.byOwner.delete(owner);
    this.byOwner.set(owner, waiting);
  }

  clear(): Waiter[] {
    const all = [...this.byOwner.values()].flatMap((waiting) => [...waiting]);
    this.byOwner.clear();
    return all;
  }
}
