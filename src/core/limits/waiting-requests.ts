import { partOf, type WorkOwner } from './work-owner.js';
import { RateLimited } from '../errors.js';

/** Smaller requests do not count here. The number of those that wait is bounded. */
const SMALL_REQUEST_BYTES = 64 * 1024;
/** The other requests of an end user. One request alone may take more: a megabyte of JSON takes up to 30. */
const MAX_WAITING_BYTES_PER_END_USER = 4 * 1024 * 1024;
/** The same for a workspace, which leaves something beside the largest request. */
const MAX_WAITING_BYTES_PER_WORKSPACE = 40 * 1024 * 1024;
/** The same for all workspaces. */
const MAX_WAITING_BYTES = 96 * 1024 * 1024;
const RETRY_AFTER_MS = 5_000;
const BUSY = 'Too many large requests wait. Send this one again later, or with smaller variables.';

/** In bytes, for the requests of one end user, of one workspace, and of all together. */
export interface WaitingBounds {
  endUser: number;
  workspace: number;
  all: number;
}

/** Bounds the memory of requests that wait, because each keeps its body, or its documents and variables. */
export class WaitingRequests {
  /** Of an end user, of a workspace, and of all. */
  private readonly bytes = new Map<string, number>();

  constructor(
    private readonly bounds: WaitingBounds = {
      endUser: MAX_WAITING_BYTES_PER_END_USER,
      workspace: MAX_WAITING_BYTES_PER_WORKSPACE,
      all: MAX_WAITING_BYTES,
    },
  ) {}

  /** Does `work`, which waits, for a request that takes so many bytes. Throws RateLimited when the others take too many. */
  async hold<Result>(owner: WorkOwner, bytes: number, work: () => Promise<Result>): Promise<Result> {
    if (bytes <= SMALL_REQUEST_BYTES) return work();
    const bounds = this.boundsOf(owner);
    for (const [key, maxBytes] of bounds) {
      const waitingBytes = this.bytes.get(key) ?? 0;
      // One request may always wait, or the largest could never be sent.
      if (waitingBytes > 0 && waitingBytes + bytes > maxBytes) throw new RateLimited(BUSY, RETRY_AFTER_MS);
    }
    for (const [key] of bounds) this.add(key, bytes);
    try {
      return await work();
    } finally {
      for (const [key] of bounds) this.add(key, -bytes);
    }
  }

  /** Bounds that apply to the owner, by what counts toward them. */
  private boundsOf(owner: WorkOwner): [key: string, maxBytes: number][] {
    const { endUser, workspace, all } = this.bounds;
    const { workspaceId } = owner;
    return [
      [`${workspaceId} ${partOf(owner)}`, endUser],
      [workspaceId, workspace],
      ['', all],
    ];
  }

  private add(key: string, bytes: number): void {
    const sum = (this.bytes.get(key) ?? 0) + bytes;
    if (sum === 0) this.bytes.delete(key);
    else this.bytes.set(key, sum);
  }
}
