import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { type Caller, isScope, type Scope, TOKEN_SCOPES } from '../../core/access/caller.js';
import { idOfUrl, isId } from '../../core/primitives/ids.js';
import { type Workspace, type Workspaces } from '../../db/access/workspace-repository.js';
import { type ProviderKeys } from './provider-keys.js';

/** How the operator's identity provider is believed; OIDC_… of the configuration. */
export interface ProviderTrust {
  /** Exactly as the provider's tokens name it. */
  issuer: string;
  /** What tokens for us are for. */
  audience: string;
  /** The claim that holds the id of a workspace, or a name that one workspace alone has. */
  workspaceClaim: string;
  /** The claim that holds scopes: a list, or a text with spaces between. */
  scopeClaim: string;
}

/** Those with a private key alone: with a shared one, whoever can verify could sign. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** Access tokens (RFC 9068), and what many providers write instead. Not, for one, a token that says how somebody logged out. */
const TYPES = new Set(['at+jwt', 'application/at+jwt', 'jwt']);
/** The provider's clock and ours differ by this much at most. */
const CLOCK_SKEW_SECONDS = 30;
const MAX_SUBJECT_LENGTH = 255;
const WORKSPACE_TTL_MS = 60_000;
const WORKSPACES_KEPT = 1_000;

/** People who sign in at the operator's own identity provider: each is an end user of one workspace. */
export class IdentityProvider {
  /** Stands where a key's id does: for all who come through this provider. */
  private readonly id: string;
  private readonly known = new LRUCache<string, Workspace>({
    max: WORKSPACES_KEPT,
    ttl: WORKSPACE_TTL_MS,
    fetchMethod: async (text) => (await this.findWorkspace(text)) ?? undefined,
  });

  constructor(
    private readonly trust: ProviderTrust,
    private readonly keys: ProviderKeys,
    private readonly workspaces: Workspaces,
  ) {
    this.id = idOfUrl(trust.issuer);
  }

  /**
   * Whom an access token of the provider speaks for; null for one that is not to be believed. Throws
   * IdentityProviderUnavailable when its keys are needed and cannot be had.
   */
  async callerOf(token: string, source: string | null): Promise<Caller | null> {
    if (!this.isWorthALook(token)) return null;
    const { issuer, audience } = this.trust;
    const options = { issuer, audience, algorithms: ALGORITHMS, clockTolerance: CLOCK_SKEW_SECONDS };
    const requiredClaims = ['exp', 'sub'];
    try {
      const { payload } = await jwtVerify(token, this.keys.find, { ...options, requiredClaims });
      return await this.mapped(payload, source);
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }

  /** Before anybody is asked for keys: what cannot be right makes us fetch nothing. */
  private isWorthALook(token: string): boolean {
    try {
      const { alg = '', typ = 'jwt' } = decodeProtectedHeader(token);
      return (
        ALGORITHMS.includes(alg) && TYPES.has(typ.toLowerCase()) && decodeJwt(token).iss === this.trust.issuer
      );
    } catch {
      return false;
    }
  }

  private async mapped(payload: JWTPayload, source: string | null): Promise<Caller | null> {
    const { sub = '', iat = 0, exp = 0 } = payload;
    if (iat > Date.now() / 1_000 + CLOCK_SKEW_SECONDS) return null;
    if (sub === '' || sub.length > MAX_SUBJECT_LENGTH || sub.includes('\0')) return null;
    const named = payload[this.trust.workspaceClaim];
    const workspace =
      typeof named === 'string' && !named.includes('\0') ? await this.known.fetch(named) : null;
    if (!workspace) return null;
    return {
      workspaceId: workspace.id,
      workspaceName: workspace.name,
      credential: 'PROVIDER',
      keyId: this.id,
      keyName: 'identity provider',
      keyPrefix: '',
      scopes: scopesOf(payload[this.trust.scopeClaim]),
      limits: {},
      token: null,
      endUserId: sub,
      taskIds: null,
      expiresAt: new Date((exp + CLOCK_SKEW_SECONDS) * 1_000),
      source,
    };
  }

  private async findWorkspace(text: string): Promise<Workspace | null> {
    if (isId(text)) return this.workspaces.find(text);
    const [found, another] = await this.workspaces.findByName(text);
    return found && !another ? found : null;
  }
}

/** What a token can be given, whatever else the provider says: who administers does it with a key. */
function scopesOf(claim: unknown): Scope[] {
  const texts: unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  const wanted = texts.filter((text): text is Scope => typeof text === 'string' && isScope(text));
  return TOKEN_SCOPES.filter((scope) => wanted.includes(scope));
}
