import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { TooManyWatchers } from '../../core/errors.js';
import { type ApiKeys } from '../../db/access/api-key-repository.js';
import { type Access } from '../access/access.js';
import { type ConnectionLimits } from './connection-limits.js';
import { type RateLimits } from './rate-limits.js';

/** Together with what Access remembers, a revoked key's streams, and those of its tokens, end within 5 s. */
const KEY_CHECK_MS = 2_000;

interface OpenConnection {
  caller: Caller;
  onRevoked: () => void;
}

/** The place of a connection. */
export interface Place {
  /** Gives it back, at any time. */
  leave: () => void;
  /** Resolves when its limits over all instances let it in; rejects with TooManyWatchers, and then it has no place. */
  letIn: Promise<void>;
}

/** The connections that stay open: as many as their limits allow, and as long as the key, or the token that it made, is good. */
export class Connections {
  private readonly byKey = new Map<string, Set<OpenConnection>>();
  private readonly timer: NodeJS.Timeout;
  private checking: Promise<void> | null = null;

  constructor(
    private readonly keys: ApiKeys,
    private readonly access: Access,
    /** Of one key, on this instance. */
    private readonly maxPerKey: number,
    private readonly rateLimits: RateLimits,
    private readonly limits: ConnectionLimits,
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
   * Counts a connection, which is one from here on; `onRevoked` is called when its key or token is no longer good. Throws
   * TooManyWatchers, or `letIn` does.
   */
  open(caller: Caller, onRevoked: () => void): Place {
    const open = this.byKey.get(caller.keyId) ?? new Set();
    if (open.size >= this.maxPerKey) {
      throw new TooManyWatchers(
        `This key has ${this.maxPerKey} connections open on this instance, which is its limit. Close some, or share one connection between subscriptions.`,
      );
    }
    const entry = { caller, onRevoked };
    this.byKey.set(caller.keyId, open.add(entry));
    const leaves: (() => void)[] = [];
    const leave = () => {
      open.delete(entry);
      if (open.size === 0 && this.byKey.get(caller.keyId) === open) this.byKey.delete(caller.keyId);
      for (const giveBack of leaves.splice(0)) giveBack();
    };
    const enter = async () => {
      const entered = await this.limits.open(this.rateLimits.connectionLimitsOf(caller));
      if (typeof entered === 'function') {
        leaves.push(entered);
        // It has left while Postgres was asked.
        if (!open.has(entry)) leave();
        return;
      }
      leave();
      throw new TooManyWatchers(
        `${entered.called} may have ${entered.limit} connections open, and has. Close some, or share one connection between subscriptions.`,
      );
    };
    return { leave, letIn: enter() };
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
