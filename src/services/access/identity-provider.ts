import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { databaseNow, databaseTimeMs } from '../../core/primitives/clock.js';
import { type Caller, type Scope, CLIENT_TOKEN_SCOPES } from '../../core/access/caller.js';
import { idFromUrl, isId } from '../../core/primitives/ids.js';
import { type Workspace } from '../../db/access/workspace-repository.js';
import { type IdentityProviderKeys } from './identity-provider-keys.js';
import { type Dependencies } from '../dependencies.js';
import { isEndUserId } from './end-user.js';

/** The configuration of the operator's identity provider, from the OIDC_… variables. */
export interface OidcConfig {
  /** Must equal the claim `iss` of the provider's tokens. */
  issuer: string;
  /** Must be in the claim `aud` of the provider's tokens. */
  audience: string;
  /** The claim that holds the ID of a workspace, or a unique workspace name. */
  workspaceClaim: string;
  /** The claim that holds the scopes, as a list or as text separated by spaces. */
  scopeClaim: string;
}

/** Asymmetric algorithms only. With a shared secret, everyone who can verify a token could also sign one. */
const ACCEPTED_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** Access tokens (RFC 9068), and the plain `jwt` of many providers. Other kinds, such as logout tokens, are rejected. */
const ACCEPTED_TOKEN_TYPES = new Set(['at+jwt', 'application/at+jwt', 'jwt']);
/** The largest accepted difference between the provider's clock and the local clock. */
const CLOCK_SKEW_SECONDS = 30;
const WORKSPACE_TTL_MS = 60_000;
const MAX_CACHED_WORKSPACES = 1_000;

/** Authenticates people by access tokens of the operator's identity provider. Each person is an end user of one workspace. */
export class IdentityProvider {
  /** Takes the place of an API key's ID for all callers of this provider. */
  private readonly id: string;
  private readonly workspaceCache = new LRUCache<string, Workspace>({
    max: MAX_CACHED_WORKSPACES,
    ttl: WORKSPACE_TTL_MS,
    fetchMethod: async (idOrName) => (await this.findWorkspace(idOrName)) ?? undefined,
  });

  constructor(
    private readonly deps: Pick<Dependencies, 'workspaces'> & {
      config: OidcConfig;
      keys: IdentityProviderKeys;
    },
  ) {
    this.id = idFromUrl(deps.config.issuer);
  }

  /**
   * Returns the caller that an access token identifies. Null for an invalid token. Throws IdentityProviderUnavailable when
   * the provider's keys are needed and cannot be fetched.
   */
  async authenticate(token: string, clientAddress: string | null): Promise<Caller | null> {
    if (!this.isPlausible(token)) return null;
    const { issuer, audience } = this.deps.config;
    const options = { issuer, audience, algorithms: ACCEPTED_ALGORITHMS, clockTolerance: CLOCK_SKEW_SECONDS };
    const requiredClaims = ['exp', 'sub'];
    const currentDate = databaseNow();
    try {
      const { payload } = await jwtVerify(token, this.deps.keys.findKey, {
        ...options,
        requiredClaims,
        currentDate,
      });
      return await this.callerFromClaims(payload, clientAddress);
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }

  /** Rejects impossible tokens before any key is fetched. */
  private isPlausible(token: string): boolean {
    try {
      const { alg = '', typ = 'jwt' } = decodeProtectedHeader(token);
      return (
        ACCEPTED_ALGORITHMS.includes(alg) &&
        ACCEPTED_TOKEN_TYPES.has(typ.toLowerCase()) &&
        decodeJwt(token).iss === this.deps.config.issuer
      );
    } catch {
      return false;
    }
  }

  private async callerFromClaims(payload: JWTPayload, clientAddress: string | null): Promise<Caller | null> {
    const { sub = '', iat = 0, exp = 0 } = payload;
    if (iat > databaseTimeMs() / 1_000 + CLOCK_SKEW_SECONDS) return null;
    if (!isEndUserId(sub)) return null;
    const workspaceClaim = payload[this.deps.config.workspaceClaim];
    const workspace =
      typeof workspaceClaim === 'string' && !workspaceClaim.includes('\0')
        ? await this.workspaceCache.fetch(workspaceClaim)
        : null;
    if (!workspace) return null;
    return {
      workspaceId: workspace.id,
      workspaceName: workspace.name,
      credentialType: 'IDENTITY_PROVIDER',
      keyId: this.id,
      // What limits a key limits the people of one workspace together.
      keyLineageId: idFromUrl(`${this.deps.config.issuer}#${workspace.id}`),
      keyName: 'identity provider',
      keyPrefix: '',
      scopes: scopesFromClaim(payload[this.deps.config.scopeClaim]),
      limits: {},
      clientToken: null,
      endUserId: sub,
      taskIds: null,
      expiresAt: new Date((exp + CLOCK_SKEW_SECONDS) * 1_000),
      clientAddress,
    };
  }

  private async findWorkspace(idOrName: string): Promise<Workspace | null> {
    if (isId(idOrName)) return this.deps.workspaces.find(idOrName);
    const [found, another] = await this.deps.workspaces.findByName(idOrName);
    return found && !another ? found : null;
  }
}

/** Returns the scopes that a token can have. Administration requires an API key, whatever the provider grants. */
function scopesFromClaim(claim: unknown): Scope[] {
  const texts: unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return CLIENT_TOKEN_SCOPES.filter((scope) => texts.includes(scope));
}
