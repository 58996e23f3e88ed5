import { singleFlight } from '../../core/primitives/async.js';
import { type Caller } from '../../core/access/caller.js';
import { TooManyConnections } from '../../core/errors.js';
import { type Access } from '../access/access.js';
import { type ConnectionLimits, TOO_MANY_CONNECTIONS_ADVICE } from './connection-limits.js';
import { type RateLimits } from './rate-limits.js';
import { type Dependencies } from '../dependencies.js';

/** Together with Access's cache of 2.5 s, the streams of a revoked key and of its tokens end within 5 s. */
const KEY_CHECK_MS = 2_000;

interface OpenConnection {
  caller: Caller;
  onRevoked: () => void;
}

/** The slot of one connection. */
export interface ConnectionSlot {
  /** Releases the slot. It can be called at any time. */
  release: () => void;
  /** Resolves when the limits over all instances admit the connection. Rejects with TooManyConnections and releases the slot otherwise. */
  acquired: Promise<void>;
}

export interface OpenConnectionsDependencies extends Pick<Dependencies, 'keys' | 'log'> {
  access: Access;
  /** The maximum of one API key on this instance. */
  maxPerKey: number;
  rateLimits: RateLimits;
  connectionLimits: ConnectionLimits;
}

/** Tracks open connections. It enforces their limits, and it ends them when their key or token expires or is revoked. */
export class OpenConnections {
  private readonly openByKey = new Map<string, Set<OpenConnection>>();
  private readonly timer: NodeJS.Timeout;
  private readonly checkKeys = singleFlight(() => this.checkRevokedKeys());

  constructor(private readonly deps: OpenConnectionsDependencies) {
    this.timer = setInterval(() => {
      this.closeExpired();
      void this.checkKeys();
    }, KEY_CHECK_MS);
  }

  /**
   * Counts a connection. `onRevoked` is called when its key or token expires or is revoked. Throws TooManyConnections when
   * the limit of this instance is reached. `acquired` rejects with it when a limit over all instances is reached.
   */
  acquire(caller: Caller, onRevoked: () => void): ConnectionSlot {
    const open = this.openByKey.get(caller.keyId) ?? new Set();
    if (open.size >= this.deps.maxPerKey) {
      throw new TooManyConnections(
        `This API key has reached its limit of ${this.deps.maxPerKey} open connections on this instance. ${TOO_MANY_CONNECTIONS_ADVICE}`,
      );
    }
    const entry = { caller, onRevoked };
    this.openByKey.set(caller.keyId, open.add(entry));
    const slots = this.deps.connectionLimits.acquire(this.deps.rateLimits.connectionLimitsOf(caller));
    const release = () => {
      open.delete(entry);
      if (open.size === 0 && this.openByKey.get(caller.keyId) === open) this.openByKey.delete(caller.keyId);
      // The client may disconnect while the slots are being acquired.
      slots.then((releaseSlots) => releaseSlots()).catch(() => undefined);
    };
    const acquired = slots.then(
      () => undefined,
      (error: unknown) => {
        release();
        throw error;
      },
    );
    return { release, acquired };
  }

  /** Waits for a check in progress. Call it after the connections were closed, because then there is nothing left to check. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.checkKeys();
  }

  /** Needs no query, because the expiry was known when the connection was opened. */
  private closeExpired(): void {
    const now = new Date();
    for (const open of [...this.openByKey.values()]) {
      for (const { caller, onRevoked } of [...open]) {
        if (caller.expiresAt && caller.expiresAt <= now) onRevoked();
      }
    }
  }

  private async checkRevokedKeys(): Promise<void> {
    // Only the identity provider can revoke its tokens, so those connections end when their token expires.
    const ids = [...this.openByKey].flatMap(([id, open]) =>
      [...open].some(({ caller }) => caller.credentialType !== 'IDENTITY_PROVIDER') ? [id] : [],
    );
    if (ids.length === 0) return;
    try {
      const activeKeyIds = await this.deps.keys.findActive(ids);
      for (const id of ids) {
        if (activeKeyIds.has(id)) continue;
        this.deps.access.invalidateKey(id);
        for (const { onRevoked } of [...(this.openByKey.get(id) ?? [])]) onRevoked();
      }
    } catch (error) {
      this.deps.log.warn({ err: error }, 'failed to check the API keys of open connections; trying again');
    }
  }
}
