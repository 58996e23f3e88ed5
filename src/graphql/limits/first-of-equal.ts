/** Lets one of several equal requests do the work whose result is kept, while the others wait for it. */
export class FirstOfEqual {
  private readonly working = new Map<string, Promise<unknown>>();

  /** Resolves when the request that works on `key` has ended, well or not. Undefined if there is none. */
  endOf(key: string): Promise<unknown> | undefined {
    return this.working.get(key)?.catch(() => undefined);
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
