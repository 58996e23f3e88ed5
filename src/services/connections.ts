import { type Logger } from 'pino';
import { type Caller } from '../core/caller.js';
import { TooManyWatchers } from '../core/errors.js';
import { type ApiKeys } from '../db/api-keys.js';
import { type Access } from './access.js';
import { type RateLimits } from './rate-limits.js';

/** Together with what Access remembers, a revoked key's streams, and those of its tokens, end within 5 s. */
const KEY_CHECK_MS = 2_000;

interface OpenConnection {
  caller: Caller;
  onRevoked: () => void;
}

/** The connections that stay open: as many as a key may have, and as long as it, or the token that it made, is good. */
export class Connections {
  private readonly byKey = new Map<string, Set<OpenConnection>>();
  private readonly timer: NodeJS.Timeout;
  private checking: Promise<void> | null = null;

  constructor(
    private readonly keys: ApiKeys,
    private readonly access: Access,
    /** Of one key, on this instance. */
    private readonly maxPerKey: number,
    private readonly limits: RateLimits,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => {
      this.endExpired();
      this.checking ??= this.check().finally(() => {
        this.checking = null;
      });
    }, KEY_CHECK_MS);
  }

  /**
   * Counts a connection; `onRevoked` is called when its key or token is no longer good. Returns the way to give its place
   * back.
   */
  open(caller: Caller, onRevoked: () => void): () => void {
    const open = this.byKey.get(caller.keyId) ?? new Set();
    const max = Math.min(this.maxPerKey, this.limits.connectionsOf(caller) ?? Infinity);
    if (open.size >= max) {
      throw new TooManyWatchers(
        `This key has ${max} connections open on this instance, which is its limit. Close some, or share one connection between subscriptions.`,
      );
    }
    const { token } = caller;
    const maxOfToken = token?.limits.connections ?? Infinity;
    const ofToken = token && maxOfToken < Infinity ? countOf(open, token.id) : 0;
    if (ofToken >= maxOfToken) {
      throw new TooManyWatchers(
        `This token has ${maxOfToken} connections open on this instance, which is its limit. Close some.`,
      );
    }
    const entry = { caller, onRevoked };
    this.byKey.set(caller.keyId, open.add(entry));
    return () => {
      open.delete(entry);
      if (open.size === 0) this.byKey.delete(caller.keyId);
    };
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.checking;
  }

  /** Without a query: the end was known when it was opened. */
  private endExpired(): void {
    const now = new Date();
    for (const open of [...this.byKey.values()]) {
      for (const { caller, onRevoked } of [...open]) {
        if (caller.expiresAt && caller.expiresAt <= now) onRevoked();
      }
    }
  }

  private async check(): Promise<void> {
    // Nobody but the provider can revoke what it gave: such a connection ends with its token.
    const ids = [...this.byKey].flatMap(([id, open]) =>
      [...open].some(({ caller }) => caller.credential !== 'PROVIDER') ? [id] : [],
    );
    if (ids.length === 0) return;
    try {
      const live = await this.keys.findLive(ids);
      for (const id of ids) {
        if (live.has(id)) continue;
        this.access.forget(id);
        for (const { onRevoked } of [...(this.byKey.get(id) ?? [])]) onRevoked();
      }
    } catch (error) {
      this.log.warn({ err: error }, 'keys of open connections cannot be checked; it is tried again');
    }
  }
}

function countOf(open: ReadonlySet<OpenConnection>, tokenId: string): number {
  return [...open].filter(({ caller }) => caller.token?.id === tokenId).length;
}
