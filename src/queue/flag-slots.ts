/**
 * Bounds how many jobs with a flag run at the same time, so that jobs of one kind that hang leave slots for the others. A slot
 * is taken when a fetch begins that may return such a job, and is the job's from then on: many slots fetch at the same time, so
 * counting only what runs would exceed the bound.
 *
 * run-queue.ts calls it from events of graphile-worker, and relies on their order. test/queue/worker.test.ts lets all slots
 * fetch at once, and fails if a new version has another order.
 */
export class FlagSlots {
  /** The flags that fetches which have not begun yet may return, in the order of the calls. */
  private readonly granted: string[][] = [];
  private readonly fetches = new Map<object, string[]>();

  constructor(
    private readonly limits: Readonly<Record<string, number>>,
    private readonly countRunning: (flag: string) => number,
  ) {}

  /** The flags that the next fetch must skip: these, and those without a free slot. In one order, which an index relies on. */
  forbid(flags: readonly string[]): string[] {
    const isFull = (flag: string) => this.taken(flag) >= (this.limits[flag] ?? Infinity);
    const limited = Object.keys(this.limits);
    const forbidden = [...new Set([...flags, ...limited.filter(isFull)])].sort();
    this.granted.push(limited.filter((flag) => !forbidden.includes(flag)));
    return forbidden;
  }

  /** A slot of the queue begins the fetch that asked last. */
  begin(fetcher: object): void {
    this.fetches.set(fetcher, this.granted.shift() ?? []);
  }

  /** The fetch has failed, or found no job, or its job is about to run. */
  end(fetcher: object): void {
    this.fetches.delete(fetcher);
  }

  private taken(flag: string): number {
    const fetching = [...this.granted, ...this.fetches.values()].filter((flags) => flags.includes(flag));
    return this.countRunning(flag) + fetching.length;
  }
}
