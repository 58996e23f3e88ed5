import { databaseNow } from '../../core/primitives/clock.js';
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
  /**
   * Resolves when the limits over all instances admit the connection. Rejects with TooManyConnections and releases the slot
   * otherwise.
   */
  acquired: Promise<void>;
}

interface OpenConnectionsDependencies extends Pick<Dependencies, 'apiKeys' | 'log'> {
  access: Access;
  /** The maximum of one API key on this instance, together with the keys that it replaced. */
  maxPerKey: number;
  rateLimits: RateLimits;
  connectionLimits: ConnectionLimits;
}

/** Tracks open connections. It enforces their limits, and it ends them when their key or token expires or is revoked. */
export class OpenConnections {
  private readonly openByKeyLineage = new Map<string, Set<OpenConnection>>();
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
    const lineageId = caller.keyLineageId;
    const open = this.openByKeyLineage.get(lineageId) ?? new Set();
    if (open.size >= this.deps.maxPerKey) {
      throw new TooManyConnections(
        `This API key has reached its limit of ${this.deps.maxPerKey} open connections on this instance. ${TOO_MANY_CONNECTIONS_ADVICE}`,
      );
    }
    const entry = { caller, onRevoked };
    this.openByKeyLineage.set(lineageId, open.add(entry));
    const slots = this.deps.connectionLimits.acquire(this.deps.rateLimits.connectionLimitsOf(caller));
    const release = () => {
      open.delete(entry);
      if (open.size === 0 && this.openByKeyLineage.get(lineageId) === open)
        this.openByKeyLineage.delete(lineageId);
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
    const now = databaseNow();
    for (const { caller, onRevoked } of this.allOpen()) {
      if (caller.expiresAt && caller.expiresAt <= now) onRevoked();
    }
  }

  /** A copy, because closing a connection removes it. */
  private allOpen(): OpenConnection[] {
    return [...this.openByKeyLineage.values()].flatMap((open) => [...open]);
  }

  private async checkRevokedKeys(): Promise<void> {
    // Only the identity provider can revoke its tokens, so those connections end when their token expires.
    const revocable = ({ caller }: OpenConnection) => caller.credentialType !== 'IDENTITY_PROVIDER';
    const keyIds = new Set(
      this.allOpen()
        .filter(revocable)
        .map(({ caller }) => caller.keyId),
    );
    if (keyIds.size === 0) return;
    try {
      const activeKeyIds = await this.deps.apiKeys.findActive([...keyIds]);
      const endedKeyIds = new Set([...keyIds].filter((id) => !activeKeyIds.has(id)));
      if (endedKeyIds.size === 0) return;
      for (const id of endedKeyIds) this.deps.access.invalidateKey(id);
      for (const { caller, onRevoked } of this.allOpen()) if (endedKeyIds.has(caller.keyId)) onRevoked();
    } catch (error) {
      this.deps.log.warn({ err: error }, 'failed to check the API keys of open connections; trying again');
    }
  }
}
