import { partOf, type WorkOwner } from '../../core/limits/work-owner.js';
import { RateLimited } from '../../core/errors.js';

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

/** Bounds the memory of requests that wait, because each keeps its documents and variables. */
export class WaitingRequests {
  /** Of an end user, of a workspace, and of all. */
  private readonly bytes = new Map<string, number>();

  /** Does `work`, which waits, for a request that takes so many bytes. Throws RateLimited when the others take too many. */
  async hold<Result>(owner: WorkOwner, bytes: number, work: () => Promise<Result>): Promise<Result> {
    if (bytes <= SMALL_REQUEST_BYTES) return work();
    const bounds = boundsOf(owner);
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

  private add(key: string, bytes: number): void {
    const sum = (this.bytes.get(key) ?? 0) + bytes;
    if (sum === 0) this.bytes.delete(key);
    else this.bytes.set(key, sum);
  }
}

/** Bounds that apply to the owner, by what counts toward them. */
function boundsOf(owner: WorkOwner): [key: string, maxBytes: number][] {
  const { workspaceId } = owner;
  return [
    [`${workspaceId} ${partOf(owner)}`, MAX_WAITING_BYTES_PER_END_USER],
    [workspaceId, MAX_WAITING_BYTES_PER_WORKSPACE],
    ['', MAX_WAITING_BYTES],
  ];
}
