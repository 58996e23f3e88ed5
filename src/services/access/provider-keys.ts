import {
  createRemoteJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type RemoteJWKSet,
} from 'jose';
import { type Logger } from 'pino';
import { IdentityProviderUnavailable } from '../../core/errors.js';

/** A provider answers at once, or somebody waits for it in vain. */
const TIMEOUT_MS = 5_000;
/** From one look for a key that we do not know to the next: whoever invents names makes us ask no oftener. */
const COOLDOWN_MS = 10_000;
/** After this the keys are read again, beside the requests: so long is a withdrawn key believed while the provider is there. */
const REFRESH_MS = 600_000;
/** So long while it is away: who is signed in goes on working through its outage. */
const KEPT_MS = 12 * 3_600_000;
/** After a failure nobody waits for the next one to time out. */
const REST_MS = 3_000;

/** The public keys of an identity provider, found by its discovery document, kept, and read again when they change. */
export class ProviderKeys {
  private jwks: Promise<RemoteJWKSet> | null = null;
  private readAt = 0;
  private restUntil = 0;

  constructor(
    /** Of the operator's own choice, so it is trusted, also where it is private. */
    private readonly issuer: string,
    private readonly log: Logger,
    private readonly cooldownMs = COOLDOWN_MS,
  ) {}

  /**
   * The key that a token names, for jose. Throws a JOSEError when there is none, and IdentityProviderUnavailable when nobody
   * can tell.
   */
  readonly find = async (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => {
    const jwks = await this.ready();
    try {
      return await jwks(header, token);
    } catch (error) {
      if (isAboutToken(error)) throw error;
      throw this.rest(error);
    }
  };

  /** Reads the keys before anybody needs them. Never throws: the log tells. */
  async prepare(): Promise<void> {
    await this.ready().catch(() => undefined);
  }

  private async ready(): Promise<RemoteJWKSet> {
    if (!this.jwks && Date.now() < this.restUntil) throw new IdentityProviderUnavailable();
    this.jwks ??= this.discover();
    const jwks = await this.jwks.catch((error: unknown) => {
      this.jwks = null;
      throw this.rest(error);
    });
    const now = Date.now();
    if (now > this.readAt + REFRESH_MS && now > this.restUntil && !jwks.reloading) {
      void this.read(jwks).catch((error: unknown) => this.rest(error));
    }
    return jwks;
  }

  private async discover(): Promise<RemoteJWKSet> {
    const url = `${this.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' });
    const found = Object(await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
    if (found.issuer !== this.issuer)
      throw new Error(`its discovery names another issuer than ${this.issuer}`);
    const jwks = createRemoteJWKSet(new URL(String(found.jwks_uri)), {
      timeoutDuration: TIMEOUT_MS,
      cooldownDuration: this.cooldownMs,
      cacheMaxAge: KEPT_MS,
    });
    await this.read(jwks);
    return jwks;
  }

  private async read(jwks: RemoteJWKSet): Promise<void> {
    await jwks.reload();
    this.readAt = Date.now();
  }

  private rest(error: unknown): IdentityProviderUnavailable {
    if (error instanceof IdentityProviderUnavailable) return error;
    this.restUntil = Date.now() + REST_MS;
    this.log.warn({ err: error, issuer: this.issuer }, 'the keys of the identity provider cannot be read');
    return new IdentityProviderUnavailable(error);
  }
}

/** The provider was asked, or did not need to be, and the token is wrong. */
function isAboutToken(error: unknown): boolean {
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported, JWSInvalid } = errors;
  return [JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported, JWSInvalid].some(
    (known) => error instanceof known,
  );
}
