import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { databaseNow } from '../../core/primitives/clock.js';
import { hashApiKey, isWellFormedApiKey, apiKeyHint, generateApiKey } from '../../core/access/api-key.js';
import { type Caller, type Scope } from '../../core/access/caller.js';
import { workspaceVisibility } from '../../core/access/visibility.js';
import { Forbidden, Unauthenticated } from '../../core/errors.js';
import { type ApiKeyWithWorkspace } from '../../db/access/api-key-repository.js';
import { type IdentityProvider } from './identity-provider.js';
import { type ApiKeyUsage } from './api-key-usage.js';
import { type AuthenticationFailure, type AuthenticationFailures } from './authentication-failures.js';
import { type TokenClaims, type TokenSigning } from './token-signing.js';
import { type Dependencies } from '../dependencies.js';

/** How long a key is cached. A revoked key keeps working for at most this long. */
const KEY_CACHE_TTL_MS = 2_500;
/** Far more keys than one instance serves within KEY_CACHE_TTL_MS. An entry takes about 1 kB. */
const MAX_CACHED_KEYS = 10_000;
/** A client token holds up to 100 task IDs. Node rejects headers above 16 kB. */
const MAX_CREDENTIAL_LENGTH = 8_192;
/** What the claims of verified client tokens may take. Those of a token without task IDs take about 1.3 kB. */
const MAX_VERIFIED_TOKEN_BYTES = 16 * 1024 * 1024;
const CLAIMS_BYTES = 1_300;
const TASK_ID_BYTES = 65;
const JWT_PATTERN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

interface AccessDependencies extends Pick<Dependencies, 'apiKeys'> {
  tokenSigning: TokenSigning;
  apiKeyUsage: ApiKeyUsage;
  authenticationFailures: AuthenticationFailures;
  /** Null when no identity provider is configured. */
  identityProvider: IdentityProvider | null;
}

/** Authenticates callers by API key, client token or the identity provider's token. */
export class Access {
  // `fetchMethod` lets concurrent requests with the same key share one query.
  private readonly keysByHash = new LRUCache<string, ApiKeyWithWorkspace>({
    max: MAX_CACHED_KEYS,
    ttl: KEY_CACHE_TTL_MS,
    fetchMethod: async (hash) =>
      (await this.deps.apiKeys.findByHash(Buffer.from(hash, 'base64'))) ?? undefined,
  });
  /** The keys that created client tokens. */
  private readonly keysById = new LRUCache<string, ApiKeyWithWorkspace>({
    max: MAX_CACHED_KEYS,
    ttl: KEY_CACHE_TTL_MS,
    fetchMethod: async (id) => (await this.deps.apiKeys.findById(id)) ?? undefined,
  });
  /** A valid signature stays valid, so later requests check only the expiry. */
  private readonly verifiedTokens = new LRUCache<string, TokenClaims>({
    maxSize: MAX_VERIFIED_TOKEN_BYTES,
    sizeCalculation: ({ taskIds }) => CLAIMS_BYTES + TASK_ID_BYTES * (taskIds?.length ?? 0),
    fetchMethod: async (_hash, _stale, { context }) =>
      (await this.deps.tokenSigning.verify(String(context))) ?? undefined,
  });

  constructor(private readonly deps: AccessDependencies) {}

  /**
   * Returns the caller that an `Authorization` header identifies. Throws Unauthenticated, with the same message for every
   * invalid credential, and IdentityProviderUnavailable.
   */
  async authenticate(authorization: unknown, clientAddress: string | null = null): Promise<Caller> {
    if (authorization === undefined || authorization === null) throw new Unauthenticated();
    const [, credential = ''] =
      (typeof authorization === 'string' && /^Bearer +(\S+)$/i.exec(authorization)) || [];
    if (credential.length > MAX_CREDENTIAL_LENGTH) return this.reject('MALFORMED', clientAddress);
    if (isWellFormedApiKey(credential)) return this.authenticateKey(credential, clientAddress);
    if (JWT_PATTERN.test(credential)) return this.authenticateToken(credential, clientAddress);
    // Typing errors and guesses end here, without a query.
    return this.reject('MALFORMED', clientAddress);
  }

  /** Removes a key from the caches after it was revoked or expired. Its client tokens stop working as well. */
  invalidateKey(keyId: string): void {
    this.keysById.delete(keyId);
    for (const [hash, { id }] of this.keysByHash.entries()) if (id === keyId) this.keysByHash.delete(hash);
  }

  /** Creates the first API key of a new installation and returns it. Null when a key already exists. */
  async createFirstKey(): Promise<string | null> {
    const key = generateApiKey();
    return (await this.deps.apiKeys.insertFirst({ ...apiKeyHint(key), hash: hashApiKey(key) })) ? key : null;
  }

  private async authenticateKey(secret: string, clientAddress: string | null): Promise<Caller> {
    const key = await this.keysByHash.fetch(hashApiKey(secret).toString('base64'));
    if (!key) return this.reject('UNKNOWN_KEY', clientAddress);
    const failure = keyFailureOf(key);
    if (failure) return this.reject(failure, clientAddress, key);
    this.deps.apiKeyUsage.recordUse(key.id);
    return callerOfKey(key, clientAddress);
  }

  private async authenticateToken(token: string, clientAddress: string | null): Promise<Caller> {
    if (!this.deps.tokenSigning.isIssuedByUs(token)) {
      const caller = await this.deps.identityProvider?.authenticate(token, clientAddress);
      return caller ?? this.reject('TOKEN_INVALID', clientAddress);
    }
    const hash = createHash('sha256').update(token).digest('base64');
    const claims = await this.verifiedTokens.fetch(hash, { context: token });
    if (!claims || claims.expiresAt <= databaseNow()) return this.reject('TOKEN_INVALID', clientAddress);
    const key = await this.keysById.fetch(claims.keyId);
    if (!key || key.workspaceId !== claims.workspaceId) return this.reject('TOKEN_INVALID', clientAddress);
    const failure = keyFailureOf(key);
    return failure
      ? this.reject(failure, clientAddress, key)
      : restrictToToken(callerOfKey(key, clientAddress), claims);
  }

  private reject(
    kind: AuthenticationFailure,
    clientAddress: string | null,
    key?: ApiKeyWithWorkspace,
  ): never {
    this.deps.authenticationFailures.count(kind, clientAddress, key);
    throw new Unauthenticated();
  }
}

function keyFailureOf({ revokedAt, expiresAt }: ApiKeyWithWorkspace): AuthenticationFailure | null {
  if (revokedAt) return 'REVOKED_KEY';
  return expiresAt && expiresAt <= databaseNow() ? 'EXPIRED_KEY' : null;
}

function callerOfKey(key: ApiKeyWithWorkspace, clientAddress: string | null): Caller {
  const { workspaceId, workspaceName, scopes, limits, expiresAt } = key;
  return {
    ...workspaceVisibility(workspaceId),
    workspaceName,
    credentialType: 'API_KEY',
    keyId: key.id,
    keyLineageId: key.lineageId,
    keyName: key.name,
    keyPrefix: key.prefix,
    scopes,
    limits,
    clientToken: null,
    expiresAt,
    clientAddress,
  };
}

/** Restricts the caller of an API key to what its client token grants. */
function restrictToToken(
  key: Caller,
  { id, scopes, limits, endUserId, taskIds, expiresAt }: TokenClaims,
): Caller {
  return {
    ...key,
    credentialType: 'CLIENT_TOKEN',
    scopes: scopes.filter((scope) => key.scopes.includes(scope)),
    clientToken: { id, limits },
    endUserId,
    taskIds,
    expiresAt: key.expiresAt && key.expiresAt < expiresAt ? key.expiresAt : expiresAt,
  };
}

/** Throws Forbidden for a caller whose token is limited to certain tasks, because it could not see anything new that it creates. */
export function requireCanCreate({ taskIds }: Caller): void {
  if (taskIds === null) return;
  throw new Forbidden(
    'tasks',
    'Your token is limited to certain tasks and cannot create anything. Use a token without `taskIds`, or an API key.',
  );
}

/** Throws Forbidden when the caller lacks the scope. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope)) throw new Forbidden(scope);
}
