import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { Signer } from '../../../src/core/access/signer.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TokenClaims } from '../../../src/services/access/token-signing.js';
import { SECRET_KEY, signing } from './client-tokens.js';

/** What a hostile client can have: a good token, its claims, and the public keys. */
export interface Loot {
  claims: TokenClaims;
  token: string;
  /** A key of another workspace, by its id. */
  foreignKeyId: string;
  foreignWorkspaceId: string;
}

const now = () => Math.floor(Date.now() / 1000);
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part = '') =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

/** Our own key, as if it had leaked to a tester: the claims alone have to stop what it signs. */
const ourKey = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    new Signer(Buffer.from(SECRET_KEY)).derive('client-token', 'ed25519'),
  ]),
  format: 'der',
  type: 'pkcs8',
});
const theirs = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

function signed(header: object, payload: object, key: KeyObject = ourKey): string {
  const body = `${encode(header)}.${encode(payload)}`;
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`;
}

/** Tokens that must not pass, each with its name. */
export function hostileTokens({ token, foreignKeyId, foreignWorkspaceId }: Loot): [string, string][] {
  const [head = '', body = '', signature = ''] = token.split('.');
  const [header, payload] = [decode(head), decode(body)];
  const [published] = signing.publishedKeys;
  const publicBytes = Buffer.from(published?.x ?? '', 'base64url');
  const hmac = (key: Buffer | string, alg = 'HS256') => {
    const text = `${encode({ ...header, alg })}.${body}`;
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
  };
  const pem = theirs.publicKey.export({ format: 'pem', type: 'spki' });
  const but = (claims: object) => signed(header, { ...payload, ...claims });
  const without = (name: string) =>
    signed(header, Object.fromEntries(Object.entries(payload).filter(([claim]) => claim !== name)));
  const forged = (claims: object) => `${head}.${encode({ ...payload, ...claims })}.${signature}`;
  return [
    ['alg none, without a signature', `${encode({ ...header, alg: 'none' })}.${body}.`],
    ['alg none, with one', `${encode({ ...header, alg: 'none' })}.${body}.${signature}`],
    ['alg None, in other letters', `${encode({ ...header, alg: 'nOnE' })}.${body}.${signature}`],
    ['HS256 with the public key as the secret', hmac(publicBytes)],
    ['HS256 with the published text as the secret', hmac(published?.x ?? '')],
    ['HS256 with a public key in PEM as the secret', hmac(pem)],
    ['HS256 with an empty secret', hmac('')],
    ['HS512 named', hmac(publicBytes, 'HS512')],
    ['RS256 named, signed with Ed25519', signed({ ...header, alg: 'RS256' }, payload)],
    ['ES256 named', signed({ ...header, alg: 'ES256' }, payload)],
    ['no alg', signed({ kid: header.kid, typ: header.typ }, payload)],
    ['signed by a stranger who names our kid', signed(header, payload, theirs.privateKey)],
    ['signed by a stranger with RSA', signed({ ...header, alg: 'RS256' }, payload, rsa.privateKey)],
    ['a kid that there is not', signed({ ...header, kid: 'x' }, payload)],
    ['no kid', signed({ alg: header.alg, typ: header.typ }, payload)],
    ['a kid that is a path', signed({ ...header, kid: '../../dev/null' }, payload)],
    ['a kid that is SQL', signed({ ...header, kid: "' OR 1=1 --" }, payload)],
    [
      'its own key in the header',
      signed(
        { ...header, kid: 'x', jwk: theirs.publicKey.export({ format: 'jwk' }) },
        payload,
        theirs.privateKey,
      ),
    ],
    [
      'an address of keys in the header',
      signed({ ...header, kid: 'x', jku: 'http://127.0.0.1:9/keys' }, payload, theirs.privateKey),
    ],
    ['a critical extension', signed({ ...header, crit: ['exp'], exp: now() + 60 }, payload)],
    ['another type', signed({ ...header, typ: 'JWT' }, payload)],
    ['no type', signed({ alg: header.alg, kid: header.kid }, payload)],
    ['over', but({ exp: now() - 1 })],
    ['over since 1970', but({ exp: 0 })],
    ['an end that is a text', but({ exp: 'never' })],
    ['no end', without('exp')],
    ['not before a minute from now', but({ nbf: now() + 60 })],
    ['made tomorrow', but({ iat: now() + 86_400, exp: now() + 90_000 })],
    ['no time of making', without('iat')],
    ['for somebody else', but({ aud: 'elsewhere' })],
    ['for nobody', without('aud')],
    ['by somebody else', but({ iss: 'https://elsewhere.example' })],
    ['by nobody', without('iss')],
    ['no id', without('jti')],
    ['of a workspace that its key is not of', but({ workspace: foreignWorkspaceId })],
    ['of a foreign key for our workspace', but({ key: foreignKeyId })],
    ['of a key that there is not', but({ key: newId() })],
    ['of a key that is no id', but({ key: 'x' })],
    ['of no key', without('key')],
    ['of no workspace', without('workspace')],
    ['tasks that are a text', but({ tasks: 'all' })],
    ['tasks that are no ids', but({ tasks: ['*'] })],
    ['an end user that is a list', but({ end_user: ['anna', 'bert'] })],
    ['scopes that are a list', but({ scope: ['tasks:read'] })],
    ['more scopes written in', forged({ scope: 'tasks:read keys:admin' })],
    ['another end user written in', forged({ end_user: 'bert' })],
    ['a later end written in', forged({ exp: now() + 86_400 })],
    ['a signature that is cut', token.slice(0, -4)],
    ['a signature with something after it', `${token}AA`],
    ['the signature of another token', `${head}.${encode({ ...payload, jti: newId() })}.${signature}`],
    ['a payload that is no JSON', `${head}.${Buffer.from('{').toString('base64url')}.${signature}`],
    ['a header that is no JSON', `${Buffer.from('{').toString('base64url')}.${body}.${signature}`],
    ['two parts', `${head}.${body}`],
    ['four parts', `${token}.${signature}`],
    ['five parts, as encrypted ones have', `${head}.${body}.${signature}.${body}.${signature}`],
    ['points alone', '..'],
    ['10 kB of a payload', signed(header, { ...payload, filling: 'x'.repeat(10_000) })],
  ];
}

/** Keys that must not pass, each with its name; `key` is a good one. */
export function hostileKeys(key: string): [string, string][] {
  const last = key.slice(-1);
  return [
    ['a wrong checksum', key.slice(0, -1) + (last === 'A' ? 'B' : 'A')],
    ['one letter that is another', key.slice(0, 10) + (key[10] === 'A' ? 'B' : 'A') + key.slice(11)],
    ['cut', key.slice(0, -1)],
    ['cut to its prefix', key.slice(0, 9)],
    ['with a letter more', `${key}A`],
    ['in capitals', key.toUpperCase()],
    ['with another prefix', key.replace('dk_', 'sk_')],
    ['in quotes', `"${key}"`],
    ['percent-encoded', encodeURIComponent(key).replace('_', '%5F')],
    ['with a letter that only looks like its own', encodeURIComponent(key.replace(/[a-z]/, 'а'))],
    ['of SQL', "dk_'OR'1'='1"],
    ['empty', ''],
    ['100 kB long', 'dk_'.padEnd(100_000, 'x').slice(0, 15_000)],
  ];
}
