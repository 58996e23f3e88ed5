import { LRUCache } from 'lru-cache';
import { hashApiKey, isWellFormedApiKey, newApiKey } from '../core/api-key.js';
import { type Caller, type Scope } from '../core/caller.js';
import { Forbidden, Unauthenticated } from '../core/errors.js';
import { type ApiKeys } from '../db/api-keys.js';

/** How long a key is believed without asking again: a revoked one works at most this much longer. */
const CACHE_TTL_MS = 2_500;
/** Far more keys than one instance serves in five seconds; about 1 kB each. */
const CACHE_SIZE = 10_000;
/** `dk_` and the first characters: enough for a person to tell keys apart, far too few to guess the rest. */
const PREFIX_LENGTH = 9;

/** Who is asking, and what they may do. */
export class Access {
  private readonly known = new LRUCache<string, Caller>({
    max: CACHE_SIZE,
    ttl: CACHE_TTL_MS,
    // One look for all who come with the same key at the same time.
    fetchMethod: async (hash) => (await this.keys.findCaller(Buffer.from(hash, 'base64'))) ?? undefined,
  });

  constructor(private readonly keys: ApiKeys) {}

  /** The caller that an `Authorization` header speaks for. Throws Unauthenticated, the same for every wrong one. */
  async authenticate(authorization: unknown): Promise<Caller> {
    const [, key] = (typeof authorization === 'string' && /^Bearer +(\S+)$/i.exec(authorization)) || [];
    if (!key || !isWellFormedApiKey(key)) throw new Unauthenticated();
    const caller = await this.known.fetch(hashApiKey(key).toString('base64'));
    if (!caller) throw new Unauthenticated();
    return caller;
  }

  /** Stops believing a key that is no longer good. */
  forget(keyId: string): void {
    for (const [hash, caller] of this.known.entries()) if (caller.keyId === keyId) this.known.delete(hash);
  }

  /** On a new installation, makes its first key and returns it, this once; null where there is a key already. */
  async makeFirstKey(): Promise<string | null> {
    const key = newApiKey();
    return (await this.keys.insertFirst(hashApiKey(key), key.slice(0, PREFIX_LENGTH))) ? key : null;
  }
}

/** Throws Forbidden when the caller's key lacks the scope. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope)) throw new Forbidden(scope);
}
