import { RateLimited } from '../errors.js';
import { FairSlots, NoFreeSlot } from './fair-slots.js';

/** Who reads. Rows of other workspaces are hidden from it. */
export interface Reader {
  workspaceId: string;
  /** Only for the slots of slow reads: row-level security does not know end users. Null or none: no particular one. */
  endUserId?: string | null;
}

/** The share of the connections that slow reads of callers may take, and how long such a read waits for one of them. */
const SLOW_READS_SHARE = 0.3;
const SLOW_READ_WAIT_MS = 5_000;

/** Reads of a workspace that have a slot or wait for one. */
interface WorkspaceReads {
  slots: FairSlots;
  count: number;
}

/**
 * The connections that slow reads of callers may take. Workspaces are served in rotation, and one of them takes half at most.
 * Within a workspace, end users are served in rotation, as is whoever reads for no particular one, and each of them leaves a slot
 * for the others.
 */
export class SlowReadSlots {
  private readonly slots: FairSlots;
  private readonly maxPerWorkspace: number;
  private readonly byWorkspace = new Map<string, WorkspaceReads>();

  constructor(maxConnections: number) {
    const capacity = Math.max(1, Math.floor(maxConnections * SLOW_READS_SHARE));
    this.maxPerWorkspace = Math.ceil(capacity / 2);
    this.slots = new FairSlots({ capacity, maxPerOwner: this.maxPerWorkspace });
  }

  /** Throws RateLimited when no slot is free in time. */
  async run<Result>({ workspaceId, endUserId }: Reader, read: () => Promise<Result>): Promise<Result> {
    const deadline = performance.now() + SLOW_READ_WAIT_MS;
    const workspace = this.byWorkspace.get(workspaceId) ?? this.addWorkspace(workspaceId);
    workspace.count += 1;
    try {
      return await workspace.slots.run({ owner: endUserId ?? '', maxWaitMs: SLOW_READ_WAIT_MS }, () =>
        this.slots.run({ owner: workspaceId, maxWaitMs: deadline - performance.now() }, read),
      );
    } catch (error) {
      if (!(error instanceof NoFreeSlot)) throw error;
      const message = 'Too many searches and filtered lists are being read. Send fewer at the same time.';
      throw new RateLimited(message, SLOW_READ_WAIT_MS);
    } finally {
      workspace.count -= 1;
      if (workspace.count === 0) this.byWorkspace.delete(workspaceId);
    }
  }

  private addWorkspace(workspaceId: string): WorkspaceReads {
    const capacity = this.maxPerWorkspace;
    const slots = new FairSlots({ capacity, maxPerOwner: Math.max(1, capacity - 1) });
    const workspace = { slots, count: 0 };
    this.byWorkspace.set(workspaceId, workspace);
    return workspace;
  }
}
