import { createHmac, createPublicKey } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf, ask } from '../../support/app/graphql-request.js';
import { AUDIENCE, TestIdentityProvider } from '../../support/access/identity-provider.js';
import { openStream, TRANSPORTS } from '../../support/events/streams.js';
import { waitFor } from '../../support/wait-for.js';
import { type PageOf } from '../../support/access/access-operations.js';
import { CREATE_TOKEN } from '../../support/access/client-tokens.js';

const VIEWER = '{ viewer { workspaceName keyName scopes endUserId expiresAt } }';
const GENERATE = 'mutation { generateImages(input: { prompt: "x" }) { task { id endUserId } } }';

let provider: TestIdentityProvider;
let app: TestApp;
const claims: Record<string, object> = {
  anna: { workspace: 'default' },
  bert: { workspace: 'default' },
  nowhere: { workspace: 'no such workspace' },
  nobody: {},
};
beforeAll(async () => {
  provider = await TestIdentityProvider.make(claims);
  // The service starts while the provider is away.
  const environment = { OIDC_ISSUER: provider.issuer, OIDC_AUDIENCE: AUDIENCE };
  app = await TestApp.start({ environment, tuning: { providerCooldownMs: 0 } });
});
afterEach(() => provider.stop());
afterAll(() => app.stop());

const answerTo = async (token: string) => {
  const query = { query: VIEWER };
  const { status, json } = await app.send('/graphql', query, { authorization: `Bearer ${token}` });
  return { status, json };
};
const statusWith = async (token: string) => (await answerTo(token)).status;
/** Waits until the provider, which had been away, is believed to be there. */
const taken = (token: string) => waitFor('the token to pass', async () => (await statusWith(token)) === 200);
const key = () => provider.keys[0] as JWK;

/** Signs as the provider does, but for what the test says. */
async function signed(facts: JWTPayload, header: object = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { iss: provider.issuer, aud: AUDIENCE, sub: 'anna', iat: now, exp: now + 60 };
  return new SignJWT({ ...payload, workspace: 'default', scope: 'tasks:read', ...facts })
    .setProtectedHeader({ alg: 'RS256', kid: key().kid, typ: 'at+jwt', ...header })
    .sign(await importJWK(key(), 'RS256'));
}

describe('a token of the identity provider', () => {
  test('is a key’s equal once the provider is there, although it was away at the start', async () => {
    await provider.start();
    const token = await provider.token('anna');
    await provider.stop();
    const away = await answerTo(token);
    expect(away.status).toBe(503);
    expect(JSON.stringify(away.json)).toContain('IDENTITY_PROVIDER_UNAVAILABLE');
    expect(await statusWith(app.key)).toBe(200);

    await provider.start();
    await taken(token);
    const viewer = await answerOf(app, VIEWER, {}, token);
    const scopes = ['tasks:read', 'tasks:write'];
    expect(viewer).toMatchObject({ workspaceName: 'default', endUserId: 'anna', scopes });
  });

  test('sees and makes what is its person’s, in the workspace that its claim names', async () => {
    await provider.start();
    const [anna, bert] = [await provider.token('anna'), await provider.token('bert')];
    await taken(anna);
    const { task } = await answerOf<{ task: { id: string } }>(app, GENERATE, {}, anna);
    expect(task).toMatchObject({ endUserId: 'anna' });
    const tasksOf = async (token: string) =>
      (await answerOf<PageOf<{ id: string }>>(app, '{ tasks { nodes { id } } }', {}, token)).nodes;
    expect(await tasksOf(anna)).toEqual([{ id: task.id }]);
    expect(await tasksOf(bert)).toEqual([]);
  });

  test('administers nothing, whatever the provider says, and makes no tokens', async () => {
    await provider.start();
    const token = await provider.token('anna');
    await taken(token);
    const input = { scopes: ['tasks:read'] };
    for (const query of ['{ apiKeys { nodes { id } } }', CREATE_TOKEN]) {
      const { errors } = await ask(app, query, { input }, token);
      expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    }
  });

  test('works on while the provider is away, and another one too, by the keys that are known', async () => {
    await provider.start();
    const [one, other] = [await provider.token('anna'), await provider.token('bert')];
    await taken(one);
    await provider.stop();
    expect([await statusWith(one), await statusWith(other)]).toEqual([200, 200]);
  });

  test('is taken when the provider has changed its keys, and one of the old keys is not', async () => {
    await provider.start();
    const old = await provider.token('anna');
    await taken(old);
    await provider.stop();
    await provider.rotate();
    await provider.start();
    await taken(await provider.token('anna'));
    expect(await statusWith(old)).toBe(401);
  });

  test('holds streams open until it is over', async () => {
    await provider.start();
    await taken(await provider.token('anna'));
    // Of which the clocks' difference, 30 s, is over but for a second or two.
    const token = await signed({ exp: Math.floor(Date.now() / 1_000) - 28 });
    const streams = TRANSPORTS.map((transport) =>
      openStream({ url: app.url, key: token, transport, target: {} }),
    );
    const [socket, , plain] = await Promise.all(streams.map(({ ended }) => ended));
    expect(socket).toEqual({ code: 4403, reason: 'Forbidden' });
    expect(plain).toEqual({ status: 200, closing: { code: 'KEY_REVOKED', cursor: null } });
  });
});

describe('refused is a token', () => {
  const now = () => Math.floor(Date.now() / 1_000);
  const unsigned = async (header: object) => {
    const [, body = ''] = (await signed({})).split('.');
    return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}`;
  };
  test.each<[string, () => Promise<string>]>([
    ['for another service', () => signed({ aud: 'https://elsewhere.example' })],
    ['that the provider gave for another service', () => provider.token('anna', 'https://elsewhere.example')],
    ['of another issuer', () => signed({ iss: 'https://elsewhere.example' })],
    ['that is over', () => signed({ exp: now() - 61 })],
    ['without an end', () => signed({ exp: undefined })],
    ['from the future', () => signed({ iat: now() + 120, exp: now() + 240 })],
    ['that is not good yet', () => signed({ nbf: now() + 120 })],
    ['of nobody', () => signed({ sub: undefined })],
    ['of somebody with an empty name', () => signed({ sub: '' })],
    ['of somebody with a NUL', () => signed({ sub: 'a\0b' })],
    ['of a workspace that there is not', () => provider.token('nowhere')],
    ['of no workspace', () => provider.token('nobody')],
    ['of a workspace that is a list', () => signed({ workspace: ['default'] })],
    ['of a kind that is for something else', () => signed({}, { typ: 'logout+jwt' })],
    ['with a kid that there is not', () => signed({}, { kid: 'x' })],
    ['that was altered', async () => (await signed({})).replace(/\.(.{20})/, '.$1A')],
    ['with alg none', async () => `${await unsigned({ alg: 'none' })}.`],
    [
      'signed with the public key as a shared secret',
      async () => {
        const { kty, n, e } = key();
        const secret = createPublicKey({ key: { kty, n, e }, format: 'jwk' }).export({
          format: 'pem',
          type: 'spki',
        });
        const text = await unsigned({ alg: 'HS256', kid: key().kid, typ: 'at+jwt' });
        return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
      },
    ],
  ])('%s', async (_what, make) => {
    await provider.start();
    const good = await provider.token('anna');
    await taken(good);
    expect(await statusWith(await make())).toBe(401);
  });

  test('of another issuer, without asking anybody', async () => {
    await provider.start();
    await taken(await provider.token('anna'));
    const before = provider.requests;
    for (const iss of ['https://elsewhere.example', `${provider.issuer}/`])
      expect(await statusWith(await signed({ iss }, { kid: 'unknown' }))).toBe(401);
    expect(provider.requests).toBe(before);
  });
});
