import { partOf, type WorkOwner } from './work-owner.js';
import { FairSlots, type SlotRequest } from './fair-slots.js';

export interface CallerSlotsOptions {
  /** What the work of a workspace takes at the same time, in all. */
  maxPerWorkspace: number;
  /** The same for one of its end users. Default: `maxPerWorkspace`. */
  maxPerEndUser?: number;
}

interface WorkspaceSlots {
  slots: FairSlots;
  /** Work that has a slot or waits for one. */
  count: number;
}

/**
 * Slots for the work of callers. Workspaces take turns. Within a workspace its end users do, as does whoever works for no
 * particular one.
 */
export class CallerSlots {
  private readonly byWorkspace = new Map<string, WorkspaceSlots>();

  /** `slots`: for the work of all workspaces, and perhaps for other work. */
  constructor(
    private readonly slots: FairSlots,
    private readonly options: CallerSlotsOptions,
  ) {}

  /** Waits for a slot, and returns the function that releases it, to be called once. Throws NoFreeSlot. */
  async acquire(
    owner: WorkOwner,
    { weight, maxWaitMs, signal }: Pick<SlotRequest, 'weight' | 'signal'> & { maxWaitMs: number },
  ): Promise<() => void> {
    const deadline = performance.now() + maxWaitMs;
    const { workspaceId } = owner;
    const workspace = this.byWorkspace.get(workspaceId) ?? this.addWorkspace(workspaceId);
    workspace.count += 1;
    const releases: (() => void)[] = [];
    const releaseAll = () => {
      for (const release of releases) release();
      workspace.count -= 1;
      if (workspace.count === 0) this.byWorkspace.delete(workspaceId);
    };
    try {
      releases.push(await workspace.slots.acquire({ owner: partOf(owner), weight, maxWaitMs, signal }));
      const remainingMs = deadline - performance.now();
      releases.push(await this.slots.acquire({ owner: workspaceId, weight, maxWaitMs: remainingMs, signal }));
    } catch (error) {
      releaseAll();
      throw error;
    }
    return releaseAll;
  }

  private addWorkspace(workspaceId: string): WorkspaceSlots {
    const { maxPerWorkspace, maxPerEndUser = maxPerWorkspace } = this.options;
    const slots = new FairSlots({ capacity: maxPerWorkspace, maxPerOwner: maxPerEndUser });
    const workspace = { slots, count: 0 };
    this.byWorkspace.set(workspaceId, workspace);
    return workspace;
  }
}
