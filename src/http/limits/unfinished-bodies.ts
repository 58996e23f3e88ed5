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

  constructor(private readonly maxBytes: number) {}

  get bytes(): number {
    return this.bytesOf([...this.shares.values()]);
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
    share.bytes += bytes;
  }

  remove(request: IncomingMessage): void {
    const share = this.shareOf.get(request);
    if (!share) return;
    const bytes = share.requests.get(request) ?? 0;
    share.bytes -= bytes;
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
    const alike = [...this.shares.values()].filter(
      ({ workspaceId }) => (workspaceId === null) === isUpstream,
    );
    if (this.bytesOf(alike) <= this.maxBytes) return undefined;
    const workspaceIds = [...new Set(alike.map(({ workspaceId }) => workspaceId))];
    const ofWorkspace = (id: string | null) => alike.filter(({ workspaceId }) => workspaceId === id);
    const largest = largestOf(workspaceIds, (id) => this.bytesOf(ofWorkspace(id))) ?? null;
    const shares = ofWorkspace(largest);
    const requests = [...(largestOf(shares, ({ bytes }) => bytes)?.requests ?? [])];
    return requests.find(([, bytes]) => bytes > 0)?.[0];
  }

  private bytesOf(shares: readonly Share[]): number {
    return shares.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

function largestOf<Item>(items: readonly Item[], sizeOf: (item: Item) => number): Item | undefined {
  let largest: Item | undefined;
  for (const item of items) if (!largest || sizeOf(item) > sizeOf(largest)) largest = item;
  return largest;
}
