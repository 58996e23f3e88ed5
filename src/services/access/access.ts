import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { hashApiKey, isWellFormedApiKey, markOf, newApiKey } from '../../core/access/api-key.js';
import { type Caller, type Scope } from '../../core/access/caller.js';
import { Forbidden, Unauthenticated } from '../../core/errors.js';
import { type ApiKeys, type KnownKey } from '../../db/access/api-key-repository.js';
import { type IdentityProvider } from './identity-provider.js';
import { type KeyUse } from './key-usage.js';
import { type SignInFailure, type SignInFailures } from './sign-in-failures.js';
import { type TokenClaims, type TokenSigning } from './token-signing.js';

/** How long a key is believed without asking again: a revoked one works at most this much longer. */
const CACHE_TTL_MS = 2_500;
/** Far more keys than one instance serves in five seconds; about 1 kB each. */
const CACHE_SIZE = 10_000;
/** The longest token of ours has 100 task ids; Node takes no headers above 16 kB. */
const MAX_CREDENTIAL_LENGTH = 8_192;
const JWT_FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Who is asking, and what they may do. */
export class Access {
  // One look for all who come with the same key at the same time.
  private readonly byHash = new LRUCache<string, KnownKey>({
    max: CACHE_SIZE,
    ttl: CACHE_TTL_MS,
    fetchMethod: async (hash) => (await this.keys.findByHash(Buffer.from(hash, 'base64'))) ?? undefined,
  });
  /** The keys that made tokens. */
  private readonly byId = new LRUCache<string, KnownKey>({
    max: CACHE_SIZE,
    ttl: CACHE_TTL_MS,
    fetchMethod: async (id) => (await this.keys.findById(id)) ?? undefined,
  });
  /** What was signed stays signed: only its end is looked at again. */
  private readonly tokens = new LRUCache<string, TokenClaims>({
    max: CACHE_SIZE,
    fetchMethod: async (_hash, _stale, { context }) =>
      (await this.signing.verify(String(context))) ?? undefined,
  });

  constructor(
    private readonly keys: ApiKeys,
    private readonly signing: TokenSigning,
    private readonly use: KeyUse,
    private readonly failures: SignInFailures,
    /** Null: there is none. */
    private readonly provider: IdentityProvider | null,
  ) {}

  /**
   * The caller that an `Authorization` header speaks for; `source` is the client's address. Throws Unauthenticated, the
   * same for every wrong one, and IdentityProviderUnavailable.
   */
  async authenticate(authorization: unknown, source: string | null = null): Promise<Caller> {
    if (authorization === undefined || authorization === null) throw new Unauthenticated();
    const [, credential = ''] =
      (typeof authorization === 'string' && /^Bearer +(\S+)$/i.exec(authorization)) || [];
    if (credential.length > MAX_CREDENTIAL_LENGTH) return this.refuse('MALFORMED', source);
    // Without a query: a typing error, or somebody who tries what keys look like.
    if (isWellFormedApiKey(credential)) return this.holderOf(credential, source);
    if (JWT_FORM.test(credential)) return this.bearerOf(credential, source);
    return this.refuse('MALFORMED', source);
  }

  /** Stops believing a key that is no longer good, and the tokens that it made. */
  forget(keyId: string): void {
    this.byId.delete(keyId);
    for (const [hash, { id }] of this.byHash.entries()) if (id === keyId) this.byHash.delete(hash);
  }

  /** On a new installation, makes its first key and returns it, this once; null where there is a key already. */
  async makeFirstKey(): Promise<string | null> {
    const key = newApiKey();
    return (await this.keys.insertFirst({ ...markOf(key), hash: hashApiKey(key) })) ? key : null;
  }

  private async holderOf(secret: string, source: string | null): Promise<Caller> {
    const key = await this.byHash.fetch(hashApiKey(secret).toString('base64'));
    const problem = problemOf(key);
    if (!key || problem) return this.refuse(problem ?? 'UNKNOWN_KEY', source, key);
    this.use.note(key.id);
    return callerOf(key, source);
  }

  private async bearerOf(token: string, source: string | null): Promise<Caller> {
    if (!this.signing.isOurs(token)) return this.signedInBy(token, source);
    const hash = createHash('sha256').update(token).digest('base64');
    const claims = await this.tokens.fetch(hash, { context: token });
    if (!claims || claims.expiresAt <= new Date()) return this.refuse('TOKEN_REFUSED', source);
    const key = await this.byId.fetch(claims.keyId);
    if (!key || key.workspaceId !== claims.workspaceId) return this.refuse('TOKEN_REFUSED', source);
    const problem = problemOf(key);
    return problem ? this.refuse(problem, source, key) : narrowed(callerOf(key, source), claims);
  }

  private async signedInBy(token: string, source: string | null): Promise<Caller> {
    return (await this.provider?.callerOf(token, source)) ?? this.refuse('TOKEN_REFUSED', source);
  }

  private refuse(kind: SignInFailure, source: string | null, key?: KnownKey): never {
    this.failures.count(kind, source, key);
    throw new Unauthenticated();
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
  const reach = { endUserId: null, taskIds: null };
  return { ...names, ...reach, credential: 'KEY', scopes, limits, token: null, expiresAt, source };
}

/** What a token leaves of the key that made it. */
function narrowed(key: Caller, { id, scopes, limits, endUserId, taskIds, expiresAt }: TokenClaims): Caller {
  const ends = [expiresAt, key.expiresAt ?? expiresAt].sort((one, other) => one.getTime() - other.getTime());
  return {
    ...key,
    credential: 'TOKEN',
    scopes: scopes.filter((scope) => key.scopes.includes(scope)),
    token: { id, limits },
    endUserId,
    taskIds,
    expiresAt: ends[0] ?? expiresAt,
  };
}

/** Throws Forbidden for a caller who may see certain tasks: what it made besides, it could not see. */
export function requireNewThings({ taskIds }: Caller): void {
  if (taskIds === null) return;
  throw new Forbidden(
    'tasks',
    'Your token is for certain tasks. It makes nothing new: ask with another one.',
  );
}

/** Throws Forbidden when the caller's key lacks the scope. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope)) throw new Forbidden(scope);
}
