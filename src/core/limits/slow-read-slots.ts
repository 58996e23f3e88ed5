import { RateLimited } from '../errors.js';
import { CallerSlots } from './caller-slots.js';
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

/**
 * The connections that slow reads of callers may take. Workspaces are served in rotation, and one of them takes half at most.
 * Within a workspace, end users are served in rotation, as is whoever reads for no particular one, and each of them leaves a slot
 * for the others.
 */
export class SlowReadSlots {
  private readonly slots: CallerSlots;

  constructor(maxConnections: number) {
    const capacity = Math.max(1, Math.floor(maxConnections * SLOW_READS_SHARE));
    const maxPerWorkspace = Math.ceil(capacity / 2);
    const maxPerEndUser = Math.max(1, maxPerWorkspace - 1);
    const slots = new FairSlots({ capacity, maxPerOwner: maxPerWorkspace });
    this.slots = new CallerSlots(slots, { maxPerWorkspace, maxPerEndUser });
  }

  /** Throws RateLimited when no slot is free in time. */
  async run<Result>({ workspaceId, endUserId = null }: Reader, read: () => Promise<Result>): Promise<Result> {
    const release = await this.slots
      .acquire({ workspaceId, endUserId }, { maxWaitMs: SLOW_READ_WAIT_MS })
      .catch((error: unknown) => {
        if (!(error instanceof NoFreeSlot)) throw error;
        const message = 'Too many searches and filtered lists are being read. Send fewer at the same time.';
        throw new RateLimited(message, SLOW_READ_WAIT_MS);
      });
    try {
      return await read();
    } finally {
      release();
    }
  }
}
