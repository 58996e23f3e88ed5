import { type IncomingMessage } from 'node:http';
import { partOf, type WorkOwner } from '../../core/limits/work-owner.js';

/** Requests of one part of a workspace (see `partOf`), or of the upstream. */
interface Share {
  key: string;
  /** Null for the upstream. */
  workspaceId: string | null;
  bytes: number;
  /** With the bytes of each, the oldest first. */
  requests: Map<IncomingMessage, number>;
}

/**
 * The requests whose bodies have not ended, and which of them is cut when they take too much together. Callers and the upstream
 * have the same room each, so that neither takes it from the other.
 */
export class UnfinishedBodies {
  private readonly shares = new Map<string, Share>();
  private readonly shareOf = new Map<IncomingMessage, Share>();
  /** The sums of the shares, because one is asked for each piece of a body. */
  private upstreamBytes = 0;
  private callerBytes = 0;

  constructor(private readonly maxBytes: number) {}

  get bytes(): number {
    return this.upstreamBytes + this.callerBytes;
  }

  get count(): number {
    return this.shareOf.size;
  }

  /** `owner`: null for the upstream. */
  add(request: IncomingMessage, owner: WorkOwner | null): void {
    const key = owner ? `${owner.workspaceId} ${partOf(owner)}` : '';
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
    this.addBytes(share, bytes);
  }

  remove(request: IncomingMessage): void {
    const share = this.shareOf.get(request);
    if (!share) return;
    this.addBytes(share, -(share.requests.get(request) ?? 0));
    share.requests.delete(request);
    this.shareOf.delete(request);
    if (share.requests.size === 0) this.shares.delete(share.key);
  }

  /**
   * If a request and others like it take too much together, the one to cut: of the upstream the oldest, and of callers the oldest
   * of the part with the most bytes in the workspace with the most.
   */
  nextToCut(request: IncomingMessage): IncomingMessage | undefined {
    const isUpstream = this.shareOf.get(request)?.workspaceId === null;
    if ((isUpstream ? this.upstreamBytes : this.callerBytes) <= this.maxBytes) return undefined;
    const byWorkspace = new Map<string | null, Share[]>();
    for (const share of this.shares.values()) {
      if ((share.workspaceId === null) !== isUpstream) continue;
      const shares = byWorkspace.get(share.workspaceId) ?? [];
      shares.push(share);
      byWorkspace.set(share.workspaceId, shares);
    }
    const largest = largestOf([...byWorkspace.values()], bytesOf) ?? [];
    const requests = [...(largestOf(largest, ({ bytes }) => bytes)?.requests ?? [])];
    return requests.find(([, bytes]) => bytes > 0)?.[0];
  }

  private addBytes(share: Share, bytes: number): void {
    share.bytes += bytes;
    if (share.workspaceId === null) this.upstreamBytes += bytes;
    else this.callerBytes += bytes;
  }
}

function bytesOf(shares: readonly Share[]): number {
  return shares.reduce((sum, { bytes }) => sum + bytes, 0);
}

function largestOf<Item>(items: readonly Item[], sizeOf: (item: Item) => number): Item | undefined {
  let largest: Item | undefined;
  for (const item of items) if (!largest || sizeOf(item) > sizeOf(largest)) largest = item;
  return largest;
}
