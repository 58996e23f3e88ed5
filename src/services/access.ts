import { LRUCache } from 'lru-cache';
import { hashApiKey, isWellFormedApiKey, markOf, newApiKey } from '../core/api-key.js';
import { type Caller, type Scope } from '../core/caller.js';
import { Forbidden, Unauthenticated } from '../core/errors.js';
import { type ApiKeys, type KnownKey } from '../db/api-keys.js';
import { type KeyUse } from './key-use.js';
import { type SignInFailures } from './sign-in-failures.js';

/** How long a key is believed without asking again: a revoked one works at most this much longer. */
const CACHE_TTL_MS = 2_500;
/** Far more keys than one instance serves in five seconds; about 1 kB each. */
const CACHE_SIZE = 10_000;

/** Who is asking, and what they may do. */
export class Access {
  private readonly known = new LRUCache<string, KnownKey>({
    max: CACHE_SIZE,
    ttl: CACHE_TTL_MS,
    // One look for all who come with the same key at the same time.
    fetchMethod: async (hash) => (await this.keys.findByHash(Buffer.from(hash, 'base64'))) ?? undefined,
  });

  constructor(
    private readonly keys: ApiKeys,
    private readonly use: KeyUse,
    private readonly failures: SignInFailures,
  ) {}

  /**
   * The caller that an `Authorization` header speaks for; `source` is the client's address. Throws Unauthenticated, the
   * same for every wrong one.
   */
  async authenticate(authorization: unknown, source: string | null = null): Promise<Caller> {
    if (authorization === undefined || authorization === null) throw new Unauthenticated();
    const [, key] = (typeof authorization === 'string' && /^Bearer +(\S+)$/i.exec(authorization)) || [];
    // Without a query: a typing error, or somebody who tries what keys look like.
    if (!key || !isWellFormedApiKey(key)) {
      this.failures.count('MALFORMED', source);
      throw new Unauthenticated();
    }
    const found = await this.known.fetch(hashApiKey(key).toString('base64'));
    const problem = problemOf(found);
    if (!found || problem) {
      this.failures.count(problem ?? 'UNKNOWN_KEY', source, found);
      throw new Unauthenticated();
    }
    this.use.note(found.id);
    return callerOf(found, source);
  }

  /** Stops believing a key that is no longer good. */
  forget(keyId: string): void {
    for (const [hash, { id }] of this.known.entries()) if (id === keyId) this.known.delete(hash);
  }

  /** On a new installation, makes its first key and returns it, this once; null where there is a key already. */
  async makeFirstKey(): Promise<string | null> {
    const key = newApiKey();
    return (await this.keys.insertFirst({ ...markOf(key), hash: hashApiKey(key) })) ? key : null;
  }
}

function problemOf(key: KnownKey | undefined): 'UNKNOWN_KEY' | 'REVOKED_KEY' | 'EXPIRED_KEY' | null {
  if (!key) return 'UNKNOWN_KEY';
  if (key.revokedAt) return 'REVOKED_KEY';
  return key.expiresAt && key.expiresAt <= new Date() ? 'EXPIRED_KEY' : null;
}

function callerOf(key: KnownKey, source: string | null): Caller {
  const { id, name, prefix, workspaceId, workspaceName, scopes, limits } = key;
  const { expiresAt } = key;
  const names = { workspaceId, workspaceName, keyId: id, keyName: name, keyPrefix: prefix };
  return { ...names, scopes, limits, endUserId: null, expiresAt, source };
}

/** Throws Forbidden when the caller's key lacks the scope. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope)) throw new Forbidden(scope);
}
