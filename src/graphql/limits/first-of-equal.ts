/** Requests that wait for an equal one. */
export const MAX_FOLLOWERS = 64;

/** Lets one of several equal requests do the work whose result is kept, while the others wait for it. */
export class FirstOfEqual {
  private readonly working = new Map<string, Promise<unknown>>();
  private followers = 0;

  /** Resolves when the request that works on `key` has ended, well or not. At once if there is none, or if too many wait. */
  async follow(key: string): Promise<void> {
    const first = this.working.get(key);
    if (!first || this.followers >= MAX_FOLLOWERS) return;
    this.followers += 1;
    await first.catch(() => undefined);
    this.followers -= 1;
  }

  /** To be asked right before `work`, without an `await` between them, or equal requests of one moment all work. */
  isWorkingOn(key: string): boolean {
    return this.working.has(key);
  }

  async work<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const result = work();
    this.working.set(key, result);
    try {
      return await result;
    } finally {
      if (this.working.get(key) === result) this.working.delete(key);
    }
  }
}
