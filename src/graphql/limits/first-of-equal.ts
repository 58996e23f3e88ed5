/** Requests of a workspace that wait for an equal one. */
export const MAX_FOLLOWERS_PER_WORKSPACE = 64;
/** The same for all workspaces. */
export const MAX_FOLLOWERS = 256;

/** Lets one of several equal requests of a workspace do the work whose result is kept, while the others wait for it. */
export class FirstOfEqual {
  private readonly working = new Map<string, Promise<unknown>>();
  private readonly followersByWorkspace = new Map<string, number>();
  private followers = 0;

  /** Resolves when the request that works on `key` has ended, well or not. At once if there is none, or if too many wait. */
  async follow(key: string, workspaceId: string): Promise<void> {
    const first = this.working.get(key);
    const ofWorkspace = this.followersByWorkspace.get(workspaceId) ?? 0;
    if (!first || ofWorkspace >= MAX_FOLLOWERS_PER_WORKSPACE || this.followers >= MAX_FOLLOWERS) return;
    this.count(workspaceId, 1);
    await first.catch(() => undefined);
    this.count(workspaceId, -1);
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

  private count(workspaceId: string, added: number): void {
    const ofWorkspace = (this.followersByWorkspace.get(workspaceId) ?? 0) + added;
    if (ofWorkspace === 0) this.followersByWorkspace.delete(workspaceId);
    else this.followersByWorkspace.set(workspaceId, ofWorkspace);
    this.followers += added;
  }
}
