import { RateLimited } from '../../core/errors.js';

/** Smaller requests do not count here. The number of those that wait is bounded. */
const SMALL_REQUEST_BYTES = 64 * 1024;
/** Of the other requests of a workspace. One request alone may take more: a megabyte of JSON takes up to 30. */
const MAX_WAITING_BYTES_PER_WORKSPACE = 16 * 1024 * 1024;
/** The same for all workspaces. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
const RETRY_AFTER_MS = 5_000;
const BUSY = 'Too many large requests wait. Send this one again later, or with smaller variables.';

/** Bounds the memory of requests that wait, because each keeps its documents and variables. */
export class WaitingRequests {
  private readonly bytesByWorkspace = new Map<string, number>();
  private totalBytes = 0;

  /** Does `work`, which waits, for a request that takes so many bytes. Throws RateLimited when the others take too many. */
  async hold<Result>(workspaceId: string, bytes: number, work: () => Promise<Result>): Promise<Result> {
    if (bytes <= SMALL_REQUEST_BYTES) return work();
    const workspaceBytes = this.bytesByWorkspace.get(workspaceId) ?? 0;
    if (
      isTooMuch(workspaceBytes, bytes, MAX_WAITING_BYTES_PER_WORKSPACE) ||
      isTooMuch(this.totalBytes, bytes, MAX_WAITING_BYTES)
    )
      throw new RateLimited(BUSY, RETRY_AFTER_MS);
    this.add(workspaceId, bytes);
    try {
      return await work();
    } finally {
      this.add(workspaceId, -bytes);
    }
  }

  private add(workspaceId: string, bytes: number): void {
    const sum = (this.bytesByWorkspace.get(workspaceId) ?? 0) + bytes;
    if (sum === 0) this.bytesByWorkspace.delete(workspaceId);
    else this.bytesByWorkspace.set(workspaceId, sum);
    this.totalBytes += bytes;
  }
}

/** One request may always wait, or the largest could never be sent. */
function isTooMuch(waitingBytes: number, bytes: number, maxBytes: number): boolean {
  return waitingBytes > 0 && waitingBytes + bytes > maxBytes;
}
