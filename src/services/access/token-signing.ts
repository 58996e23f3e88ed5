import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { isScope, type Scope } from '../../core/access/caller.js';
import { isId } from '../../core/primitives/ids.js';
import { givenLimits, type Limits } from '../../core/limits/limits.js';
import { type Signer } from '../../core/access/signer.js';

/** What a token says. */
export interface TokenClaims {
  /** The token's own id. */
  id: string;
  /** The key that made it: it ends with that. */
  keyId: string;
  workspaceId: string;
  scopes: readonly Scope[];
  endUserId: string | null;
  taskIds: readonly string[] | null;
  limits: Limits;
  issuedAt: Date;
  expiresAt: Date;
}

/** A public key as it is published. */
export interface PublishedKey {
  kty: string;
  crv: string;
  x: string;
  kid: string;
  alg: string;
  use: string;
}

const ALGORITHM = 'EdDSA';
/** Says what it is, so that no other token of the same keys can be taken for one (RFC 8725, 3.11). */
const TYPE = 'darkroom-client+jwt';
const AUDIENCE = 'darkroom';
/** What DER writes before the 32 bytes of an Ed25519 private key (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Instances' clocks differ by this much at most. */
const CLOCK_SKEW_SECONDS = 60;

/**
 * Signs tokens and reads them again. The keys are derived from SECRET_KEY, so every instance has the same ones and none is
 * kept anywhere; those of SECRET_KEY_OLD still verify.
 */
export class TokenSigning {
  /** The present one first. */
  private readonly keys: { privateKey: KeyObject; publicKey: KeyObject; published: PublishedKey }[];

  constructor(
    signer: Signer,
    private readonly issuer: string,
  ) {
    this.keys = signer.deriveAll('client-token', 'ed25519').map((seed) => {
      const der = Buffer.concat([PKCS8_PREFIX, seed]);
      const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      const publicKey = createPublicKey(privateKey);
      return { privateKey, publicKey, published: publish(publicKey) };
    });
  }

  get publishedKeys(): PublishedKey[] {
    return this.keys.map(({ published }) => published);
  }

  async sign(claims: TokenClaims): Promise<string> {
    const [key] = this.keys;
    if (!key) throw new Error('There is no secret.');
    const { id, keyId, workspaceId, scopes, endUserId, taskIds, limits } = claims;
    const payload = {
      workspace: workspaceId,
      key: keyId,
      scope: scopes.join(' '),
      ...(endUserId !== null && { end_user: endUserId }),
      ...(taskIds !== null && { tasks: taskIds }),
      limits,
    };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: ALGORITHM, kid: key.published.kid, typ: TYPE })
      .setIssuer(this.issuer)
      .setAudience(AUDIENCE)
      .setSubject(endUserId ?? keyId)
      .setJti(id)
      .setIssuedAt(claims.issuedAt)
      .setExpirationTime(claims.expiresAt)
      .sign(key.privateKey);
  }

  /** Whether a token names one of our keys; it can be forged all the same. */
  isOurs(token: string): boolean {
    try {
      return this.keyOf(decodeProtectedHeader(token).kid) !== null;
    } catch {
      return false;
    }
  }

  /** What a token of ours says; null for one that is forged, altered, over, from the future, or for somebody else. */
  async verify(token: string): Promise<TokenClaims | null> {
    const options = {
      algorithms: [ALGORITHM],
      issuer: this.issuer,
      audience: AUDIENCE,
      typ: TYPE,
      requiredClaims: ['exp', 'iat', 'jti'],
    };
    const keyOf = ({ kid }: { kid?: string }) => {
      const key = this.keyOf(kid);
      if (!key) throw new errors.JWKSNoMatchingKey();
      return key;
    };
    try {
      return claimsOf((await jwtVerify(token, keyOf, options)).payload);
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }

  private keyOf(kid: string | undefined): KeyObject | null {
    return this.keys.find(({ published }) => published.kid === kid)?.publicKey ?? null;
  }
}

/** The key's name is its thumbprint (RFC 7638). */
function publish(publicKey: KeyObject): PublishedKey {
  const { crv = '', kty = '', x = '' } = publicKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
  return { kty, crv, x, kid, alg: ALGORITHM, use: 'sig' };
}

function claimsOf(payload: JWTPayload): TokenClaims | null {
  const {
    jti,
    iat = 0,
    exp = 0,
    workspace,
    key,
    scope,
    end_user: endUser = null,
    tasks = null,
    limits,
  } = payload;
  if (iat > Date.now() / 1000 + CLOCK_SKEW_SECONDS) return null;
  if (typeof jti !== 'string' || !isIdText(workspace) || !isIdText(key) || typeof scope !== 'string')
    return null;
  if (endUser !== null && typeof endUser !== 'string') return null;
  if (tasks !== null && !(Array.isArray(tasks) && tasks.every(isIdText))) return null;
  return {
    id: jti,
    keyId: key,
    workspaceId: workspace,
    scopes: scope.split(' ').filter(isScope),
    endUserId: endUser,
    taskIds: tasks,
    limits: givenLimits(Object(limits) as Limits),
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
  };
}

function isIdText(value: unknown): value is string {
  return typeof value === 'string' && isId(value);
}
