import { type IncomingMessage } from 'node:http';
import { type WorkOwner } from '../../core/limits/work-owner.js';

/** Requests of one end user, of a workspace's own key, or of the upstream. */
interface Share {
  key: string;
  /** Null for the upstream. */
  workspaceId: string | null;
  bytes: number;
  /** With the bytes of each, the oldest first. */
  requests: Map<IncomingMessage, number>;
}

/** The requests whose bodies have not ended, and which of them is cut when they take too much together. */
export class UnfinishedBodies {
  private readonly shares = new Map<string, Share>();
  private readonly shareOf = new Map<IncomingMessage, Share>();
  private totalBytes = 0;

  get bytes(): number {
    return this.totalBytes;
  }

  get count(): number {
    return this.shareOf.size;
  }

  /** `owner`: null for the upstream. */
  add(request: IncomingMessage, owner: WorkOwner | null): void {
    const key = owner ? `${owner.workspaceId} ${owner.endUserId ?? ''}` : '';
    const share = this.shares.get(key) ?? {
      key,
      workspaceId: owner?.workspaceId ?? null,
      bytes: 0,
      requests: new Map<IncomingMessage, number>(),
    };
    share.requests.set(request, 0);
    this.shares.set(key, share);
    this.shareOf.set(request, share);
  }

  /** Counts more bytes of a request, unless it was removed. */
  grow(request: IncomingMessage, bytes: number): void {
    const share = this.shareOf.get(request);
    if (!share) return;
    share.requests.set(request, (share.requests.get(request) ?? 0) + bytes);
    share.bytes += bytes;
    this.totalBytes += bytes;
  }

  remove(request: IncomingMessage): void {
    const share = this.shareOf.get(request);
    if (!share) return;
    const bytes = share.requests.get(request) ?? 0;
    share.bytes -= bytes;
    this.totalBytes -= bytes;
    share.requests.delete(request);
    this.shareOf.delete(request);
    if (share.requests.size === 0) this.shares.delete(share.key);
  }

  /**
   * The oldest request of the end user with the most bytes, in the workspace with the most. One of the upstream only if callers
   * have sent nothing: a callback is sent once.
   */
  nextToCut(): IncomingMessage | undefined {
    const bytesByWorkspace = new Map<string, number>();
    for (const { workspaceId, bytes } of this.shares.values())
      if (workspaceId !== null)
        bytesByWorkspace.set(workspaceId, (bytesByWorkspace.get(workspaceId) ?? 0) + bytes);
    const [workspaceId, bytes] = largestOf([...bytesByWorkspace], ([, each]) => each) ?? [null, 0];
    const candidates = [...this.shares.values()].filter(
      (share) => share.workspaceId === (bytes > 0 ? workspaceId : null),
    );
    const [oldest] = largestOf(candidates, (share) => share.bytes)?.requests.keys() ?? [];
    return oldest;
  }
}

function largestOf<Item>(items: readonly Item[], sizeOf: (item: Item) => number): Item | undefined {
  let largest: Item | undefined;
  for (const item of items) if (!largest || sizeOf(item) > sizeOf(largest)) largest = item;
  return largest;
}
