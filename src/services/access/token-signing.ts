import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose';
import { z } from 'zod';
import { databaseNow, databaseTimeMs } from '../../core/primitives/clock.js';
import { isScope } from '../../core/access/caller.js';
import { isId } from '../../core/primitives/ids.js';
import { definedLimits, type Limits } from '../../core/limits/limits.js';
import { type Signer } from '../../core/access/signer.js';

/** The content of a client token. The token stops working with the API key that created it, `keyId`. */
export type TokenClaims = NonNullable<ReturnType<typeof parseClaims>>;

const SIGNING_ALGORITHM = 'EdDSA';
/** An explicit type, so that no other kind of token is accepted as a client token (RFC 8725, 3.11). */
const TOKEN_TYPE = 'darkroom-client+jwt';
const TOKEN_AUDIENCE = 'darkroom';
/** The DER prefix of a 32-byte Ed25519 private key (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** What an instance knows of the clock of PostgreSQL may be a moment old, and a failover may have changed that clock. */
const CLOCK_SKEW_SECONDS = 60;

/**
 * Signs and verifies client tokens. The signing keys are derived from SECRET_KEY, so all instances have the same ones and
 * none is stored. Keys of SECRET_KEY_PREVIOUS only verify.
 */
export class TokenSigning {
  private readonly findPublicKey;

  private constructor(
    /** The current key is first. */
    private readonly keys: readonly SigningKey[],
    private readonly issuer: string,
  ) {
    this.findPublicKey = createLocalJWKSet({ keys: this.publicJwks });
  }

  static async create(signer: Signer, issuer: string): Promise<TokenSigning> {
    const seeds = signer.deriveAll('client-token', 'ed25519');
    return new TokenSigning(await Promise.all(seeds.map(toSigningKey)), issuer);
  }

  /** The public keys for `/.well-known/jwks.json` (RFC 7517). */
  get publicJwks() {
    return this.keys.map(({ published }) => published);
  }

  async sign(claims: TokenClaims): Promise<string> {
    const [key] = this.keys;
    if (!key) throw new Error('No signing key is available.');
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
      .setProtectedHeader({ alg: SIGNING_ALGORITHM, kid: key.published.kid, typ: TOKEN_TYPE })
      .setIssuer(this.issuer)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject(endUserId ?? keyId)
      .setJti(id)
      .setIssuedAt(claims.issuedAt)
      .setExpirationTime(claims.expiresAt)
      .sign(key.privateKey);
  }

  /** Whether a token names one of these signing keys. The token may still be forged. */
  isIssuedByUs(token: string): boolean {
    try {
      const { kid } = decodeProtectedHeader(token);
      return this.publicJwks.some((key) => key.kid === kid);
    } catch {
      return false;
    }
  }

  /** Returns the content of a token. Null when it is forged, altered, expired, issued in the future, or for another audience. */
  async verify(token: string): Promise<TokenClaims | null> {
    const options = {
      algorithms: [SIGNING_ALGORITHM],
      issuer: this.issuer,
      audience: TOKEN_AUDIENCE,
      typ: TOKEN_TYPE,
      requiredClaims: ['exp', 'iat', 'jti'],
      currentDate: databaseNow(),
    };
    try {
      return parseClaims((await jwtVerify(token, this.findPublicKey, options)).payload);
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }
}

type SigningKey = Awaited<ReturnType<typeof toSigningKey>>;

/** Uses the key's thumbprint (RFC 7638) as its ID. */
async function toSigningKey(seed: Buffer) {
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const { crv = '', kty = '', x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const kid = await calculateJwkThumbprint({ crv, kty, x });
  return { privateKey, published: { kty, crv, x, kid, alg: SIGNING_ALGORITHM, use: 'sig' } };
}

const idSchema = z.string().refine(isId);
const payloadSchema = z.object({
  jti: z.string(),
  iat: z.number(),
  exp: z.number(),
  workspace: idSchema,
  key: idSchema,
  scope: z.string(),
  end_user: z.string().nullable().default(null),
  tasks: z.array(idSchema).nullable().default(null),
  limits: z.unknown(),
});

function parseClaims(payload: JWTPayload) {
  const { data } = payloadSchema.safeParse(payload);
  if (!data || data.iat > databaseTimeMs() / 1000 + CLOCK_SKEW_SECONDS) return null;
  return {
    id: data.jti,
    keyId: data.key,
    workspaceId: data.workspace,
    scopes: data.scope.split(' ').filter(isScope),
    endUserId: data.end_user,
    taskIds: data.tasks,
    limits: definedLimits(Object(data.limits) as Limits),
    issuedAt: new Date(data.iat * 1000),
    expiresAt: new Date(data.exp * 1000),
  };
}
