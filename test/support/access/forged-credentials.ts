import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { Signer } from '../../../src/core/access/signer.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TokenClaims } from '../../../src/services/access/token-signing.js';
import { SECRET_KEY, tokenSigning } from './client-tokens.js';

/** What an attacker may hold: a valid token, its claims, and IDs of another workspace. */
export interface StolenCredentials {
  claims: TokenClaims;
  token: string;
  /** ID of an API key of another workspace. */
  foreignKeyId: string;
  foreignWorkspaceId: string;
}

const now = () => Math.floor(Date.now() / 1000);
const encodeJson = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decodeJson = (part = '') =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

/** The service's own signing key. Tokens signed with it have a valid signature, so their claims must get them refused. */
const leakedSigningKey = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    new Signer(Buffer.from(SECRET_KEY)).derive('client-token', 'ed25519'),
  ]),
  format: 'der',
  type: 'pkcs8',
});
const attackerKeyPair = generateKeyPairSync('ed25519');
const attackerRsaKeyPair = generateKeyPairSync('rsa', { modulusLength: 2048 });

function signToken(header: object, payload: object, key: KeyObject = leakedSigningKey): string {
  const body = `${encodeJson(header)}.${encodeJson(payload)}`;
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`;
}

/** Named tokens that must be refused. */
export function forgedTokens({
  token,
  foreignKeyId,
  foreignWorkspaceId,
}: StolenCredentials): [string, string][] {
  const [encodedHeader = '', encodedPayload = '', signature = ''] = token.split('.');
  const [header, payload] = [decodeJson(encodedHeader), decodeJson(encodedPayload)];
  const [published] = tokenSigning.publicJwks;
  const publicBytes = Buffer.from(published?.x ?? '', 'base64url');
  const signHmac = (key: Buffer | string, alg = 'HS256') => {
    const text = `${encodeJson({ ...header, alg })}.${encodedPayload}`;
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
  };
  const pem = attackerKeyPair.publicKey.export({ format: 'pem', type: 'spki' });
  const withClaims = (claims: object) => signToken(header, { ...payload, ...claims });
  const withoutClaim = (name: string) =>
    signToken(header, Object.fromEntries(Object.entries(payload).filter(([claim]) => claim !== name)));
  const withAlteredPayload = (claims: object) =>
    `${encodedHeader}.${encodeJson({ ...payload, ...claims })}.${signature}`;
  return [
    ['alg none without a signature', `${encodeJson({ ...header, alg: 'none' })}.${encodedPayload}.`],
    ['alg none with a signature', `${encodeJson({ ...header, alg: 'none' })}.${encodedPayload}.${signature}`],
    ['alg none in mixed case', `${encodeJson({ ...header, alg: 'nOnE' })}.${encodedPayload}.${signature}`],
    ['HS256 with the public key as the secret', signHmac(publicBytes)],
    ['HS256 with the encoded public key as the secret', signHmac(published?.x ?? '')],
    ['HS256 with a public key in PEM as the secret', signHmac(pem)],
    ['HS256 with an empty secret', signHmac('')],
    ['alg HS512', signHmac(publicBytes, 'HS512')],
    ['alg RS256, signed with Ed25519', signToken({ ...header, alg: 'RS256' }, payload)],
    ['alg ES256, signed with Ed25519', signToken({ ...header, alg: 'ES256' }, payload)],
    ['no alg', signToken({ kid: header.kid, typ: header.typ }, payload)],
    ['signed with another key under our kid', signToken(header, payload, attackerKeyPair.privateKey)],
    [
      'signed with another RSA key',
      signToken({ ...header, alg: 'RS256' }, payload, attackerRsaKeyPair.privateKey),
    ],
    ['an unknown kid', signToken({ ...header, kid: 'x' }, payload)],
    ['no kid', signToken({ alg: header.alg, typ: header.typ }, payload)],
    ['a path as the kid', signToken({ ...header, kid: '../../dev/null' }, payload)],
    ['SQL as the kid', signToken({ ...header, kid: "' OR 1=1 --" }, payload)],
    [
      'an embedded jwk in the header',
      signToken(
        { ...header, kid: 'x', jwk: attackerKeyPair.publicKey.export({ format: 'jwk' }) },
        payload,
        attackerKeyPair.privateKey,
      ),
    ],
    [
      'a jku in the header',
      signToken({ ...header, kid: 'x', jku: 'http://127.0.0.1:9/keys' }, payload, attackerKeyPair.privateKey),
    ],
    ['a critical extension', signToken({ ...header, crit: ['exp'], exp: now() + 60 }, payload)],
    ['another type', signToken({ ...header, typ: 'JWT' }, payload)],
    ['no type', signToken({ alg: header.alg, kid: header.kid }, payload)],
    ['expired one second ago', withClaims({ exp: now() - 1 })],
    ['expired in 1970', withClaims({ exp: 0 })],
    ['exp is a string', withClaims({ exp: 'never' })],
    ['no exp', withoutClaim('exp')],
    ['nbf in one minute', withClaims({ nbf: now() + 60 })],
    ['iat tomorrow', withClaims({ iat: now() + 86_400, exp: now() + 90_000 })],
    ['no iat', withoutClaim('iat')],
    ['another audience', withClaims({ aud: 'elsewhere' })],
    ['no audience', withoutClaim('aud')],
    ['another issuer', withClaims({ iss: 'https://elsewhere.example' })],
    ['no issuer', withoutClaim('iss')],
    ['no jti', withoutClaim('jti')],
    ["a workspace other than the key's", withClaims({ workspace: foreignWorkspaceId })],
    ['a key of another workspace', withClaims({ key: foreignKeyId })],
    ['an unknown key', withClaims({ key: newId() })],
    ['a malformed key ID', withClaims({ key: 'x' })],
    ['no key', withoutClaim('key')],
    ['no workspace', withoutClaim('workspace')],
    ['tasks is a string', withClaims({ tasks: 'all' })],
    ['tasks with a wildcard', withClaims({ tasks: ['*'] })],
    ['end_user is a list', withClaims({ end_user: ['anna', 'bert'] })],
    ['scope is a list', withClaims({ scope: ['tasks:read'] })],
    ['payload altered to add a scope', withAlteredPayload({ scope: 'tasks:read keys:admin' })],
    ['payload altered to another end user', withAlteredPayload({ end_user: 'bert' })],
    ['payload altered to a later expiry', withAlteredPayload({ exp: now() + 86_400 })],
    ['a truncated signature', token.slice(0, -4)],
    ['a signature with trailing characters', `${token}AA`],
    [
      'the signature of another token',
      `${encodedHeader}.${encodeJson({ ...payload, jti: newId() })}.${signature}`,
    ],
    ['a payload that is not JSON', `${encodedHeader}.${Buffer.from('{').toString('base64url')}.${signature}`],
    ['a header that is not JSON', `${Buffer.from('{').toString('base64url')}.${encodedPayload}.${signature}`],
    ['two parts', `${encodedHeader}.${encodedPayload}`],
    ['four parts', `${token}.${signature}`],
    [
      'five parts, as in an encrypted token',
      `${encodedHeader}.${encodedPayload}.${signature}.${encodedPayload}.${signature}`,
    ],
    ['dots only', '..'],
    ['a payload of 10 kB', signToken(header, { ...payload, filling: 'x'.repeat(10_000) })],
  ];
}

/** Named API keys that must be refused, derived from the valid `key`. */
export function malformedKeys(key: string): [string, string][] {
  const last = key.slice(-1);
  return [
    ['a wrong checksum', key.slice(0, -1) + (last === 'A' ? 'B' : 'A')],
    ['one changed letter', key.slice(0, 10) + (key[10] === 'A' ? 'B' : 'A') + key.slice(11)],
    ['truncated by one character', key.slice(0, -1)],
    ['the prefix only', key.slice(0, 9)],
    ['one extra letter', `${key}A`],
    ['in upper case', key.toUpperCase()],
    ['with another prefix', key.replace('dk_', 'sk_')],
    ['in quotes', `"${key}"`],
    ['percent-encoded', encodeURIComponent(key).replace('_', '%5F')],
    ['with a Cyrillic homoglyph', encodeURIComponent(key.replace(/[a-z]/, 'а'))],
    ['SQL', "dk_'OR'1'='1"],
    ['empty', ''],
    ['15,000 characters long', 'dk_'.padEnd(15_000, 'x')],
  ];
}
