import {
  createRemoteJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type RemoteJWKSet,
} from 'jose';
import { LRUCache } from 'lru-cache';
import { IdentityProviderUnavailable } from '../../core/errors.js';
import { USER_AGENT } from '../../core/primitives/url.js';
import { type Dependencies } from '../dependencies.js';

/** Callers wait for these requests, so a provider that hangs must not hold them for long. */
const FETCH_TIMEOUT_MS = 5_000;
const HEADERS = { 'user-agent': USER_AGENT };
/** The minimum time between two lookups of unknown keys. It bounds requests to the provider when clients invent key IDs. */
const COOLDOWN_MS = 10_000;
/** The interval of background refreshes. A key that the provider withdraws is trusted for at most this long. */
const REFRESH_INTERVAL_MS = 600_000;
/** How long keys are trusted while the provider is down, so that signed-in people can keep working. */
const MAX_KEY_AGE_MS = 12 * 3_600_000;
/** After a failure, requests fail at once for this long instead of waiting for another timeout. */
const FAILURE_COOLDOWN_MS = 3_000;

interface IdentityProviderKeysDependencies extends Pick<Dependencies, 'log'> {
  /** Configured by the operator, so it is trusted even when its address is private. */
  issuer: string;
  /** Default: 10 s. */
  cooldownMs?: number;
}

/** Fetches an identity provider's public keys through its discovery document, caches them and refreshes them. */
export class IdentityProviderKeys {
  /** By issuer. Keys stay in use while they are refreshed in the background, and while the provider is down. */
  private readonly keySets = new LRUCache<string, RemoteJWKSet>({
    max: 1,
    ttl: REFRESH_INTERVAL_MS,
    allowStale: true,
    noDeleteOnFetchRejection: true,
    fetchMethod: (issuer) =>
      this.discover(issuer).catch((error: unknown) => {
        throw this.startCooldown(error);
      }),
  });
  private cooldownUntil = 0;

  constructor(private readonly deps: IdentityProviderKeysDependencies) {}

  /**
   * Resolves the key that a token names, for jose. Throws a JOSEError when the key does not exist, and
   * IdentityProviderUnavailable when the keys cannot be fetched.
   */
  readonly findKey = async (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => {
    const keySet = await this.keySets.forceFetch(this.deps.issuer);
    return keySet(header, token).catch((error: unknown) => {
      throw isTokenError(error) ? error : this.startCooldown(error);
    });
  };

  /** Fetches the keys ahead of the first request. Never throws. A failure is logged. */
  async prefetch(): Promise<void> {
    await this.keySets.fetch(this.deps.issuer).catch(() => undefined);
  }

  private async discover(issuer: string): Promise<RemoteJWKSet> {
    if (performance.now() < this.cooldownUntil) throw new IdentityProviderUnavailable();
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(url, {
      headers: HEADERS,
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      redirect: 'error',
    });
    const document = Object(await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
    if (document.issuer !== issuer)
      throw new Error(
        `The discovery document names the issuer "${String(document.issuer)}". Set OIDC_ISSUER to it, or correct ${issuer}.`,
      );
    const keySet = createRemoteJWKSet(new URL(String(document.jwks_uri)), {
      headers: HEADERS,
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: this.deps.cooldownMs ?? COOLDOWN_MS,
      cacheMaxAge: MAX_KEY_AGE_MS,
    });
    await keySet.reload();
    return keySet;
  }

  private startCooldown(error: unknown): IdentityProviderUnavailable {
    if (error instanceof IdentityProviderUnavailable) return error;
    this.cooldownUntil = performance.now() + FAILURE_COOLDOWN_MS;
    const { issuer, log } = this.deps;
    log.warn({ err: error, issuer }, 'failed to fetch the keys of the identity provider');
    return new IdentityProviderUnavailable(error);
  }
}

/** Whether the token is at fault, and not the connection to the provider. */
function isTokenError(error: unknown): boolean {
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported, JWSInvalid } = errors;
  return [JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported, JWSInvalid].some(
    (known) => error instanceof known,
  );
}
